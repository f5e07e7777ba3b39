/* SPDX-License-Identifier: ISC */
/* What for: POST explain: which rule would allow or refuse a request, by
 * the courier's own code. Trusts: nothing. At a bound: says so. */
#include "minter/api.h"

#include "keys/json.h"
#include "scope/decide.h"
#include "scope/grant_json.h"
#include "scope/path.h"

#include <ctype.h>
#include <stdlib.h>

#define URL_MAX 8192

struct question {
	struct minter *m;
	struct admin_call *call;
	char session[STATE_ID_MAX];
	char method[33], url[URL_MAX];
	struct host host;
	uint16_t port;
	struct span target;
	struct grant_set only; /* for the bindings: the grant that allowed */
	enum reason reason;
	char grant[GRANT_NAME_MAX], credential[GRANT_NAME_MAX];
	size_t rule;
	bool tunnel;
};

static void
question_free(struct question *q)
{
	grant_set_free(&q->only);
	free(q);
}

static void
answer(struct question *q)
{
	const struct reason_row *row = reason_row(q->reason);
	bool allowed = q->reason == REASON_NONE;
	json_t *rule = allowed && !q->tunnel ? json_integer((json_int_t)q->rule)
					     : json_null();

	admin_reply(q->call,
	    json_pack("{s:b, s:s, s:s, s:s, s:s, s:o, s:s}", "allowed", allowed,
		"reason", row->word, "what",
		allowed && q->tunnel
		    ? "allowed, as a plain tunnel: nothing is read or added"
		    : row->what,
		"hint", row->hint, "grant", q->grant, "rule", rule,
		"credential", q->credential));
	question_free(q);
}

static void
refuse(struct question *q, enum reason reason)
{
	q->reason = reason;
	answer(q);
}

/* scheme://authority and the rest; the scheme decides the port. */
static enum reason
parse_url(struct question *q)
{
	const char *rest;
	uint16_t port = 443;
	struct target t;

	if (strncmp(q->url, "https://", 8) == 0)
		rest = q->url + 8;
	else if (strncmp(q->url, "http://", 7) == 0)
		rest = q->url + 7; /* goes upstream over TLS */
	else
		return REASON_BAD_HOST;
	size_t n = strcspn(rest, "/?#");
	if (host_parse_authority(span_of(rest, n), port, &q->host, &q->port) !=
	    0)
		return REASON_BAD_HOST;
	q->target = rest[n] == '\0' ? span_str("/") : span_str(rest + n);
	return target_parse(q->target, &t) != 0 ? REASON_BAD_PATH : REASON_NONE;
}

static bool
is_method(const char *s)
{
	for (; *s != '\0'; s++) {
		if (!isupper((unsigned char)*s) && *s != '-')
			return false;
	}
	return true;
}

static void
decide_on(const struct grant_set *set, const struct question *q,
    struct decide_result *out)
{
	struct decide_request r = {.host = q->host.name,
	    .port = q->port,
	    .method = span_str(q->method),
	    .target = q->target};

	decide(set, &r, out);
}

static int
add_revoked(void *ctx, const char *name, const char *json)
{
	json_t *o = json_strict(span_str(json));

	(void)name;
	return json_array_append_new(ctx, o) == 0 ? 0 : ERR_FORMAT;
}

/* Would what was taken from this session have allowed it? */
static bool
was_revoked(struct question *q)
{
	json_t *list = json_array();
	struct grant_set set = {0};
	struct decide_result was;
	char why[256];
	bool yes = false;

	if (state_revoked(q->m->state, q->session, add_revoked, list) == 0 &&
	    grant_set_from_json(list, &set, why, sizeof(why)) == 0) {
		decide_on(&set, q, &was);
		yes = was.reason == REASON_NONE;
		if (yes)
			(void)snprintf(
			    q->grant, sizeof(q->grant), "%s", was.grant->name);
	}
	grant_set_free(&set);
	json_decref(list);
	return yes;
}

static void
take_grant(struct question *q, const struct decide_result *d)
{
	if (d->grant == NULL)
		return;
	(void)snprintf(q->grant, sizeof(q->grant), "%s", d->grant->name);
	(void)snprintf(
	    q->credential, sizeof(q->credential), "%s", d->grant->credential);
	q->rule = d->rule;
}

static void
on_facts(void *ctx, int err, const char *missing, const struct facts *f)
{
	struct question *q = ctx;

	(void)missing;
	if (err == 0 && f->n == 1 &&
	    metadata_slot_for(&f->m[0], q->host.name, q->port) != NULL)
		answer(q);
	else
		refuse(q, err == 0 ? REASON_NOT_BOUND : REASON_NO_CREDENTIAL);
}

static void
check_binding(struct question *q, const struct session *s)
{
	struct grant_set one = {.g = session_grant(s, q->grant), .n = 1};

	if (q->credential[0] == '\0')
		answer(q);
	else if (session_grants_copy(&one, &q->only) != 0)
		refuse(q, REASON_INTERNAL);
	else
		facts_gather(q->m, &q->only, on_facts, q);
}

static bool
is_tunnel(struct question *q, const struct session *s)
{
	if (decide_connect(&s->grants, q->host.name, q->port) != DECIDE_TUNNEL)
		return false;
	for (size_t i = 0; i < s->grants.n; i++) {
		const struct grant *g = &s->grants.g[i];
		for (size_t j = 0; g->tunnel && j < g->n_hosts; j++) {
			if (g->hosts[j].port == q->port &&
			    host_pattern_match(
				g->hosts[j].pattern, q->host.name))
				(void)snprintf(
				    q->grant, sizeof(q->grant), "%s", g->name);
		}
	}
	q->tunnel = true;
	return true;
}

static void
explain(struct question *q, const struct session *s)
{
	struct decide_result d = {0};
	enum reason r = parse_url(q);

	if (r != REASON_NONE || !is_method(q->method)) {
		refuse(q, r != REASON_NONE ? r : REASON_BAD_REQUEST);
		return;
	}
	if (s->expires_ms <= clock_boot_ms()) {
		refuse(q, REASON_TOKEN_EXPIRED);
		return;
	}
	if (is_tunnel(q, s)) {
		answer(q);
		return;
	}
	decide_on(&s->grants, q, &d);
	take_grant(q, &d);
	if (d.reason == REASON_NONE)
		check_binding(q, s);
	else
		refuse(q, was_revoked(q) ? REASON_REVOKED : d.reason);
}

/* The session meant; one that has ended answers for itself. */
static int
on_ended(void *ctx, const struct session_row *row)
{
	*(int64_t *)ctx = row->state;
	return 0;
}

static bool
find_session(struct question *q, const char *key, struct session **out)
{
	struct session *only = NULL;
	size_t n = 0;
	int64_t state = 0;

	for (struct session *s = q->m->sessions; s != NULL; s = s->next) {
		if (!s->finishing) {
			only = s;
			n++;
		}
	}
	*out = key == NULL ? (n == 1 ? only : NULL) : minter_session(q->m, key);
	if (*out != NULL) {
		memcpy(q->session, (*out)->id, sizeof(q->session));
		return true;
	}
	if (key != NULL &&
	    state_session_find(q->m->state, key, on_ended, &state) == 0) {
		refuse(q, state == SESSION_REVOKED ? REASON_REVOKED
						   : REASON_TOKEN_EXPIRED);
		return false;
	}
	admin_problem(q->call, key == NULL ? 400 : 404, "no such session",
	    "hatcheck session list",
	    key == NULL ? "%zu sessions are live: say which one."
			: "No session has this id or guest name.",
	    n);
	question_free(q);
	return false;
}

void
api_explain(void *ctx, struct admin_call *call, const json_t *body)
{
	static const char *const names[] = {"session", "method", "url", NULL};
	char key[STATE_NAME_MAX] = "";
	struct question *q;
	struct session *s;

	if (!api_only(call, body, names))
		return;
	if ((q = calloc(1, sizeof(*q))) == NULL) {
		api_no_memory(call);
		return;
	}
	q->m = ctx;
	q->call = call;
	if (!api_text(call, body, "method", q->method, sizeof(q->method)) ||
	    !api_text(call, body, "url", q->url, sizeof(q->url)) ||
	    (json_object_get(body, "session") != NULL &&
		!api_text(call, body, "session", key, sizeof(key)))) {
		question_free(q);
		return;
	}
	if (find_session(q, key[0] == '\0' ? NULL : key, &s))
		explain(q, s);
}
