/* SPDX-License-Identifier: ISC */
/* What for: this session's credentials while they are in use. Trusts: the
 * vault. At a bound: the credential cannot be had. */
#include "egress/courier/lease.h"

#include "egress/courier/clock.h"

#include "lib/log.h"

#include <sodium.h>
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
	struct verdicts verdicts;
	uint32_t next_rid;
	uint8_t digest_key[crypto_generichash_KEYBYTES];
};

int
leases_new(struct leases **out)
{
	struct leases *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return ERR_NOMEM;
	crypto_generichash_keygen(l->digest_key);
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
	verdicts_free(&l->verdicts);
	sodium_memzero(l->digest_key, sizeof(l->digest_key));
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

/* Tells values apart without holding them, and says nothing of them to
 * whoever has not our key. */
static void
digest(const struct leases *l, const struct lease_given *m, uint8_t *out)
{
	crypto_generichash_state st;
	uint8_t version[4] = {(uint8_t)(m->version >> 24),
	    (uint8_t)(m->version >> 16), (uint8_t)(m->version >> 8),
	    (uint8_t)m->version};

	crypto_generichash_init(
	    &st, l->digest_key, sizeof(l->digest_key), VERDICT_DIGEST);
	crypto_generichash_update(&st, version, sizeof(version));
	crypto_generichash_update(&st, m->secret.p, m->secret.n);
	crypto_generichash_final(&st, out, VERDICT_DIGEST);
	sodium_memzero(&st, sizeof(st));
}

static int
fill(const struct leases *l, struct lease *lease, const struct lease_given *m)
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
	digest(l, m, lease->digest);
	return keep_new(m->secret.p, m->secret.n, &lease->secret);
}

/* What came is what was held before: once is enough to scrub for it. */
static void
forget_double(struct leases *l, const struct entry *e)
{
	for (struct entry **p = &l->first; *p != NULL;) {
		struct entry *old = *p;
		if (old->state != PAST ||
		    strcmp(old->lease.name, e->lease.name) != 0 ||
		    memcmp(old->lease.digest, e->lease.digest,
			VERDICT_DIGEST) != 0) {
			p = &old->next;
			continue;
		}
		*p = old->next;
		entry_free(old);
	}
}

int
leases_given(struct leases *l, const struct lease_given *m)
{
	struct entry *e = find(l, m->credential);

	if (m->rid == 0 || m->rid > l->next_rid || m->err > 0)
		return ERR_FORMAT;
	if (e == NULL || e->state != ASKED || e->rid != m->rid)
		return 0; /* it changed while under way: asked again */
	e->err = m->err != 0 ? m->err : fill(l, &e->lease, m);
	if (e->err == ERR_FORMAT && m->err == 0)
		return ERR_FORMAT;
	e->state = e->err == 0 ? HELD : FAILED;
	e->since_ms = clock_ms();
	forget_set(l);
	if (e->state == HELD)
		forget_double(l, e);
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

struct verdicts *
leases_verdicts(struct leases *l)
{
	return &l->verdicts;
}

int
leases_doubt(struct leases *l, const char *name,
    const uint8_t digest[VERDICT_DIGEST])
{
	struct entry *e = find(l, span_str(name));
	const struct lease *lease;

	if (e != NULL && e->state == HELD &&
	    memcmp(e->lease.digest, digest, VERDICT_DIGEST) == 0)
		retire(e);
	return leases_get(l, name, &lease);
}

void
leases_tell_rejected(
    struct leases *l, const struct lease *lease, const char *host)
{
	struct lease_rejected m = {.credential = span_str(lease->name),
	    .version = lease->version,
	    .host = span_str(host)};

	log_event(LOG_WARN, "credential_rejected",
	    LOG_STR("credential", lease->name), LOG_STR("host", host),
	    LOG_INT("version", (int64_t)lease->version),
	    LOG_STR("next", "hatcheck credential rotate"));
	if (l->vault == NULL || link_broken(l->vault) ||
	    link_send(l->vault, &msg_lease_rejected, &m, -1) != 0)
		log_event(LOG_WARN, "rejection_not_told",
		    LOG_STR("credential", lease->name));
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
