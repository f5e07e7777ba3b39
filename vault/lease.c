/* SPDX-License-Identifier: ISC */
/* What for: one credential for a session's courier, for a while. Trusts:
 * the socket for the session, the supervisor's descriptor for what it may
 * have; never a message of the courier's. At a bound: drops its link. */
#include "vault/session_in.h"

#include "lib/log.h"
#include "messages/lease.h"

#include <stdio.h>
#include <stdlib.h>

void
leases_forget(struct session *x)
{
	while (x->leased != NULL) {
		struct leased *l = x->leased;
		x->leased = l->next;
		free(l);
	}
}

static bool
remember_lease(struct session *x, const char *name)
{
	struct leased *l;

	for (l = x->leased; l != NULL; l = l->next) {
		if (strcmp(l->name, name) == 0)
			return true;
	}
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return false;
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->next = x->leased;
	x->leased = l;
	return true;
}

/* Something that a courier asked of the worker. */
struct ask {
	struct job job;
	struct service *s;
	char session[SESSION_ID_MAX + 1];
	uint64_t serial; /* of that courier */
	char name[GRANT_NAME_MAX];
};

/* Frees q on failure. */
static int
push_ask(struct session *x, struct ask *q, const char *name)
{
	int r;

	q->job.guests = true;
	q->s = x->s;
	q->serial = x->courier_serial;
	(void)snprintf(q->session, sizeof(q->session), "%s", x->id);
	(void)snprintf(q->name, sizeof(q->name), "%s", name);
	if ((r = worker_push(x->s->worker, &q->job)) != 0)
		q->job.free(&q->job);
	else
		x->courier_asks++;
	return r;
}

/* It may ask once more. NULL: it is gone, or another has its place. */
static struct session *
end_ask(const struct ask *q)
{
	struct session *x = session_find(q->s, q->session);

	if (x == NULL || x->courier_serial != q->serial)
		return NULL;
	x->courier_asks--;
	return x;
}

struct lease {
	struct ask ask;
	uint32_t rid;
	struct keep *value;
	char *metadata;
	uint32_t version;
	int err;
};

static void
lease_free(struct job *j)
{
	struct lease *q = (struct lease *)j;

	keep_free(q->value);
	free(q->metadata);
	free(q);
}

static void
lease_run(struct job *j, struct house *h)
{
	struct lease *q = (struct lease *)j;
	struct metadata m;
	json_t *json;

	if ((q->err = house_lease(h, q->ask.name, &m, &q->value, NULL)) != 0)
		return;
	json = metadata_to_json(&m);
	q->metadata = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
	q->version = m.version;
	q->err = q->metadata == NULL ? ERR_NOMEM : 0;
	json_decref(json);
	metadata_free(&m);
}

static void
send_lease(struct session *x, struct lease *q)
{
	struct lease_given m = {
	    .rid = q->rid, .err = q->err, .credential = span_str(q->ask.name)};
	int r;

	/* What it may have can have changed meanwhile. */
	if (m.err == 0 && !names_has(&x->credentials, q->ask.name))
		m.err = ERR_DENIED;
	if (m.err == 0 && !remember_lease(x, q->ask.name))
		m.err = ERR_NOMEM;
	if (m.err == 0) {
		m.version = q->version;
		m.metadata = span_str(q->metadata);
		m.secret = keep_reveal(q->value);
	}
	if ((r = link_send(x->courier, &msg_lease_given, &m, -1)) != 0) {
		log_event(LOG_ERROR, "vault_courier_queue",
		    LOG_STR("session", x->id), LOG_ERR(r));
		settle_kill(x);
	}
}

static void
lease_done(struct job *j)
{
	struct lease *q = (struct lease *)j;
	struct session *x = end_ask(&q->ask);

	if (x != NULL && x->courier != NULL && !link_broken(x->courier))
		send_lease(x, q);
}

static int
push_lease(struct session *x, uint32_t rid, const char *name)
{
	struct lease *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return ERR_NOMEM;
	q->ask.job.run = lease_run;
	q->ask.job.done = lease_done;
	q->ask.job.free = lease_free;
	q->rid = rid;
	return push_ask(x, &q->ask, name);
}

static int
on_lease_ask(void *ctx, struct link *l, const void *msg, int fd)
{
	struct session *x = ctx;
	const struct lease_ask *m = msg;
	struct lease_given no = {
	    .rid = m->rid, .err = ERR_DENIED, .credential = m->credential};
	char name[GRANT_NAME_MAX];

	(void)fd;
	if (x->courier_asks >= ASKS_MAX)
		return ERR_TOO_BIG;
	if (span_copy(m->credential, name, sizeof(name)) == 0 &&
	    names_has(&x->credentials, name)) {
		no.err = push_lease(x, m->rid, name);
		if (no.err == 0)
			return 0;
	} else {
		log_event(LOG_WARN, "vault_lease_denied",
		    LOG_STR("session", x->id),
		    LOG_SPAN("credential", m->credential));
	}
	return link_send(l, &msg_lease_given, &no, -1);
}

static int
on_settled(void *ctx, struct link *l, const void *msg, int fd)
{
	const struct lease_settled *m = msg;

	(void)l;
	(void)fd;
	return settle_confirmed(ctx, m->serial);
}

struct rejection {
	struct ask ask;
	char host[HOST_MAX];
	uint32_t version;
};

static void
rejection_run(struct job *j, struct house *h)
{
	const struct rejection *q = (const struct rejection *)j;

	house_note_rejected(h, q->ask.name, q->version, q->host);
}

/* Nobody waits for it. */
static void
rejection_done(struct job *j)
{
	(void)end_ask((const struct ask *)j);
}

static void
rejection_free(struct job *j)
{
	free(j);
}

static int
push_rejection(struct session *x, uint32_t version, const char *name,
    const struct host *host)
{
	struct rejection *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return ERR_NOMEM;
	q->ask.job.run = rejection_run;
	q->ask.job.done = rejection_done;
	q->ask.job.free = rejection_free;
	q->version = version;
	(void)snprintf(q->host, sizeof(q->host), "%s", host->name);
	return push_ask(x, &q->ask, name);
}

/* At most one a value and host, by an honest courier; another is dropped, and
 * so is what comes faster than it can be noted: it is shown only. */
static int
on_rejected(void *ctx, struct link *l, const void *msg, int fd)
{
	struct session *x = ctx;
	const struct lease_rejected *m = msg;
	char name[GRANT_NAME_MAX];
	struct host host;
	int r;

	(void)l;
	(void)fd;
	if (host_parse(m->host, &host) != 0 ||
	    ++x->rejections > REJECTIONS_MAX ||
	    span_copy(m->credential, name, sizeof(name)) != 0 ||
	    !names_has(&x->credentials, name))
		return ERR_FORMAT;
	log_event(LOG_WARN, "credential_rejected",
	    LOG_STR("credential", name), LOG_STR("host", host.name),
	    LOG_STR("session", x->id),
	    LOG_STR("next", "hatcheck credential rotate"));
	r = x->courier_asks < ASKS_MAX
		? push_rejection(x, m->version, name, &host)
		: ERR_TOO_BIG;
	return r == ERR_TOO_BIG ? 0 : r;
}

const struct link_rule lease_rules[] = {
    {&msg_lease_ask, on_lease_ask},
    {&msg_lease_rejected, on_rejected},
    {&msg_lease_settled, on_settled},
};
const size_t lease_rules_n = sizeof(lease_rules) / sizeof(lease_rules[0]);

void
leases_take_back(struct session *x, const char *name, uint32_t version)
{
	struct leased **at = &x->leased;

	while (*at != NULL) {
		struct leased *l = *at;
		if (name != NULL && strcmp(l->name, name) != 0) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		settle_tell(x, l->name, version);
		free(l);
	}
}

void
session_tell_changed(struct service *s, const char *name, uint32_t version)
{
	for (struct session *x = s->sessions; x != NULL; x = x->next)
		leases_take_back(x, name, version);
}
