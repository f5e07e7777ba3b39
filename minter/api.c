/* SPDX-License-Identifier: ISC */
/* What for: the table of the admin API's calls, the small ones among them,
 * and what all share. Trusts: the caller is the owner; the words may still
 * be wrong. At a bound: a problem document. */
#include "minter/api.h"

#include "keys/json.h"
#include "lib/log.h"
#include "messages/keeper.h"
#include "minter/change.h"
#include "minter/document.h"
#include "minter/finish.h"
#include "minter/keyring.h"
#include "minter/open.h"

#include <stdlib.h>
#include <string.h>

#ifndef VERSION
#error "the Makefile defines VERSION"
#endif

/* ---- shared ---- */

bool
api_only(struct admin_call *call, const json_t *body, const char *const *names)
{
	const char *odd = NULL;

	if (json_only(body, names, &odd))
		return true;
	admin_problem(call, 400, "unknown argument",
	    "docs/admin-api.md shows the call.", "The call has no argument %s.",
	    odd == NULL ? "so" : odd);
	return false;
}

bool
api_text(struct admin_call *call, const json_t *body, const char *name,
    char *out, size_t size)
{
	if (json_text_copy(body, name, out, size) == 0)
		return true;
	admin_problem(call, 400, "bad argument",
	    "docs/admin-api.md shows the call.",
	    "%s must be a string of 1 to %zu bytes.", name, size - 1);
	return false;
}

void
api_no_memory(struct admin_call *call)
{
	admin_problem(call, 503, "out of memory", "Try again.",
	    "The minter could not get memory.");
}

void
api_clock_problem(struct admin_call *call)
{
	admin_problem(call, 503, "clock stepped back",
	    "Set the clock right. If it is, hatcheck stop and hatcheck start: "
	    "that ends all sessions.",
	    "The wall clock is more than a minute behind what it was.");
}

void
api_storage_problem(struct minter *m, struct admin_call *call)
{
	admin_problem(call, 503, "storage failed",
	    "Make room or mend the disk, then hatcheck stop and start again.",
	    "The %s could not be written, so nothing is forwarded and "
	    "nothing can be changed.",
	    m->failed == NULL ? "state" : m->failed);
}

bool
api_working(struct minter *m, struct admin_call *call)
{
	if (m->failed == NULL)
		return true;
	api_storage_problem(m, call);
	return false;
}

void
api_no_keys(struct minter *m, struct admin_call *call)
{
	const char *why, *next;

	keyring_why(m, &why, &next);
	admin_problem(call, 503, "vault not open", next, "%s%s%s", why,
	    m->vault_why[0] == '\0' ? "" : " ", m->vault_why);
}

bool
api_ready(struct minter *m, struct admin_call *call)
{
	if (!api_working(m, call))
		return false;
	if (minter_ready(m))
		return true;
	api_no_keys(m, call);
	return false;
}

bool
api_session(struct minter *m, struct admin_call *call, const char *key,
    struct session **out)
{
	struct session *s = minter_session(m, key);

	if (s == NULL) {
		admin_problem(call, 404, "no such session",
		    "hatcheck session list",
		    "No live session has this id or guest name: %s.", key);
		return false;
	}
	*out = s;
	return true;
}

bool
api_facts_failed(
    struct minter *m, struct admin_call *call, int err, const char *missing)
{
	if (err == 0)
		return false;
	if (err == ERR_NOT_FOUND)
		admin_problem(call, 422, "no such credential",
		    "hatcheck credential list; hatcheck credential add",
		    "The vault has no credential %s.", missing);
	else if (err == ERR_LOCKED || m->vault == NULL ||
		 m->vault_state != VAULT_OPEN)
		api_no_keys(m, call);
	else
		admin_problem(call, 503, "vault does not answer",
		    "hatcheck status; hatcheck logs",
		    "What is known of credential %s could not be had: %s.",
		    missing, err_text(err));
	return true;
}

bool
api_not_covered(
    struct admin_call *call, const struct facts *f, const struct grant_set *set)
{
	char why[512];

	if (facts_cover(f, set, why, sizeof(why)))
		return false;
	admin_problem(call, 422, "outside the credential's bindings",
	    "hatcheck credential bind, or leave the host out.", "%s.", why);
	return true;
}

bool
api_list_has(const json_t *list, const char *text)
{
	size_t i;
	json_t *t;

	json_array_foreach (list, i, t) {
		const char *have = json_string_value(t);
		if (have != NULL && strcmp(have, text) == 0)
			return true;
	}
	return false;
}

/* ---- status, shutdown, audit.paths ---- */

static json_t *
process(const struct process_row *p)
{
	return json_pack("{s:s, s:I, s:s, s:I, s:s}", "role",
	    link_role_name((enum link_role)p->role), "pid", (json_int_t)p->pid,
	    "state", minter_process_state(p->state), "restarts",
	    (json_int_t)p->restarts, "session", p->session);
}

static const char *
vault_state_name(unsigned state)
{
	static const char *const names[] = {
	    "absent", "open", "locked", "unavailable", "uninitialised"};

	return state < 5 ? names[state] : "unknown";
}

/* An open vault is of use only once our keys came out of it. */
static const char *
vault_word(const struct minter *m)
{
	if (m->vault_state == VAULT_OPEN &&
	    (m->token_keys == NULL || m->audit_keys == NULL))
		return "starting";
	return vault_state_name(m->vault_state);
}

static size_t
live_sessions(const struct minter *m)
{
	size_t n = 0;

	for (struct session *s = m->sessions; s != NULL; s = s->next)
		n += !s->finishing;
	return n;
}

/* Sessions whose own log takes no request any more. */
static json_t *
closed_logs(const struct minter *m)
{
	json_t *list = json_array();

	for (const struct session *s = m->sessions; s != NULL; s = s->next) {
		if (s->log != COUNTS_LOG_OK)
			(void)json_array_append_new(list,
			    json_pack("{s:s, s:s, s:s}", "session", s->id,
				"guest", s->guest, "state",
				s->log == COUNTS_LOG_FULL ? "full" : "failed"));
	}
	return list;
}

static void
api_status(void *ctx, struct admin_call *call, const json_t *body)
{
	struct minter *m = ctx;
	json_t *list = json_array();
	int64_t now;

	(void)body;
	for (size_t i = 0; i < m->n_processes; i++)
		(void)json_array_append_new(list, process(&m->processes[i]));
	admin_reply(
	    call, json_pack("{s:s, s:s, s:{s:s, s:s}, s:I, s:o, s:s, s:o, s:s}",
		      "version", VERSION, "build", link_build_id(), "vault",
		      "state", vault_word(m), "why", m->vault_why, "sessions",
		      (json_int_t)live_sessions(m), "processes", list, "audit",
		      m->failed == NULL ? "ok" : "failed", "closed_logs",
		      closed_logs(m), "clock",
		      clock_now(&m->clock, &now) == 0 ? "ok" : "stepped-back"));
}

struct stopping {
	struct minter *m;
	ev_timer timer;
};

static void
on_shutdown(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct stopping *s = w->data;

	(void)loop;
	(void)events;
	if (link_send(s->m->supervisor, &msg_shutdown, NULL, -1) != 0)
		log_event(LOG_WARN, "shutdown_not_sent",
		    LOG_STR("why", "the supervisor is gone"));
	free(s);
}

static void
api_shutdown(void *ctx, struct admin_call *call, const json_t *body)
{
	static const char *const names[] = {NULL};
	struct minter *m = ctx;
	struct stopping *s;

	if (!api_only(call, body, names))
		return;
	if ((s = calloc(1, sizeof(*s))) == NULL) {
		api_no_memory(call);
		return;
	}
	s->m = m;
	ev_timer_init(&s->timer, on_shutdown, 0.02, 0.); /* reply first */
	s->timer.data = s;
	ev_timer_start(m->loop, &s->timer);
	admin_reply(call, json_object());
}

static void
api_audit_paths(void *ctx, struct admin_call *call, const json_t *body)
{
	static const char *const names[] = {NULL};
	struct minter *m = ctx;

	if (api_only(call, body, names))
		admin_reply(call, json_pack("{s:s}", "dir", m->audit_dir));
}

/* ---- grants ---- */

static void
api_grant_apply(void *ctx, struct admin_call *call, const json_t *body)
{
	change_apply(ctx, call, body);
}

static void
api_grant_remove(void *ctx, struct admin_call *call, const json_t *body)
{
	change_remove(ctx, call, body);
}

static int
add_grant(void *ctx, const char *name, const char *json)
{
	json_t *o = json_strict(span_str(json));

	(void)name;
	return json_array_append_new(ctx, o) == 0 ? 0 : ERR_FORMAT;
}

static json_t *
list_grants(struct minter *m)
{
	json_t *list = json_array();

	if (list == NULL || state_grants(m->state, add_grant, list) == 0)
		return list;
	json_decref(list);
	return NULL;
}

static void
api_grant_list(void *ctx, struct admin_call *call, const json_t *body)
{
	static const char *const names[] = {NULL};
	json_t *list;

	if (!api_only(call, body, names))
		return;
	if ((list = list_grants(ctx)) == NULL)
		api_storage_problem(ctx, call);
	else
		admin_reply(call, json_pack("{s:o}", "grants", list));
}

static json_t *
find_grant(struct minter *m, const char *name)
{
	json_t *list = list_grants(m), *found = NULL, *g;
	size_t i;

	json_array_foreach (list, i, g) {
		if (strcmp(json_text(g, "name"), name) == 0)
			found = json_incref(g);
	}
	json_decref(list);
	return found;
}

bool
api_grant_exists(struct minter *m, struct admin_call *call, const char *name)
{
	json_t *g = find_grant(m, name);
	bool found = g != NULL;

	json_decref(g);
	if (!found)
		admin_problem(call, 404, "no such grant",
		    "hatcheck grant list", "No grant is called %s.", name);
	return found;
}

static void
api_grant_show(void *ctx, struct admin_call *call, const json_t *body)
{
	static const char *const names[] = {"name", NULL};
	char name[STATE_NAME_MAX];

	if (api_only(call, body, names) &&
	    api_text(call, body, "name", name, sizeof(name)) &&
	    api_grant_exists(ctx, call, name))
		admin_reply(call, find_grant(ctx, name));
}

/* ---- sessions ---- */

static void
api_session_create(void *ctx, struct admin_call *call, const json_t *body)
{
	open_session(ctx, call, body);
}

struct showing {
	struct minter *m;
	json_t *out;
};

static int
add_session(void *ctx, const struct session_row *row)
{
	struct showing *t = ctx;
	json_t *o = document_session_row(t->m, row);

	/* One that cannot be read any more is not shown. */
	return o == NULL || json_array_append_new(t->out, o) == 0 ? 0
								  : ERR_NOMEM;
}

static void
api_session_list(void *ctx, struct admin_call *call, const json_t *body)
{
	static const char *const names[] = {"all", NULL};
	struct minter *m = ctx;
	json_t *list = json_array();
	struct showing t = {m, list};
	bool all = false;
	int r = json_flag(body, "all", &all);

	if (!api_only(call, body, names)) {
		json_decref(list);
	} else if (r != 0 && r != ERR_NOT_FOUND) {
		json_decref(list);
		admin_problem(call, 400, "bad argument",
		    "docs/admin-api.md shows the call.",
		    "all must be true or false.");
	} else if (state_sessions(m->state, all, add_session, &t) != 0) {
		json_decref(list);
		api_storage_problem(m, call);
	} else {
		admin_reply(call, json_pack("{s:o}", "sessions", list));
	}
}

static int
take_session(void *ctx, const struct session_row *row)
{
	struct showing *t = ctx;

	t->out = document_session_row(t->m, row);
	return 0;
}

static void
api_session_show(void *ctx, struct admin_call *call, const json_t *body)
{
	static const char *const names[] = {"session", NULL};
	char key[STATE_NAME_MAX];
	struct minter *m = ctx;
	struct showing t = {m, NULL};

	if (!api_only(call, body, names) ||
	    !api_text(call, body, "session", key, sizeof(key)))
		return;
	if (state_session_find(m->state, key, take_session, &t) == 0)
		admin_reply(call, t.out);
	else
		admin_problem(call, 404, "no such session",
		    "hatcheck session list --all",
		    "No session has this id or guest name: %s.", key);
}

static void
on_session_ended(void *ctx)
{
	admin_reply(ctx, json_object());
}

static void
api_session_end(void *ctx, struct admin_call *call, const json_t *body)
{
	static const char *const names[] = {"session", NULL};
	char key[STATE_NAME_MAX];
	struct session *s;

	if (api_only(call, body, names) &&
	    api_text(call, body, "session", key, sizeof(key)) &&
	    api_session(ctx, call, key, &s))
		finish_session(ctx, s, SESSION_ENDED, "its owner ended it",
		    on_session_ended, call);
}

const struct admin_route api_routes[] = {
    {"GET", "/v1/status", api_status},
    {"GET", "/v1/metrics", api_metrics},
    {"POST", "/v1/shutdown", api_shutdown},
    {"POST", "/v1/grant.apply", api_grant_apply},
    {"POST", "/v1/grant.list", api_grant_list},
    {"POST", "/v1/grant.show", api_grant_show},
    {"POST", "/v1/grant.remove", api_grant_remove},
    {"POST", "/v1/grant.suggest", api_suggest},
    {"POST", "/v1/session.create", api_session_create},
    {"POST", "/v1/session.list", api_session_list},
    {"POST", "/v1/session.show", api_session_show},
    {"POST", "/v1/session.end", api_session_end},
    {"POST", "/v1/token.list", api_token_list},
    {"POST", "/v1/token.inspect", api_token_inspect},
    {"POST", "/v1/token.metadata", api_token_metadata},
    {"POST", "/v1/key.rotate", api_key_rotate},
    {"POST", "/v1/key.list", api_key_list},
    {"POST", "/v1/revoke", api_revoke},
    {"POST", "/v1/explain", api_explain},
    {"POST", "/v1/audit.paths", api_audit_paths},
};
const size_t api_n_routes = sizeof(api_routes) / sizeof(api_routes[0]);
