/* SPDX-License-Identifier: ISC */
/* What for: the beginning of a session. Trusts: the vault's bindings over
 * the caller's grants. At a bound: no session, and nothing left of it. */
#include "minter/open.h"

#include "keys/json.h"
#include "lib/log.h"
#include "messages/control.h"
#include "minter/api.h"
#include "minter/change.h"
#include "minter/channel.h"
#include "minter/document.h"
#include "minter/finish.h"
#include "minter/links.h"
#include "scope/grant_json.h"
#include "scope/narrow.h"

#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

struct opening {
	struct minter *m;
	struct admin_call *call; /* NULL: answered */
	struct session *s;
	json_t *read;  /* the named grants, as they were found */
	bool recorded; /* s is in the list and the database */
	uint64_t ttl;
	int64_t deadline_ms;
};

static void
opening_free(struct opening *o)
{
	if (!o->recorded)
		session_free(o->s);
	json_decref(o->read);
	free(o);
}

/* ---- what the caller asks for ---- */

static bool
read_guest(struct opening *o, const json_t *body)
{
	struct session *s = o->s;
	const json_t *v = json_object_get(body, "guest");
	const char *name = json_string_value(v);

	if (v == NULL || (name != NULL && name[0] == '\0')) {
		do {
			(void)snprintf(s->guest, sizeof(s->guest), "run-%04x",
			    randombytes_uniform(0x10000));
		} while (minter_session(o->m, s->guest) != NULL);
		return true;
	}
	if (name == NULL || !session_name_ok(name)) {
		admin_problem(o->call, 400, "bad guest name",
		    "Use a-z, 0-9, dot, hyphen, underscore; not s-….",
		    "The guest's name is malformed.");
		return false;
	}
	(void)snprintf(s->guest, sizeof(s->guest), "%s", name);
	if (minter_session(o->m, name) == NULL)
		return true;
	admin_problem(o->call, 409, "guest name taken",
	    "End that session, or choose another name.",
	    "A live session has the guest name %s.", name);
	return false;
}

static bool
read_ttl(struct opening *o, const json_t *body)
{
	int r = json_u64(body, "ttl", OPEN_TTL_MAX, &o->ttl);

	if (r == ERR_NOT_FOUND || (r == 0 && o->ttl == 0))
		o->ttl = OPEN_TTL_DEFAULT;
	else if (r != 0) {
		admin_problem(o->call, 400, "bad ttl",
		    "Give seconds, at most 30 days.",
		    "ttl is no number of seconds from 1 to %d.", OPEN_TTL_MAX);
		return false;
	}
	return true;
}

/* The process with which it ends: its number, and when it began. */
static bool
read_process(struct opening *o, const json_t *body)
{
	static const char *const names[] = {"pid", "started", NULL};
	const json_t *p = json_object_get(body, "process");
	uint64_t pid = 0, started = 0;

	if (p == NULL)
		return true;
	if (!api_only(o->call, p, names))
		return false;
	if (json_u64(p, "pid", INT32_MAX, &pid) != 0 || pid == 0 ||
	    json_u64(p, "started", INT64_MAX, &started) != 0) {
		admin_problem(o->call, 400, "bad process",
		    "Give {\"pid\":n,\"started\":n}; docs/admin-api.md.",
		    "process names no process.");
		return false;
	}
	o->s->process = (struct procid){(uint32_t)pid, started};
	return true;
}

struct finding {
	const char *name;
	json_t *found;
};

static int
on_grant(void *ctx, const char *name, const char *json)
{
	struct finding *f = ctx;

	if (f->found == NULL && strcmp(name, f->name) == 0)
		f->found = json_strict(span_str(json));
	return 0;
}

/* The named grant as it is now; NULL: there is none. */
static json_t *
find_grant(struct minter *m, const char *name)
{
	struct finding f = {.name = name};

	if (name != NULL && state_grants(m->state, on_grant, &f) == 0)
		return f.found;
	json_decref(f.found);
	return NULL;
}

static bool
add_named(struct opening *o, const char *name, json_t *list)
{
	json_t *found = find_grant(o->m, name);

	if (found == NULL) {
		admin_problem(o->call, 422, "no such grant",
		    "hatcheck grant list; hatcheck grant apply FILE",
		    "No grant is called %s.", name == NULL ? "so" : name);
		return false;
	}
	if (json_object_set_new(o->read, name, found) != 0 ||
	    json_array_append(list, found) != 0 ||
	    json_array_append_new(o->s->named, json_string(name)) != 0) {
		api_no_memory(o->call);
		return false;
	}
	return true;
}

/* While the vault was asked, a grant may have been changed or removed, and
 * its owner told that it is so in every session. */
static bool
still_as_read(struct opening *o)
{
	const char *name;
	json_t *was;

	json_object_foreach (o->read, name, was) {
		json_t *is = find_grant(o->m, name);
		bool same = json_equal(is, was) != 0;

		json_decref(is);
		if (same)
			continue;
		admin_problem(o->call, 409, "grant changed", "Try again.",
		    "The grant %s was changed or removed while the session "
		    "was being made.",
		    name);
		return false;
	}
	return true;
}

static bool
collect_grants(struct opening *o, const json_t *body, json_t *list)
{
	const json_t *named = json_object_get(body, "grants");
	const json_t *details = json_object_get(body, "details");
	size_t i;
	json_t *g;

	if ((named != NULL && !json_is_array(named)) ||
	    (details != NULL && !json_is_array(details)) ||
	    json_array_size(named) > SESSION_GRANTS_MAX) {
		admin_problem(o->call, 400, "bad argument",
		    "docs/admin-api.md shows the call.",
		    "grants and details must be arrays, of %d together.",
		    SESSION_GRANTS_MAX);
		return false;
	}
	json_array_foreach(named, i, g)
	{
		if (!add_named(o, json_string_value(g), list))
			return false;
	}
	json_array_foreach(details, i, g)
	{
		if (json_array_append(list, g) != 0) {
			api_no_memory(o->call);
			return false;
		}
	}
	return true;
}

static bool
read_grants(struct opening *o, const json_t *body)
{
	json_t *list = json_array();
	char why[512];
	bool good = false;

	if (!collect_grants(o, body, list))
		goto out;
	if (grant_set_from_json(list, &o->s->grants, why, sizeof(why)) != 0 ||
	    !document_check(&o->s->grants, why, sizeof(why))) {
		admin_problem(o->call, 422, "bad grant",
		    "Mend the grant; no session was made.", "%s", why);
		goto out;
	}
	good = true;
out:
	json_decref(list);
	return good;
}

/* ---- making it ---- */

static int
fill(struct opening *o, const struct facts *f, int64_t now)
{
	struct session *s = o->s;
	struct buf *b = buf_new(64);
	uint8_t random[16];
	int r;

	if (b == NULL)
		return ERR_NOMEM;
	s->m = o->m;
	session_random_id(s->id, "s-");
	s->created = now;
	s->expires = now + (int64_t)o->ttl;
	s->expires_ms = clock_boot_ms() + (int64_t)o->ttl * 1000;
	randombytes_buf(random, sizeof(random));
	if ((r = b64url_put(span_of(random, sizeof(random)), b)) == 0 &&
	    (r = span_copy(
		 buf_span(b), s->base_random, sizeof(s->base_random))) == 0 &&
	    (r = session_placeholders(
		 s->placeholders, &s->grants, f->m, f->n)) == 0)
		r = change_until(s, now);
	buf_free(b);
	return r;
}

static json_t *
grant_names(const struct session *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->grants.n; i++)
		(void)json_array_append_new(
		    list, json_string(s->grants.g[i].name));
	return list;
}

static bool
record(struct opening *o)
{
	struct minter *m = o->m;
	struct session *s = o->s;

	if (minter_act(m, "session_created",
		json_pack("{s:s, s:s, s:o, s:I, s:I, s:s, s:I}", "session", s->id,
		    "guest", s->guest, "grants", grant_names(s), "expires",
		    (json_int_t)s->expires, "uid", (json_int_t)s->channel_uid,
		    "channel", s->channel_dir, "pid",
		    (json_int_t)s->process.pid)) != 0)
		return false;
	if (session_save(m->state, s, m->boot_id) != 0) {
		minter_fail(m, "state");
		return false;
	}
	o->recorded = true;
	s->next = m->sessions;
	m->sessions = s;
	m->n_sessions++;
	return true;
}

static void
give_up(struct opening *o, unsigned status, const char *what)
{
	struct session *s = o->s;

	s->opening = NULL;
	admin_problem(o->call, status, "session not started",
	    "hatcheck status; hatcheck logs", "%s", what);
	opening_free(o);
	if (!s->finishing)
		finish_session(
		    s->m, s, SESSION_ENDED, "it did not start", NULL, NULL);
}

static void
on_started(void *ctx, int err, const void *answer)
{
	struct session *s = ctx;
	struct minter *m = s->m;
	const struct ctl_done *d = answer;
	char detail[513] = "the supervisor does not answer";

	if (err != 0 && d != NULL)
		log_escape(d->detail, detail, sizeof(detail));
	if (err == 0 && s->channel_ours &&
	    span_copy(d->channel_dir, s->channel_dir, sizeof(s->channel_dir)) !=
		0)
		err = ERR_FORMAT;
	if (err == 0 && !s->finishing &&
	    session_save(m->state, s, m->boot_id) != 0) {
		minter_fail(m, "state");
		err = ERR_IO;
	}
	if (err == 0) {
		s->started = true;
		open_progress(m, s);
		return;
	}
	log_event(LOG_ERROR, "session_not_started", LOG_STR("session", s->id),
	    LOG_STR("why", detail), LOG_ERR(err));
	if (s->opening != NULL)
		give_up(s->opening, 503, detail);
	else if (!s->finishing)
		finish_session(
		    m, s, SESSION_ENDED, "it did not start", NULL, NULL);
}

static void
on_facts(void *ctx, int err, const char *missing, const struct facts *f)
{
	struct opening *o = ctx;
	struct minter *m = o->m;
	int64_t now;

	if (api_facts_failed(m, o->call, err, missing) ||
	    api_not_covered(o->call, f, &o->s->grants)) {
		opening_free(o);
		return;
	}
	if (clock_now(&m->clock, &now) != 0) {
		api_clock_problem(o->call);
		opening_free(o);
		return;
	}
	/* Somebody may have been faster meanwhile. */
	if (minter_session(m, o->s->guest) != NULL) {
		admin_problem(o->call, 409, "guest name taken",
		    "End that session, or choose another name.",
		    "A live session has the guest name %s.", o->s->guest);
		opening_free(o);
		return;
	}
	if (!channel_is_free(m, o->call, o->s) || !still_as_read(o)) {
		opening_free(o);
		return;
	}
	if (fill(o, f, now) != 0) {
		api_no_memory(o->call);
		opening_free(o);
		return;
	}
	if (!record(o)) {
		api_storage_problem(m, o->call);
		opening_free(o);
		return;
	}
	o->s->opening = o;
	o->deadline_ms = clock_boot_ms() + OPEN_WAIT_MS;
	links_start(m, o->s, on_started, o->s);
}

void
open_session(struct minter *m, struct admin_call *call, const json_t *body)
{
	static const char *const names[] = {
	    "guest", "grants", "details", "ttl", "channel",
	    "process", NULL};
	struct opening *o;

	if (!api_only(call, body, names) || !api_ready(m, call))
		return;
	if (m->n_sessions >= MINTER_SESSIONS_MAX) {
		admin_problem(call, 429, "too many sessions",
		    "hatcheck session list; hatcheck session end",
		    "%d sessions are live.", MINTER_SESSIONS_MAX);
		return;
	}
	o = calloc(1, sizeof(*o));
	if (o == NULL || (o->read = json_object()) == NULL ||
	    (o->s = session_new()) == NULL) {
		if (o != NULL)
			json_decref(o->read);
		free(o);
		api_no_memory(call);
		return;
	}
	o->m = m;
	o->call = call;
	if (read_guest(o, body) && read_ttl(o, body) && read_process(o, body) &&
	    channel_read(call, body, o->s) &&
	    read_grants(o, body))
		facts_gather(m, &o->s->grants, on_facts, o);
	else
		opening_free(o);
}

void
open_progress(struct minter *m, struct session *s)
{
	struct opening *o = s->opening;

	(void)m;
	if (o == NULL || !s->started || !s->gate_told || !s->courier_told)
		return;
	/* A guest that hears of it at once finds both told. */
	if (link_flush(s->gate, 100) != 0 || link_flush(s->courier, 100) != 0)
		return; /* broken: told again, or the deadline */
	s->opening = NULL;
	admin_reply(o->call, document_session(s));
	opening_free(o);
}

void
open_failed(struct minter *m, struct session *s)
{
	struct opening *o = s->opening;

	(void)m;
	if (o != NULL)
		give_up(o, 503, "The session ended before it had begun.");
}

void
open_tick(struct minter *m)
{
	int64_t now = clock_boot_ms();

	for (struct session *s = m->sessions; s != NULL; s = s->next) {
		struct opening *o = s->opening;
		if (o != NULL && o->deadline_ms <= now)
			give_up(o, 503,
			    "Its gate and courier were not ready in time.");
	}
}

/* ---- at start ---- */

struct restoring {
	struct minter *m;
	int64_t now;
	struct session **tail;
	int64_t latest; /* of what was created */
};

static int
read_details(const char *text, struct grant_set *out)
{
	json_t *o = json_strict(span_str(text));
	char why[256];
	int r = o == NULL ? ERR_FORMAT
			  : narrow_read(o, out, why, sizeof(why));

	json_decref(o);
	return r;
}

static int
on_family(void *ctx, const struct family_row *row)
{
	struct restoring *t = ctx;
	struct session *s = minter_session_id(t->m, span_str(row->session));
	struct family *f;

	if (s == NULL || row->revoked || row->expires <= t->now)
		return 0;
	if ((f = calloc(1, sizeof(*f))) == NULL)
		return ERR_NOMEM;
	f->row = *row;
	f->row.details = NULL;
	if (row->details[0] != '\0') {
		int r = read_details(row->details, &f->details);
		if (r != 0) {
			free(f);
			/* Not told of it, gate and courier refuse it. */
			log_event(LOG_ERROR, "family_unreadable",
			    LOG_STR("family", row->id), LOG_ERR(r));
			return r == ERR_NOMEM ? r : 0;
		}
		f->narrow = true;
	}
	/* Tokens are short: the wall clock is good enough after a reboot,
	 * and within one boot it is never longer than was promised. */
	int64_t left = clock_boot_ms() + (row->expires - t->now) * 1000;
	if (row->expires_ms > left || row->expires_ms <= 0)
		f->row.expires_ms = left;
	f->next = s->families;
	s->families = f;
	return 0;
}

static int
on_used(void *ctx, const char *grant, const struct used_row *u)
{
	struct session *s = ctx;
	json_t *o =
	    json_pack("{s:I, s:I, s:I}", "requests", (json_int_t)u->requests,
		"up", (json_int_t)u->up, "down", (json_int_t)u->down);

	return json_object_set_new(s->used, grant, o) == 0 ? 0 : ERR_NOMEM;
}

static int
on_session(void *ctx, const struct session_row *row)
{
	struct restoring *t = ctx;
	struct minter *m = t->m;
	struct session *s = NULL;
	int r = session_load(row, m->boot_id, t->now, clock_boot_ms(), &s);

	if (r != 0) {
		/* A row that we wrote and cannot read: not this one session
		 * alone, so it is left for a person to look at. */
		log_event(LOG_ERROR, "session_unreadable",
		    LOG_STR("session", row->id), LOG_ERR(r));
		return r == ERR_NOMEM ? r : 0;
	}
	s->m = m;
	*t->tail = s;
	t->tail = &s->next;
	m->n_sessions++;
	return 0;
}

int
open_restore(struct minter *m)
{
	struct restoring t = {.m = m, .tail = &m->sessions};
	int r;

	t.now = clock_wall_ms() / 1000;
	if ((r = state_sessions(m->state, false, on_session, &t)) != 0 ||
	    (r = state_families(m->state, NULL, on_family, &t)) != 0)
		return r;
	for (struct session *s = m->sessions; r == 0 && s != NULL;
	     s = s->next) {
		session_families_sweep(s, clock_boot_ms());
		r = state_used(m->state, s->id, on_used, s);
		session_used_sweep(s);
	}
	return r;
}

void
open_restart(struct minter *m)
{
	for (struct session *s = m->sessions; s != NULL; s = s->next) {
		if (s->expires_ms <= clock_boot_ms())
			continue; /* the tick ends it */
		links_start(m, s, on_started, s);
	}
}
