/* SPDX-License-Identifier: ISC */
/* What for: this session's credentials while they are in use. Trusts: the
 * vault. At a bound: the credential cannot be had. */
#include "egress/courier/lease.h"

#include "egress/courier/clock.h"

#include <stdlib.h>

enum state { ASKED, HELD, FAILED, PAST };

struct entry {
	struct entry *next;
	struct lease lease;
	enum state state;
	uint32_t rid;
	int err;
	uint64_t since_ms;
};

struct leases {
	struct entry *first;
	struct link *vault;
	struct scrub_set *set; /* NULL: to be made */
	uint32_t next_rid;
};

int
leases_new(struct leases **out)
{
	struct leases *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return ERR_NOMEM;
	*out = l;
	return 0;
}

static void
entry_free(struct entry *e)
{
	metadata_free(&e->lease.metadata);
	keep_free(e->lease.secret);
	free(e);
}

static void
forget_set(struct leases *l)
{
	scrub_set_free(l->set);
	l->set = NULL;
}

/* Remove the entries that test says, with the set made from them. */
static void
remove_if(struct leases *l, bool (*test)(const struct entry *, uint64_t),
    uint64_t arg)
{
	for (struct entry **p = &l->first; *p != NULL;) {
		struct entry *e = *p;
		if (!test(e, arg)) {
			p = &e->next;
			continue;
		}
		*p = e->next;
		entry_free(e);
		forget_set(l);
	}
}

static bool
is_any(const struct entry *e, uint64_t arg)
{
	(void)e;
	(void)arg;
	return true;
}

static bool
is_failed(const struct entry *e, uint64_t arg)
{
	(void)arg;
	return e->state == FAILED;
}

static bool
is_past(const struct entry *e, uint64_t now_ms)
{
	return e->state == PAST && now_ms - e->since_ms >= LEASE_MS;
}

static bool
is_asked(const struct entry *e, uint64_t arg)
{
	(void)arg;
	return e->state == ASKED;
}

void
leases_free(struct leases *l)
{
	if (l == NULL)
		return;
	remove_if(l, is_any, 0);
	forget_set(l);
	free(l);
}

static void
retire(struct entry *e)
{
	if (e->state != HELD)
		return;
	e->state = PAST; /* only the scrubber needs it now */
	e->since_ms = clock_ms();
}

void
leases_use(struct leases *l, struct link *vault)
{
	l->vault = vault;
	remove_if(l, is_asked, 0);
	for (struct entry *e = l->first; e != NULL; e = e->next)
		retire(e);
}

static struct entry *
find(const struct leases *l, struct span name)
{
	for (struct entry *e = l->first; e != NULL; e = e->next) {
		if (e->state != PAST && span_is(name, e->lease.name))
			return e;
	}
	return NULL;
}

static int
ask(struct leases *l, const char *name)
{
	struct entry *e;
	int r;

	if (l->vault == NULL || link_broken(l->vault))
		return ERR_UNAVAILABLE;
	if ((e = calloc(1, sizeof(*e))) == NULL)
		return ERR_NOMEM;
	e->rid = ++l->next_rid;
	e->since_ms = clock_ms();
	metadata_init(&e->lease.metadata);
	struct lease_ask m = {.rid = e->rid, .credential = span_str(name)};
	if ((r = span_copy(
		 span_str(name), e->lease.name, sizeof(e->lease.name))) != 0 ||
	    (r = link_send(l->vault, &msg_lease_ask, &m, -1)) != 0) {
		entry_free(e);
		return r;
	}
	e->next = l->first;
	l->first = e;
	return ERR_SEQUENCE;
}

int
leases_get(struct leases *l, const char *name, const struct lease **out)
{
	struct entry *e = find(l, span_str(name));

	if (e == NULL)
		return ask(l, name);
	if (e->state == ASKED)
		return ERR_SEQUENCE;
	if (e->state == FAILED)
		return e->err;
	*out = &e->lease;
	return 0;
}

static int
fill(struct lease *lease, const struct lease_given *m)
{
	char why[128];
	int r;

	if ((r = metadata_parse(
		 m->metadata, &lease->metadata, why, sizeof(why))) != 0)
		return r;
	if (strcmp(lease->metadata.name, lease->name) != 0 ||
	    m->secret.n == 0 || m->version == 0)
		return ERR_FORMAT;
	/* What cannot be scrubbed must be known to be so. */
	if (m->secret.n < SCRUB_MIN && !lease->metadata.unscrubbable)
		return ERR_DENIED;
	lease->version = m->version;
	return keep_new(m->secret.p, m->secret.n, &lease->secret);
}

int
leases_given(struct leases *l, const struct lease_given *m)
{
	struct entry *e = find(l, m->credential);

	if (m->rid == 0 || m->rid > l->next_rid || m->err > 0)
		return ERR_FORMAT;
	if (e == NULL || e->state != ASKED || e->rid != m->rid)
		return 0; /* it changed while under way: asked again */
	e->err = m->err != 0 ? m->err : fill(&e->lease, m);
	if (e->err == ERR_FORMAT && m->err == 0)
		return ERR_FORMAT;
	e->state = e->err == 0 ? HELD : FAILED;
	e->since_ms = clock_ms();
	forget_set(l);
	return 0;
}

void
leases_settle(struct leases *l)
{
	remove_if(l, is_failed, 0);
}

void
leases_changed(struct leases *l, struct span credential)
{
	struct entry *e = find(l, credential);

	if (e == NULL)
		return;
	if (e->state == HELD) {
		retire(e);
		return;
	}
	for (struct entry **p = &l->first; *p != NULL; p = &(*p)->next) {
		if (*p == e) {
			*p = e->next;
			entry_free(e);
			return;
		}
	}
}

void
leases_sweep(struct leases *l, uint64_t now_ms)
{
	for (struct entry *e = l->first; e != NULL; e = e->next) {
		if (now_ms - e->since_ms >= LEASE_MS)
			retire(e);
	}
	remove_if(l, is_past, now_ms);
}

static int
make_set(struct leases *l, struct scrub_set **out)
{
	struct scrub_set *s = NULL;
	int r = scrub_set_new(&s);

	for (struct entry *e = l->first; e != NULL && r == 0; e = e->next) {
		if (e->lease.secret != NULL)
			r = scrub_set_add(s, e->lease.secret);
	}
	if (r == 0)
		r = scrub_set_seal(s);
	if (r != 0) {
		scrub_set_free(s);
		return r;
	}
	*out = s;
	return 0;
}

struct scrub_set *
leases_scrub_set(struct leases *l)
{
	if (l->set == NULL && make_set(l, &l->set) != 0)
		return NULL;
	return l->set;
}
