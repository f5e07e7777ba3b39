/* SPDX-License-Identifier: ISC */
/* What for: POST revoke. Trusts: the caller is the owner. At a bound: cuts
 * more rather than less, and the reply waits until it is true. */
#include "minter/api.h"

#include "keys/json.h"
#include "lib/log.h"
#include "minter/change.h"
#include "minter/finish.h"
#include "minter/pair.h"
#include "minter/token.h"

#include <stdlib.h>

struct revoking {
	struct minter *m;
	struct admin_call *call;
	const char *kind, *name; /* borrowed during the call only */
	int64_t began_ms;
	size_t n;
	struct cuts *cuts;
	char family[STATE_ID_MAX];
	struct session *family_session;
};

/* Their end is no news to the caller: nothing is written any more. */
static void
reap_revoked(struct minter *m)
{
	for (struct session *s = m->sessions; s != NULL; s = s->next) {
		if (s->state == SESSION_REVOKED && !s->reaping && s->cuts == 0)
			finish_reap(m, s, NULL, NULL);
	}
}

static void
on_cut(void *ctx)
{
	struct revoking *v = ctx;
	int64_t ms = clock_boot_ms() - v->began_ms;

	metrics_revoked(&v->m->metrics, ms);
	admin_reply(v->call,
	    json_pack("{s:I, s:I}", "revoked", (json_int_t)v->n, "milliseconds",
		(json_int_t)ms));
	reap_revoked(v->m);
	free(v);
}

static bool
session_named(const struct revoking *v, const struct session *s)
{
	if (strcmp(v->kind, "all") == 0)
		return true;
	if (strcmp(v->kind, "guest") == 0)
		return strcmp(s->guest, v->name) == 0;
	return strcmp(v->kind, "session") == 0 &&
	       (strcmp(s->id, v->name) == 0 || strcmp(s->guest, v->name) == 0);
}

static bool
session_meant(const struct revoking *v, const struct session *s)
{
	return !s->finishing && session_named(v, s);
}

/* On its way out, but it may write yet: who asks now waits for that too. */
static bool
ending(const struct session *s)
{
	return s->finishing && !s->over;
}

/* ---- whole sessions ---- */

static int
store_sessions(struct revoking *v)
{
	int r = 0;

	for (struct session *s = v->m->sessions; r == 0 && s != NULL;
	     s = s->next) {
		if (!session_meant(v, s))
			continue;
		v->n++;
		r = state_session_end(v->m->state, s->id, SESSION_REVOKED);
	}
	return r;
}

static void
cut_sessions(struct revoking *v)
{
	for (struct session *s = v->m->sessions; s != NULL; s = s->next) {
		if (s->over || !session_named(v, s))
			continue;
		if (!s->finishing)
			finish_mark(s, SESSION_REVOKED);
		cuts_add(v->cuts, s, RULES_CUT_SESSION, "");
	}
}

/* ---- a token's family ---- */

/* v->family from a jti, a family's id or a whole token. */
static void
find_family(struct revoking *v)
{
	struct jwt_claims *c = calloc(1, sizeof(*c));
	struct token_row row;
	const char *key = v->name;

	if (c != NULL && token_read(v->m, span_str(v->name), c) == JWT_GOOD)
		key = c->fam;
	if (state_token_find(v->m->state, key, &row) == 0) {
		/* Revoked already: cut again, for that may be under way. */
		v->n = !row.revoked;
		memcpy(v->family, row.family, sizeof(v->family));
		v->family_session =
		    minter_session_id(v->m, span_str(row.session));
	}
	free(c);
}

static int
store_family(struct revoking *v)
{
	find_family(v);
	if (v->family[0] == '\0')
		return 0; /* the unknown is revoked already */
	return state_family_revoke(v->m->state, v->family);
}

static void
cut_family(struct revoking *v)
{
	struct session *s = v->family_session;

	if (s == NULL || s->over)
		return; /* its processes are dead */
	cuts_add_tree(v->cuts, s, v->family);
}

/* ---- grants and credentials within sessions ---- */

static enum change_by
by(const struct revoking *v)
{
	return strcmp(v->kind, "grant") == 0 ? CHANGE_GRANT : CHANGE_CREDENTIAL;
}

static int
store_changes(struct revoking *v)
{
	int r = 0;

	for (struct session *s = v->m->sessions; r == 0 && s != NULL;
	     s = s->next) {
		if (!s->finishing)
			r = change_drop(v->m, s, by(v), v->name, &v->n);
	}
	return r;
}

static void
cut_changes(struct revoking *v)
{
	enum rules_cut_kind kind =
	    by(v) == CHANGE_GRANT ? RULES_CUT_GRANT : RULES_CUT_CREDENTIAL;

	for (struct session *s = v->m->sessions; s != NULL; s = s->next) {
		bool busy = s->cuts > 0 || ending(s);
		if (s->over || (!s->changed && !busy))
			continue;
		cuts_add(v->cuts, s, kind, v->name);
		pair_publish(v->m, s);
	}
	change_spread(v->m, NULL, NULL);
}

static const struct kind {
	const char *name;
	int (*store)(struct revoking *v);
	void (*cut)(struct revoking *v);
} kinds[] = {
    {"session", store_sessions, cut_sessions},
    {"guest", store_sessions, cut_sessions},
    {"all", store_sessions, cut_sessions},
    {"token", store_family, cut_family},
    {"grant", store_changes, cut_changes},
    {"credential", store_changes, cut_changes},
};

/* What is written down has a size; a whole token is not written down. */
static bool
is_name(const struct kind *k, const json_t *v)
{
	size_t n = json_string_length(v);

	return json_is_string(v) && n > 0 &&
	       (n < STATE_NAME_MAX || strcmp(k->name, "token") == 0);
}

/* The one member, or NULL. */
static const struct kind *
find_kind(const json_t *body, const char **name)
{
	const struct kind *found = NULL;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const json_t *v = json_object_get(body, kinds[i].name);
		bool all = strcmp(kinds[i].name, "all") == 0;
		if (v == NULL)
			continue;
		if (found != NULL ||
		    (all ? !json_is_true(v) : !is_name(&kinds[i], v)))
			return NULL;
		*name = all ? "" : json_string_value(v);
		found = &kinds[i];
	}
	return json_object_size(body) == 1 ? found : NULL;
}

static int
store(struct revoking *v, const struct kind *k)
{
	struct state *st = v->m->state;
	int r;

	if ((r = state_begin(st)) != 0)
		return r;
	if ((r = k->store(v)) != 0) {
		state_rollback(st);
		return r;
	}
	return state_commit(st);
}

/* A whole token is no name to be written down. */
static const char *
recordable(const struct revoking *v)
{
	return strcmp(v->kind, "token") == 0 ? v->family : v->name;
}

static void
carry_out(struct revoking *v, const struct kind *k)
{
	struct minter *m = v->m;

	if (store(v, k) != 0)
		minter_fail(m, "state");
	/* Recorded in any case: if it cannot be, all is cut already. */
	if (minter_act(m, "revoked",
		json_pack("{s:s, s:s, s:s, s:I}", "by", "owner", "kind",
		    v->kind, "name", recordable(v), "revoked",
		    (json_int_t)v->n)) != 0)
		log_event(LOG_ERROR, "revocation_not_recorded",
		    LOG_STR("kind", v->kind));
	if (m->failed != NULL) {
		admin_problem(v->call, 503, "revocation not durable",
		    "Make room or mend the disk, start again, and revoke "
		    "again.",
		    "Everything is cut now, but the %s could not be "
		    "written.",
		    m->failed);
		free(v);
		return;
	}
	v->cuts = cuts_new(m, on_cut, v);
	k->cut(v);
	cuts_run(v->cuts);
}

static bool
is_ending(const struct minter *m, const char *key)
{
	for (const struct session *s = m->sessions; s != NULL; s = s->next) {
		if (ending(s) &&
		    (strcmp(s->id, key) == 0 || strcmp(s->guest, key) == 0))
			return true;
	}
	return false;
}

void
api_revoke(void *ctx, struct admin_call *call, const json_t *body)
{
	const char *name = NULL;
	const struct kind *k = find_kind(body, &name);
	struct minter *m = ctx;
	struct revoking *v;

	if (k == NULL) {
		admin_problem(call, 400, "bad argument",
		    "docs/admin-api.md shows the call.",
		    "Give exactly one of session, token, grant, credential, "
		    "guest, of 1 to %d bytes (of a token more), or all: true.",
		    STATE_NAME_MAX - 1);
		return;
	}
	if ((strcmp(k->name, "session") == 0 ||
		strcmp(k->name, "guest") == 0) &&
	    minter_session(m, name) == NULL && !is_ending(m, name)) {
		admin_problem(call, 404, "no such session",
		    "hatcheck session list", "No live session is called %s.",
		    name);
		return;
	}
	if ((v = calloc(1, sizeof(*v))) == NULL) {
		api_no_memory(call);
		return;
	}
	*v = (struct revoking){.m = m,
	    .call = call,
	    .kind = k->name,
	    .name = name,
	    .began_ms = clock_boot_ms()};
	carry_out(v, k);
}
