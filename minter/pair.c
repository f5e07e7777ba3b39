/* SPDX-License-Identifier: ISC */
/* What for: a session's gate and courier: what each is told, what each says.
 * Trusts: either only with its own session. At a bound: has both killed. */
#include "minter/pair.h"

#include "lib/log.h"
#include "messages/guest.h"
#include "minter/channel.h"
#include "minter/cut.h"
#include "minter/document.h"
#include "minter/finish.h"
#include "minter/keyring.h"
#include "minter/open.h"
#include "minter/token.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- gate ---- */

static void
tell_gate(struct minter *m, struct session *s)
{
	char *jwks = keyring_jwks(m), *env = document_environment(s),
	     *routes = document_routes(&s->grants);
	char channel[JWT_TEXT_MAX];
	int64_t now;
	int r = clock_now(&m->clock, &now) != 0 ? ERR_CLOCK : ERR_NOMEM;

	channel_claim(s, channel);
	if (jwks != NULL && env != NULL && routes != NULL) {
		struct guest_session g = {.session = span_str(s->id),
		    .guest = span_str(s->guest),
		    .issuer = span_str(MINTER_ISSUER),
		    .channel = span_str(channel),
		    .channel_uid = s->channel_uid,
		    .expires_ms = (uint64_t)s->expires_ms,
		    .jwks = span_str(jwks),
		    .base_random = span_str(s->base_random),
		    .environment = span_str(env),
		    .routes = span_str(routes)};
		r = link_send(s->gate, &msg_guest_session, &g, -1);
	}
	if (r != 0)
		log_event(LOG_ERROR, "gate_not_told", LOG_STR("session", s->id),
		    LOG_ERR(r));
	s->gate_told = r == 0;
	free(jwks);
	free(env);
	free(routes);
}

static void
gate_family(struct session *s, const struct family *f)
{
	struct guest_family g = {.family = span_str(f->row.id),
	    .expires_ms = (uint64_t)f->row.expires_ms};

	/* Not told: the gate refuses the token, which is safe. */
	if (link_send(s->gate, &msg_guest_family, &g, -1) != 0)
		log_event(LOG_WARN, "gate_not_told", LOG_STR("session", s->id));
}

static void
courier_family(struct session *s, const struct family *f)
{
	char *details = f->narrow ? document_grants(&f->details) : NULL;
	struct rules_family g = {.family = span_str(f->row.id),
	    .jti = span_str(f->row.jti),
	    .expires_ms = (uint64_t)f->row.expires_ms,
	    .parent = span_str(f->row.parent),
	    .act = span_str(f->row.act),
	    .details = span_str(details)};

	/* Not told of it, the courier refuses it. */
	if ((f->narrow && details == NULL) ||
	    link_send(s->courier, &msg_rules_family, &g, -1) != 0)
		log_event(
		    LOG_WARN, "courier_not_told", LOG_STR("session", s->id));
	free(details);
}

void
pair_brief_gate(struct minter *m, struct session *s)
{
	if (s->gate == NULL || s->finishing || !minter_ready(m))
		return;
	/* The session last: with it the gate begins to answer. */
	for (struct family *f = s->families; f != NULL; f = f->next)
		gate_family(s, f);
	tell_gate(m, s);
	open_progress(m, s);
}

static int
on_token_ask(void *ctx, struct link *l, const void *msg, int fd)
{
	struct session *s = ctx;

	(void)l;
	(void)fd;
	return token_ask(s->m, s, msg);
}

static int
on_token_revoke(void *ctx, struct link *l, const void *msg, int fd)
{
	struct session *s = ctx;

	(void)l;
	(void)fd;
	return token_revoke(s->m, s, msg);
}

static int
on_gate_cut(void *ctx, struct link *l, const void *msg, int fd)
{
	struct session *s = ctx;
	const struct guest_cut_done *d = msg;

	(void)l;
	(void)fd;
	return cut_confirmed(s->m, s, LINK_GATE, d->serial);
}

static const struct link_rule gate_rules[] = {
    {&msg_guest_token_ask, on_token_ask},
    {&msg_guest_token_revoke, on_token_revoke},
    {&msg_guest_cut_done, on_gate_cut},
};

/* ---- courier ---- */

static void
tell_courier(struct session *s)
{
	char *grants = document_grants(&s->grants),
	     *placeholders = document_placeholders(s->placeholders),
	     *used = json_dumps(s->used, JSON_COMPACT);
	int r = ERR_NOMEM;

	if (grants != NULL && placeholders != NULL && used != NULL) {
		struct rules_session g = {.session = span_str(s->id),
		    .guest = span_str(s->guest),
		    .expires_ms = (uint64_t)s->expires_ms,
		    .grants = span_str(grants),
		    .placeholders = span_str(placeholders),
		    .used = span_str(used)};
		r = link_send(s->courier, &msg_rules_session, &g, -1);
	}
	if (r != 0)
		log_event(LOG_ERROR, "courier_not_told",
		    LOG_STR("session", s->id), LOG_ERR(r));
	else
		s->courier_told = true;
	free(grants);
	free(placeholders);
	free(used);
}

static void
brief_courier(struct minter *m, struct session *s)
{
	if (s->courier == NULL || s->finishing || m->failed != NULL)
		return;
	tell_courier(s);
	for (struct family *f = s->families; f != NULL; f = f->next)
		courier_family(s, f);
	open_progress(m, s);
}

static int
on_courier_cut(void *ctx, struct link *l, const void *msg, int fd)
{
	struct session *s = ctx;
	const struct rules_cut_done *d = msg;

	(void)l;
	(void)fd;
	return cut_confirmed(s->m, s, LINK_COURIER, d->serial);
}

static int
on_audit_head(void *ctx, struct link *l, const void *msg, int fd)
{
	struct session *s = ctx;
	const struct rules_audit_head *h = msg;

	(void)l;
	(void)fd;
	if (h->hash.n != CHAINLOG_HASH)
		return ERR_FORMAT;
	if (h->seq < s->head_seq) {
		log_event(LOG_WARN, "audit_head_went_back",
		    LOG_STR("session", s->id), LOG_INT("seq", (int64_t)h->seq));
		return 0;
	}
	s->head_seq = h->seq;
	memcpy(s->head_hash, h->hash.p, CHAINLOG_HASH);
	return 0; /* signed by the next tick, or the session's end */
}

/* What the account is limited to; NULL: it is no account (any more). */
static const struct grant_limits *
account_limits(const struct session *s, const char *account)
{
	const char *slash = strchr(account, '/');
	const struct grant *g = NULL;
	char id[STATE_ID_MAX];

	if (slash == NULL) {
		g = session_grant(s, account);
	} else if (span_copy(span_of(account, (size_t)(slash - account)), id,
		       sizeof(id)) == 0) {
		const struct family *f = session_family(s, id);
		g = f == NULL ? NULL : grant_set_find(&f->details, slash + 1);
	}
	return g == NULL ? NULL : &g->limits;
}

static bool
used_well(const struct rules_used *u)
{
	return u->requests <= u->lease && u->bytes_up <= u->lease_up &&
	       u->bytes_down <= u->lease_down && u->lease <= INT64_MAX &&
	       u->lease_up <= INT64_MAX && u->lease_down <= INT64_MAX;
}

static bool
is_more(const json_t *known, const char *key, uint64_t limit, int64_t lease)
{
	return limit != 0 &&
	       lease > json_integer_value(json_object_get(known, key));
}

/* On disk before it is used: whoever dies, no limit is crossed. */
static int
lease(struct session *s, const char *account, const struct used_row *row)
{
	struct rules_leased m = {.account = span_str(account),
	    .lease = (uint64_t)row->requests,
	    .lease_up = (uint64_t)row->up,
	    .lease_down = (uint64_t)row->down};

	if (s->m->failed != NULL)
		return 0;
	if (state_used_put(s->m->state, s->id, account, row) != 0) {
		minter_fail(s->m, "state");
		return 0;
	}
	return link_send(s->courier, &msg_rules_leased, &m, -1);
}

static int
on_used(void *ctx, struct link *l, const void *msg, int fd)
{
	struct session *s = ctx;
	const struct rules_used *u = msg;
	char account[RULES_ACCOUNT_MAX + 1];

	(void)l;
	(void)fd;
	if (span_copy(u->account, account, sizeof(account)) != 0 ||
	    !used_well(u))
		return ERR_FORMAT;
	const struct grant_limits *max = account_limits(s, account);
	if (max == NULL)
		return 0; /* taken away meanwhile */
	struct used_row row = {.requests = (int64_t)u->lease,
	    .up = (int64_t)u->lease_up,
	    .down = (int64_t)u->lease_down};
	const json_t *known = json_object_get(s->used, account);
	/* Without a limit nothing is leased, and the count can wait. */
	bool more = is_more(known, "requests", max->requests, row.requests) ||
		    is_more(known, "up", max->bytes_up, row.up) ||
		    is_more(known, "down", max->bytes_down, row.down);
	if (json_object_set_new(s->used, account,
		json_pack("{s:I, s:I, s:I}", "requests",
		    (json_int_t)row.requests, "up", (json_int_t)row.up, "down",
		    (json_int_t)row.down)) != 0)
		log_event(LOG_WARN, "out_of_memory", LOG_STR("what", "usage"));
	s->used_dirty = true;
	return more ? lease(s, account, &row) : 0;
}

static int
on_counts(void *ctx, struct link *l, const void *msg, int fd)
{
	struct session *s = ctx;
	const struct counts *c = msg;

	(void)l;
	(void)fd;
	if (c->log > COUNTS_LOG_FAILED)
		return ERR_FORMAT;
	s->log = (enum counts_log)c->log;
	metrics_add(&s->m->metrics, c);
	return 0;
}

static const struct link_rule courier_rules[] = {
    {&msg_rules_cut_done, on_courier_cut},
    {&msg_rules_audit_head, on_audit_head},
    {&msg_rules_used, on_used},
    {&msg_counts, on_counts},
};
#define N_RULES(t) (sizeof(t) / sizeof((t)[0]))

/* ---- either of a session's links ---- */

static void
on_killed(void *ctx, int err, const void *answer)
{
	(void)ctx;
	(void)answer;
	if (err != 0 && err != ERR_NOT_FOUND)
		log_fatal("kill_failed", "the supervisor did not end a "
					 "misbehaving process");
}

/* A gate or courier that breaks the protocol may have been broken into: it
 * is killed, and nobody else suffers. */
static void
kill_pair(struct minter *m, struct session *s)
{
	struct ctl_session_end end = {
	    .rid = rpc_add(m->rpcs, LINK_SUPERVISOR,
		clock_boot_ms() + MINTER_RPC_MS, on_killed, m),
	    .kind = CTL_KILL,
	    .session = span_str(s->id)};

	if (end.rid == 0 ||
	    link_send(m->supervisor, &msg_session_end, &end, -1) != 0)
		log_fatal("kill_failed", "the supervisor cannot be reached");
}

static void
session_link_broke(
    struct session *s, struct link **slot, enum link_role role, int err)
{
	struct minter *m = s->m;

	log_event(err == ERR_UNAVAILABLE ? LOG_INFO : LOG_ERROR,
	    "session_link_broke", LOG_STR("session", s->id),
	    LOG_STR("role", link_role_name(role)), LOG_ERR(err));
	link_free(*slot);
	*slot = NULL;
	if (role == LINK_GATE) {
		s->gate_told = false;
	} else {
		s->courier_told = false;
		s->log = COUNTS_LOG_OK; /* until another says more */
	}
	if (err != ERR_UNAVAILABLE && !s->over)
		kill_pair(m, s);
	cut_link_lost(m, s, role);
	finish_sweep(m);
}

static void
on_gate_break(void *ctx, struct link *l, int err)
{
	struct session *s = ctx;

	(void)l;
	session_link_broke(s, &s->gate, LINK_GATE, err);
}

static void
on_courier_break(void *ctx, struct link *l, int err)
{
	struct session *s = ctx;

	(void)l;
	session_link_broke(s, &s->courier, LINK_COURIER, err);
}

static int
new_session_link(
    struct minter *m, struct session *s, enum link_role role, int fd)
{
	bool gate = role == LINK_GATE;
	struct link **slot = gate ? &s->gate : &s->courier;
	struct link_options o = {.self = LINK_MINTER,
	    .peer = role,
	    .rules = gate ? gate_rules : courier_rules,
	    .n_rules = gate ? N_RULES(gate_rules) : N_RULES(courier_rules),
	    .ctx = s,
	    .on_break = gate ? on_gate_break : on_courier_break};

	if (*slot != NULL) {
		link_free(*slot);
		*slot = NULL;
		cut_link_lost(m, s, role);
	}
	return link_new(m->loop, fd, &o, slot);
}

int
pair_peer(struct minter *m, const struct ctl_peer *p, int fd)
{
	struct session *s = minter_session_id(m, p->session);
	int r;

	if (s == NULL || s->over) {
		close(fd); /* it ended meanwhile */
		return 0;
	}
	if ((r = new_session_link(m, s, (enum link_role)p->role, fd)) != 0)
		return r;
	if (p->role == LINK_GATE)
		pair_brief_gate(m, s);
	else
		brief_courier(m, s);
	return 0;
}

/* ---- what changed ---- */

void
pair_publish(struct minter *m, struct session *s)
{
	if (s->finishing || m->failed != NULL)
		return;
	if (s->courier != NULL)
		tell_courier(s);
	if (s->gate != NULL && minter_ready(m))
		tell_gate(m, s);
}

/* The courier first, and out of our hands before the gate can answer: a
 * request under the new family must not overtake the family. One that reads
 * so little that its socket is full is not waited for: it refuses then. */
void
pair_family(struct minter *m, struct session *s, const struct family *f)
{
	(void)m;
	if (s->courier != NULL) {
		courier_family(s, f);
		if (link_flush(s->courier, 0) != 0)
			log_event(LOG_WARN, "courier_not_told",
			    LOG_STR("session", s->id));
	}
	if (s->gate != NULL)
		gate_family(s, f);
}
