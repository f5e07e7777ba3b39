/* SPDX-License-Identifier: ISC */
/* What for: grants given to and taken from running sessions. Trusts: the
 * vault's bindings over any grant. At a bound: nothing is applied. */
#include "minter/change.h"

#include "keys/json.h"
#include "lib/log.h"
#include "minter/api.h"
#include "minter/document.h"
#include "minter/links.h"
#include "minter/pair.h"
#include "scope/grant_json.h"

#include <stdlib.h>

static void
forget_name(json_t *list, const char *name)
{
	for (size_t i = json_array_size(list); i-- > 0;) {
		const char *have = json_string_value(json_array_get(list, i));
		if (have != NULL && strcmp(have, name) == 0)
			(void)json_array_remove(list, i); /* in range */
	}
}

static int
drop_one(struct minter *m, struct session *s, size_t i)
{
	const struct grant *g = &s->grants.g[i];
	json_t *o = grant_to_json(g);
	char *text = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);
	int r = text == NULL
		    ? ERR_NOMEM
		    : state_revoked_put(m->state, s->id, g->name, text);

	json_decref(o);
	free(text);
	if (r != 0)
		return r;
	forget_name(s->named, g->name);
	(void)json_object_del(s->until, g->name); /* may have none */
	session_grants_remove(&s->grants, i);
	return 0;
}

int
change_drop(struct minter *m, struct session *s, enum change_by by,
    const char *name, size_t *n)
{
	size_t dropped = 0;
	int r = 0;

	for (size_t i = s->grants.n; r == 0 && i-- > 0;) {
		const struct grant *g = &s->grants.g[i];
		const char *have = by == CHANGE_GRANT ? g->name : g->credential;
		if (strcmp(have, name) != 0)
			continue;
		r = drop_one(m, s, i);
		dropped++;
	}
	if (r != 0 || dropped == 0)
		return r;
	session_placeholders_sweep(s->placeholders, &s->grants);
	s->changed = true;
	*n += dropped;
	return session_save(m->state, s, m->boot_id);
}

int
change_until(struct session *s, int64_t now)
{
	int64_t now_ms = clock_boot_ms();

	for (size_t i = 0; i < s->grants.n; i++) {
		const struct grant *g = &s->grants.g[i];
		int64_t ttl = (int64_t)g->ttl_s;

		if (ttl == 0 || json_object_get(s->until, g->name) != NULL)
			continue;
		if (json_object_set_new(s->until, g->name,
			json_pack("[I, I]", (json_int_t)now + ttl,
			    (json_int_t)now_ms + ttl * 1000)) != 0)
			return ERR_NOMEM;
	}
	return 0;
}

/* ---- telling ---- */

struct spread {
	struct minter *m;
	size_t left;
	cut_done *done;
	void *ctx;
};

struct told {
	struct spread *spread;
	char session[STATE_ID_MAX];
};

static void
spread_release(struct spread *p)
{
	if (--p->left > 0)
		return;
	if (p->done != NULL)
		p->done(p->ctx);
	free(p);
}

static void
on_holds(void *ctx)
{
	struct told *t = ctx;

	spread_release(t->spread);
	free(t);
}

/* The caller hears of it when it is true: rules that take something away
 * have cut it by then. One that nobody has used yet has nothing to cut. */
static void
await(struct minter *m, struct session *s, struct told *t)
{
	struct cuts *c = cuts_new(m, on_holds, t);

	if (t->spread->done != NULL && s != NULL && !s->finishing &&
	    s->opening == NULL)
		cuts_add(c, s, RULES_CUT_NOTHING, "");
	cuts_run(c);
}

static void
on_described(void *ctx, int err, const void *answer)
{
	struct told *t = ctx;
	struct minter *m = t->spread->m;
	struct session *s = minter_session_id(m, span_str(t->session));

	(void)answer;
	/* Vault and dialer still hold to what they knew: safe, so go on. */
	if (err != 0)
		log_event(LOG_WARN, "session_not_described",
		    LOG_STR("session", t->session), LOG_ERR(err));
	if (s != NULL)
		pair_publish(m, s);
	await(m, s, t);
}

void
change_spread(struct minter *m, cut_done *done, void *ctx)
{
	struct spread *p = calloc(1, sizeof(*p));

	if (p == NULL)
		log_fatal("out_of_memory", "cannot tell of a change");
	*p = (struct spread){.m = m, .left = 1, .done = done, .ctx = ctx};
	for (struct session *s = m->sessions; s != NULL; s = s->next) {
		struct told *t;

		if (!s->changed)
			continue;
		s->changed = false;
		if (s->finishing)
			continue;
		if ((t = calloc(1, sizeof(*t))) == NULL)
			log_fatal("out_of_memory", "cannot tell of a change");
		t->spread = p;
		memcpy(t->session, s->id, sizeof(t->session));
		p->left++;
		links_describe(m, s, on_described, t);
	}
	spread_release(p);
}

/* ---- ttl ---- */

static const char *
next_ended(const struct session *s, int64_t now_ms)
{
	const char *name;
	json_t *pair;

	json_object_foreach (s->until, name, pair) {
		if (json_integer_value(json_array_get(pair, 1)) <= now_ms)
			return name;
	}
	return NULL;
}

static void
nothing(void *ctx)
{
	(void)ctx;
}

static void
end_grant(struct minter *m, struct session *s, const char *until_name)
{
	char name[STATE_NAME_MAX];
	size_t n = 0;

	(void)snprintf(name, sizeof(name), "%s", until_name);
	(void)json_object_del(s->until, name); /* so that this ends */
	if (state_begin(m->state) != 0 ||
	    change_drop(m, s, CHANGE_GRANT, name, &n) != 0 ||
	    state_commit(m->state) != 0)
		minter_fail(m, "state");
	if (minter_act(m, "grant_expired",
		json_pack("{s:s, s:s}", "session", s->id, "grant", name)) != 0)
		return; /* everything is cut already */
	struct cuts *c = cuts_new(m, nothing, NULL);
	cuts_add(c, s, RULES_CUT_GRANT, name);
	pair_publish(m, s);
	cuts_run(c);
}

void
change_tick(struct minter *m)
{
	int64_t now_ms = clock_boot_ms();
	bool any = false;

	for (struct session *s = m->sessions; s != NULL; s = s->next) {
		const char *name;
		while (!s->finishing && m->failed == NULL &&
		       (name = next_ended(s, now_ms)) != NULL) {
			end_grant(m, s, name);
			any = true;
		}
	}
	if (any)
		change_spread(m, NULL, NULL);
}

/* ---- grant.apply ---- */

/* What becomes of one session. */
struct plan {
	struct session *s;
	struct grant_set grants;
	json_t *placeholders, *until, *named;
	char (*removed)[STATE_NAME_MAX];
	size_t n_removed;
};

struct apply {
	struct minter *m;
	struct admin_call *call;
	struct grant_set set;
	bool replace;
	struct plan *plans;
	size_t n_plans;
	int64_t now;
};

static void
plan_free(struct plan *p)
{
	grant_set_free(&p->grants);
	json_decref(p->placeholders);
	json_decref(p->until);
	json_decref(p->named);
	free(p->removed);
}

static void
apply_free(struct apply *a)
{
	for (size_t i = 0; i < a->n_plans; i++)
		plan_free(&a->plans[i]);
	free(a->plans);
	grant_set_free(&a->set);
	free(a);
}

static const struct grant *
set_find(const struct grant_set *set, const char *name)
{
	for (size_t i = 0; i < set->n; i++) {
		if (strcmp(set->g[i].name, name) == 0)
			return &set->g[i];
	}
	return NULL;
}

/* The session's grants with those of set in place of, or beside, them. */
static int
merge(const struct session *s, const struct apply *a, struct plan *p)
{
	json_t *list = json_array();
	char why[256];
	size_t i;
	json_t *name;
	int r = list == NULL ? ERR_NOMEM : 0;

	for (i = 0; i < s->grants.n; i++) {
		const char *n = s->grants.g[i].name;
		bool follows = api_list_has(s->named, n);
		const struct grant *g = follows ? set_find(&a->set, n) : NULL;

		if (g == NULL && follows && a->replace) {
			memcpy(p->removed[p->n_removed++], n, strlen(n) + 1);
			forget_name(p->named, n);
			(void)json_object_del(p->until, n); /* may be none */
			continue;
		}
		json_t *was = grant_to_json(&s->grants.g[i]);
		json_t *is = g == NULL ? json_incref(was) : grant_to_json(g);
		if (!json_equal(was, is))
			(void)json_object_del(p->until, n); /* runs anew */
		json_decref(was);
		if (json_array_append_new(list, is) != 0)
			r = ERR_NOMEM;
	}
	/* A followed grant that the session has lost by its ttl. */
	json_array_foreach (s->named, i, name) {
		const char *n = json_string_value(name);
		const struct grant *g = set_find(&a->set, n);
		if (g != NULL && session_grant(s, n) == NULL &&
		    json_array_append_new(list, grant_to_json(g)) != 0)
			r = ERR_NOMEM;
	}
	if (r == 0)
		r = grant_set_from_json(list, &p->grants, why, sizeof(why));
	json_decref(list);
	return r;
}

static bool
same_set(const struct grant_set *a, const struct grant_set *b)
{
	json_t *x = grant_set_to_json(a), *y = grant_set_to_json(b);
	bool same = x != NULL && json_equal(x, y);

	json_decref(x);
	json_decref(y);
	return same;
}

/* 0 and *changed, or an err; why: when it is ERR_ARGUMENT. */
static int
make_plan(struct apply *a, struct session *s, const struct facts *f,
    struct plan *p, bool *changed, char *why, size_t size)
{
	int r;

	p->s = s;
	p->placeholders = json_deep_copy(s->placeholders);
	p->until = json_deep_copy(s->until);
	p->named = json_deep_copy(s->named);
	p->removed = calloc(s->grants.n + 1, sizeof(p->removed[0]));
	if (p->placeholders == NULL || p->until == NULL || p->named == NULL ||
	    p->removed == NULL)
		return ERR_NOMEM;
	if ((r = merge(s, a, p)) != 0)
		return r;
	*changed = !same_set(&s->grants, &p->grants);
	if (*changed && !document_check(&p->grants, why, size))
		return ERR_ARGUMENT;
	session_placeholders_sweep(p->placeholders, &p->grants);
	return session_placeholders(p->placeholders, &p->grants, f->m, f->n);
}

static int
make_plans(struct apply *a, const struct facts *f, char *why, size_t size)
{
	a->plans = calloc(a->m->n_sessions + 1, sizeof(*a->plans));
	if (a->plans == NULL)
		return ERR_NOMEM;
	for (struct session *s = a->m->sessions; s != NULL; s = s->next) {
		struct plan *p = &a->plans[a->n_plans];
		bool changed = false;
		int r;

		if (s->finishing)
			continue;
		a->n_plans++;
		r = make_plan(a, s, f, p, &changed, why, size);
		if (r != 0)
			return r;
		if (!changed) {
			plan_free(p);
			memset(p, 0, sizeof(*p));
			a->n_plans--;
		}
	}
	return 0;
}

#define SWAP(a, b)                         \
	do {                               \
		__typeof__(a) swap_ = (a); \
		(a) = (b);                 \
		(b) = swap_;               \
	} while (0)

static int
commit_plan(struct apply *a, struct plan *p)
{
	struct session *s = p->s;
	int r;

	if (s == NULL)
		abort(); /* make_plan() set it */
	SWAP(s->grants, p->grants);
	SWAP(s->placeholders, p->placeholders);
	SWAP(s->until, p->until);
	SWAP(s->named, p->named);
	s->changed = true;
	if ((r = change_until(s, a->now)) != 0)
		return r;
	return session_save(a->m->state, s, a->m->boot_id);
}

static int
remove_others(void *ctx, const char *name, const char *json)
{
	struct apply *a = ctx;

	(void)json;
	return set_find(&a->set, name) != NULL
		   ? 0
		   : state_grant_remove(a->m->state, name);
}

static int
put_grants(struct apply *a)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->set.n; i++) {
		json_t *o = grant_to_json(&a->set.g[i]);
		char *text = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);
		r = text == NULL
			? ERR_NOMEM
			: state_grant_put(a->m->state, a->set.g[i].name, text);
		json_decref(o);
		free(text);
	}
	if (r == 0 && a->replace)
		r = state_grants(a->m->state, remove_others, a);
	return r;
}

static int
commit(struct apply *a)
{
	struct state *st = a->m->state;
	int r;

	if ((r = state_begin(st)) != 0 || (r = put_grants(a)) != 0)
		goto out;
	for (size_t i = 0; r == 0 && i < a->n_plans; i++)
		r = commit_plan(a, &a->plans[i]);
	if (r == 0)
		r = state_commit(st);
out:
	if (r != 0)
		state_rollback(st);
	return r;
}

static json_t *
names_of(const struct grant_set *set)
{
	json_t *list = json_array();

	for (size_t i = 0; i < set->n; i++)
		(void)json_array_append_new(list, json_string(set->g[i].name));
	return list;
}

#define NAMES_A_LINE 128 /* of CHAINLOG_LINE_MAX: 64 bytes each at most */

/* As many lines as it takes. */
static int
record(struct apply *a)
{
	json_t *all = names_of(&a->set), *some, *name;
	size_t n = json_array_size(all), i = 0;
	int r;

	do {
		some = json_array();
		for (size_t j = 0; i < n && j < NAMES_A_LINE; j++) {
			name = json_array_get(all, i++);
			(void)json_array_append(some, name);
		}
		r = minter_act(a->m, "grants_applied",
		    json_pack("{s:o, s:b, s:I}", "grants", some, "replace",
			a->replace, "sessions", (json_int_t)a->n_plans));
	} while (r == 0 && i < n);
	json_decref(all);
	return r;
}

static void
on_spread(void *ctx)
{
	struct apply *a = ctx;

	admin_reply(
	    a->call, json_pack("{s:o, s:I}", "applied", names_of(&a->set),
			 "sessions", (json_int_t)a->n_plans));
	apply_free(a);
}

static void
on_cut(void *ctx)
{
	struct apply *a = ctx;

	change_spread(a->m, on_spread, a);
}

static void
cut_removed(struct apply *a)
{
	struct cuts *c = cuts_new(a->m, on_cut, a);

	for (size_t i = 0; i < a->n_plans; i++) {
		for (size_t j = 0; j < a->plans[i].n_removed; j++)
			cuts_add(c, a->plans[i].s, RULES_CUT_GRANT,
			    a->plans[i].removed[j]);
	}
	cuts_run(c);
}

static void
on_facts(void *ctx, int err, const char *missing, const struct facts *f)
{
	struct apply *a = ctx;
	char why[512] = "memory is out";

	if (api_facts_failed(a->m, a->call, err, missing) ||
	    api_not_covered(a->call, f, &a->set)) {
		apply_free(a);
		return;
	}
	if ((err = make_plans(a, f, why, sizeof(why))) != 0) {
		admin_problem(a->call, 422, "grants do not fit",
		    "Change the grants; nothing was applied.",
		    "A running session cannot take them: %s.",
		    err == ERR_ARGUMENT ? why : err_text(err));
		apply_free(a);
		return;
	}
	if (record(a) != 0 || commit(a) != 0) {
		minter_fail(a->m, "state");
		api_storage_problem(a->m, a->call);
		apply_free(a);
		return;
	}
	cut_removed(a);
}

void
change_apply(struct minter *m, struct admin_call *call, const json_t *body)
{
	static const char *const names[] = {"grants", "replace", NULL};
	struct apply *a;
	char why[512];

	if (!api_only(call, body, names) || !api_working(m, call))
		return;
	if ((a = calloc(1, sizeof(*a))) == NULL) {
		api_no_memory(call);
		return;
	}
	a->m = m;
	a->call = call;
	int r = json_flag(body, "replace", &a->replace);
	if ((r != 0 && r != ERR_NOT_FOUND) ||
	    !json_is_array(json_object_get(body, "grants"))) {
		admin_problem(call, 400, "bad argument",
		    "docs/admin-api.md shows the call.",
		    "grants must be an array, replace true or false.");
	} else if (grant_set_from_json(json_object_get(body, "grants"), &a->set,
		       why, sizeof(why)) != 0) {
		admin_problem(call, 422, "bad grant",
		    "Mend the grant; nothing was applied.", "%s", why);
	} else if (clock_now(&m->clock, &a->now) != 0) {
		api_clock_problem(call);
	} else {
		facts_gather(m, &a->set, on_facts, a);
		return;
	}
	apply_free(a);
}

/* ---- grant.remove ---- */

struct removing {
	struct minter *m;
	struct admin_call *call;
};

static void
on_removed(void *ctx)
{
	struct removing *v = ctx;

	admin_reply(v->call, json_object());
	free(v);
}

static int
remove_everywhere(struct minter *m, const char *name)
{
	size_t n = 0;
	int r;

	if ((r = state_begin(m->state)) != 0 ||
	    (r = state_grant_remove(m->state, name)) != 0)
		goto out;
	for (struct session *s = m->sessions; r == 0 && s != NULL;
	     s = s->next) {
		if (!s->finishing && api_list_has(s->named, name))
			r = change_drop(m, s, CHANGE_GRANT, name, &n);
	}
	if (r == 0)
		r = state_commit(m->state);
out:
	if (r != 0)
		state_rollback(m->state);
	return r;
}

void
change_remove(struct minter *m, struct admin_call *call, const json_t *body)
{
	static const char *const names[] = {"name", NULL};
	char name[STATE_NAME_MAX];
	struct removing *v;

	if (!api_only(call, body, names) || !api_working(m, call) ||
	    !api_text(call, body, "name", name, sizeof(name)) ||
	    !api_grant_exists(m, call, name))
		return;
	if ((v = calloc(1, sizeof(*v))) == NULL) {
		api_no_memory(call);
		return;
	}
	*v = (struct removing){.m = m, .call = call};
	if (remove_everywhere(m, name) != 0)
		minter_fail(m, "state");
	if (minter_act(m, "grant_removed", json_pack("{s:s}", "grant", name)) !=
	    0) {
		api_storage_problem(m, call);
		free(v);
		return;
	}
	struct cuts *c = cuts_new(m, on_removed, v);
	for (struct session *s = m->sessions; s != NULL; s = s->next) {
		if (!s->changed)
			continue;
		cuts_add(c, s, RULES_CUT_GRANT, name);
		pair_publish(m, s);
	}
	change_spread(m, NULL, NULL);
	cuts_run(c);
}
