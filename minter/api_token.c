/* SPDX-License-Identifier: ISC */
/* What for: token.list and token.inspect (RFC 7662). Trusts: the caller is
 * the owner. At a bound: {"active":false} and nothing else. */
#include "minter/api.h"

#include "keys/json.h"
#include "minter/child.h"
#include "minter/token.h"
#include "scope/grant_json.h"

#include <stdlib.h>

struct listing {
	struct minter *m;
	json_t *list;
	int64_t now;
};

static const char *
family_state(const struct listing *t, const struct family_row *f,
    const struct session *s)
{
	if (f->revoked)
		return "revoked";
	if (s == NULL || s->finishing)
		return "ended";
	return f->expires <= t->now ? "expired" : "active";
}

static int
add_family(void *ctx, const struct family_row *f)
{
	struct listing *t = ctx;
	const struct session *s = minter_session_id(t->m, span_str(f->session));
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "family",
	    f->id, "jti", f->jti, "session", f->session, "guest",
	    s == NULL ? "" : s->guest, "issued", (json_int_t)f->issued,
	    "expires", (json_int_t)f->expires, "state", family_state(t, f, s));

	if (f->parent[0] != '\0')
		(void)json_object_set_new(o, "parent", json_string(f->parent));
	if (f->act[0] != '\0')
		(void)json_object_set_new(o, "act", json_string(f->act));
	return json_array_append_new(t->list, o) == 0 ? 0 : ERR_NOMEM;
}

static int
take_id(void *ctx, const struct session_row *row)
{
	return span_copy(span_str(row->id), ctx, STATE_ID_MAX);
}

void
api_token_list(void *ctx, struct admin_call *call, const json_t *body)
{
	static const char *const names[] = {"session", NULL};
	struct listing t = {.m = ctx, .now = clock_wall_ms() / 1000};
	char key[STATE_NAME_MAX], id[STATE_ID_MAX];
	bool one = json_object_get(body, "session") != NULL;

	if (!api_only(call, body, names) ||
	    (one && !api_text(call, body, "session", key, sizeof(key))))
		return;
	if (one && state_session_find(t.m->state, key, take_id, id) != 0) {
		admin_problem(call, 404, "no such session",
		    "hatcheck session list --all",
		    "No session has this id or guest name: %s.", key);
		return;
	}
	t.list = json_array();
	if (state_families(t.m->state, one ? id : NULL, add_family, &t) != 0) {
		json_decref(t.list);
		api_storage_problem(t.m, call);
		return;
	}
	admin_reply(call, json_pack("{s:o}", "tokens", t.list));
}

/* Live by our own books, whatever the token itself says. */
static bool
is_active(struct minter *m, const char *jti, struct token_row *row,
    struct session **s)
{
	if (state_token_find(m->state, jti, row) != 0 ||
	    strcmp(row->jti, jti) != 0 || row->revoked ||
	    row->expires <= clock_wall_ms() / 1000)
		return false;
	*s = minter_session_id(m, span_str(row->session));
	return *s != NULL && !(*s)->finishing &&
	       session_family(*s, row->family) != NULL;
}

/* The names, or of a narrower family all that it may. */
static json_t *
details(const struct session *s, const struct family *f)
{
	json_t *list;

	if (f->narrow)
		return grant_set_to_json(&f->details);
	list = json_array();
	for (size_t i = 0; i < s->grants.n; i++)
		(void)json_array_append_new(
		    list, json_pack("{s:s, s:s}", "type", "hatcheck-grant",
			      "name", s->grants.g[i].name));
	return list;
}

/* As the token has it: who acts, for whom, … */
static json_t *
actors(const struct session *s, const struct family *f)
{
	json_t *o, *above;

	while (f != NULL && !f->narrow)
		f = session_parent(s, f);
	if (f == NULL)
		return NULL;
	o = json_pack("{s:s}", "sub", f->row.act);
	if ((above = actors(s, session_parent(s, f))) != NULL)
		(void)json_object_set_new(o, "act", above);
	return o;
}

static json_t *
introspect(struct minter *m, const char *jti)
{
	struct token_row row;
	struct session *s;

	if (jti == NULL || !is_active(m, jti, &row, &s))
		return json_pack("{s:b}", "active", 0);
	const struct family *f = session_family(s, row.family);
	json_t *o = json_pack("{s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I,"
			 " s:o}",
	    "active", 1, "token_type", "Bearer", "iss", MINTER_ISSUER, "aud",
	    MINTER_AUDIENCE, "sub", s->id, "client_id", s->guest, "jti",
	    row.jti, "fam", row.family, "iat", (json_int_t)row.issued, "exp",
	    (json_int_t)row.expires, "authorization_details", details(s, f));
	json_t *act = actors(s, f);
	if (act != NULL)
		(void)json_object_set_new(o, "act", act);
	if (f->row.parent[0] != '\0')
		(void)json_object_set_new(o, "parents", child_parents(s, f));
	return o;
}

void
api_token_inspect(void *ctx, struct admin_call *call, const json_t *body)
{
	const char *token = json_text(body, "token"),
		   *jti = json_text(body, "jti");
	struct minter *m = ctx;
	struct jwt_claims *c;

	if (json_object_size(body) != 1 || (token == NULL && jti == NULL)) {
		admin_problem(call, 400, "bad argument",
		    "docs/admin-api.md shows the call.",
		    "Give exactly one of token and jti.");
		return;
	}
	if (token != NULL && m->token_keys == NULL) {
		api_no_keys(m, call);
		return;
	}
	if ((c = calloc(1, sizeof(*c))) == NULL) {
		api_no_memory(call);
		return;
	}
	if (token != NULL && token_read(m, span_str(token), c) == JWT_GOOD)
		jti = c->jti;
	admin_reply(call, introspect(m, jti));
	free(c);
}
