/* SPDX-License-Identifier: ISC */
/* What for: budgets. Trusts: the minter's numbers. At a bound: the request
 * is refused, or its exchange cut. */
#include "egress/courier/limits.h"

#include "keys/json.h"

#include <stdio.h>
#include <stdlib.h>

/* Beyond this a rate is no limit; and products stay in 64 bits. */
#define RATE_MAX (1000 * 1000)
#define BLOCKS 16 /* in a whole limit */

enum { REQUESTS, UP, DOWN, COUNTERS };

/* A block: a crash costs at most one and a half of them. */
static const struct {
	const char *name;
	uint64_t block_min, block_max;
} kinds[COUNTERS] = {
    [REQUESTS] = {"requests", 1, 256},
    [UP] = {"up", 64 * 1024, 64 * 1024 * 1024},
    [DOWN] = {"down", 64 * 1024, 64 * 1024 * 1024},
};

struct counter {
	uint64_t used, max; /* max 0: no limit */
	/* Totals: what the minter has stored, what it was asked to. */
	uint64_t leased, wanted;
};

struct account {
	struct account *next;
	char name[RULES_ACCOUNT_MAX + 1];
	struct counter c[COUNTERS];
	uint64_t concurrent, concurrent_max;
	/* The bucket of the rate limit: a request is rate_ms tokens. */
	uint64_t rate, rate_ms, tokens, filled_ms;
	bool changed, filled;
	unsigned users;
};

struct limits {
	struct account *first;
	limits_each *ask;
	void *ctx;
};

struct usage {
	struct limits *l;
	size_t n;
	struct account *a[LIMITS_BILL_MAX];
};

int
limits_new(struct limits **out)
{
	struct limits *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return ERR_NOMEM;
	*out = l;
	return 0;
}

void
limits_free(struct limits *l)
{
	if (l == NULL)
		return;
	for (struct account *a = l->first, *next; a != NULL; a = next) {
		next = a->next;
		free(a);
	}
	free(l);
}

static struct account *
find(struct limits *l, const char *name)
{
	struct account *a = l->first;

	while (a != NULL && strcmp(a->name, name) != 0)
		a = a->next;
	if (a != NULL || (a = calloc(1, sizeof(*a))) == NULL)
		return a;
	if (span_copy(span_str(name), a->name, sizeof(a->name)) != 0) {
		free(a);
		return NULL;
	}
	a->next = l->first;
	l->first = a;
	return a;
}

static void
raise_to(uint64_t *count, uint64_t v)
{
	if (*count < v)
		*count = v;
}

static int
seed_one(struct limits *l, const char *name, const json_t *json)
{
	uint64_t v[COUNTERS] = {0};
	struct account *a;

	if (!json_is_object(json))
		return ERR_FORMAT;
	for (size_t i = 0; i < COUNTERS; i++) {
		if (json_u64(json, kinds[i].name, INT64_MAX, &v[i]) ==
		    ERR_FORMAT)
			return ERR_FORMAT;
	}
	if ((a = find(l, name)) == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < COUNTERS; i++) {
		/* Once we hold leases our own count is the true one. */
		if (a->c[i].leased == 0)
			raise_to(&a->c[i].used, v[i]);
	}
	return 0;
}

int
limits_seed(struct limits *l, struct span used)
{
	json_t *json = json_strict(used);
	int r = json_is_object(json) ? 0 : ERR_FORMAT;

	void *at = json_object_iter(json); /* NULL: empty, or no object */

	for (; at != NULL && r == 0; at = json_object_iter_next(json, at))
		r = seed_one(
		    l, json_object_iter_key(at), json_object_iter_value(at));
	json_decref(json);
	return r;
}

void
limits_on_ask(struct limits *l, limits_each *ask, void *ctx)
{
	l->ask = ask;
	l->ctx = ctx;
}

int
limits_leased(struct limits *l, const struct rules_leased *m)
{
	const uint64_t lease[COUNTERS] = {
	    [REQUESTS] = m->lease, [UP] = m->lease_up, [DOWN] = m->lease_down};
	char name[RULES_ACCOUNT_MAX + 1];
	struct account *a;

	if (span_copy(m->account, name, sizeof(name)) != 0)
		return ERR_FORMAT;
	if ((a = find(l, name)) == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < COUNTERS; i++) {
		raise_to(&a->c[i].leased, lease[i]);
		raise_to(&a->c[i].wanted, lease[i]);
	}
	return 0;
}

static uint64_t
lease_of(const struct counter *c)
{
	return c->wanted > c->used ? c->wanted : c->used;
}

static void
report(struct account *a, limits_each *each, void *ctx)
{
	struct rules_used m = {.account = span_str(a->name),
	    .requests = a->c[REQUESTS].used,
	    .bytes_up = a->c[UP].used,
	    .bytes_down = a->c[DOWN].used,
	    .lease = lease_of(&a->c[REQUESTS]),
	    .lease_up = lease_of(&a->c[UP]),
	    .lease_down = lease_of(&a->c[DOWN])};

	each(ctx, &m);
}

/* Want the next block, when it is time; true: somebody must be asked. */
static bool
want(struct counter *c, size_t kind)
{
	uint64_t block = c->max / BLOCKS + 1, next;

	if (c->max == 0 || c->used >= c->max)
		return false;
	if (block < kinds[kind].block_min)
		block = kinds[kind].block_min;
	if (block > kinds[kind].block_max)
		block = kinds[kind].block_max;
	next = c->max - c->used < block ? c->max : c->used + block;
	if (c->leased >= c->used + block / 2 + 1 || c->wanted >= next)
		return false;
	c->wanted = next;
	return true;
}

/* Not heard (no minter just now), the second's report asks again. */
static void
want_all(struct limits *l, struct account *a)
{
	bool more = false;

	for (size_t i = 0; i < COUNTERS; i++)
		more |= want(&a->c[i], i);
	if (!more)
		return;
	a->changed = true;
	if (l->ask != NULL)
		report(a, l->ask, l->ctx);
}

/* May one more be let in, by what is stored? */
static bool
has_lease(struct limits *l, struct account *a)
{
	const struct counter *c = &a->c[REQUESTS];

	want_all(l, a);
	if (c->max == 0 || c->used < c->leased)
		return true;
	a->changed = true;
	return false;
}

/* rate requests per rate_ms, saved up to one such period. A request costs
 * rate_ms tokens and each ms brings rate of them: no fraction is lost. */
static bool
has_token(struct account *a, uint64_t now_ms)
{
	uint64_t full = a->rate * a->rate_ms;
	uint64_t passed = now_ms - a->filled_ms;

	if (a->rate == 0)
		return true;
	if (!a->filled || passed >= a->rate_ms)
		a->tokens = full;
	else
		a->tokens += a->rate * passed;
	a->tokens = a->tokens > full ? full : a->tokens;
	a->filled = true;
	a->filled_ms = now_ms;
	return a->tokens >= a->rate_ms;
}

static bool
reached(uint64_t count, uint64_t max)
{
	return max != 0 && count >= max;
}

static void
set_max(struct account *a, const struct grant_limits *max)
{
	a->c[REQUESTS].max = max->requests;
	a->c[UP].max = max->bytes_up;
	a->c[DOWN].max = max->bytes_down;
	a->concurrent_max = max->concurrent;
	a->rate = max->rate < RATE_MAX ? max->rate : RATE_MAX;
	a->rate_ms = max->rate_ms == 0 || max->rate_ms > INT64_MAX / RATE_MAX
			 ? 1000
			 : max->rate_ms;
}

static enum reason
say(struct limits_no *no, enum reason why, const struct account *a,
    const char *what, uint64_t max, uint32_t retry_after)
{
	const char *slash = strchr(a->name, '/');
	size_t family = slash == NULL ? 0 : (size_t)(slash - a->name);

	no->retry_after = retry_after;
	(void)snprintf(no->detail, sizeof(no->detail),
	    "%s%.*s has a limit of %llu %s%s",
	    slash == NULL ? "The session" : "The sub-agent's token family ",
	    (int)family, a->name, (unsigned long long)max, what,
	    retry_after != 0	  ? "; try again then."
	    : slash == NULL ? ", which does not come back: a new session has "
			      "its own."
			    : ", which does not come back: a new token for it "
			      "has its own.");
	return why;
}

static enum reason
check(const struct account *a, struct limits_no *no)
{
	const struct counter *c = a->c;

	if (reached(c[REQUESTS].used, c[REQUESTS].max))
		return say(no, REASON_LIMIT_REQUESTS, a, "requests",
		    c[REQUESTS].max, 0);
	if (reached(c[UP].used, c[UP].max))
		return say(
		    no, REASON_LIMIT_BYTES, a, "bytes up", c[UP].max, 0);
	if (reached(c[DOWN].used, c[DOWN].max))
		return say(
		    no, REASON_LIMIT_BYTES, a, "bytes down", c[DOWN].max, 0);
	if (reached(a->concurrent, a->concurrent_max))
		return say(no, REASON_LIMIT_CONCURRENT, a,
		    "requests at a time", a->concurrent_max, 1);
	return REASON_NONE;
}

static int
open_accounts(
    struct limits *l, const struct limits_bill *bill, struct usage *u)
{
	char name[RULES_ACCOUNT_MAX + 1];

	u->l = l;
	for (size_t i = 0; i < bill->n; i++) {
		const char *family = bill->of[i].family;
		int n = snprintf(name, sizeof(name), "%s%s%s",
		    family == NULL ? "" : family, family == NULL ? "" : "/",
		    bill->grant);
		if (n < 0 || (size_t)n >= sizeof(name) ||
		    (u->a[i] = find(l, name)) == NULL)
			return ERR_NOMEM;
		set_max(u->a[i], bill->of[i].max);
		u->n++;
	}
	return 0;
}

/* All of them let it in, or the first that does not says why. */
static enum reason
check_all(struct usage *u, uint64_t now_ms, bool *wait, struct limits_no *no)
{
	for (size_t i = 0; i < u->n; i++) {
		enum reason why = check(u->a[i], no);
		if (why != REASON_NONE)
			return why;
	}
	for (size_t i = 0; i < u->n; i++)
		*wait |= !has_lease(u->l, u->a[i]);
	for (size_t i = 0; i < u->n && !*wait; i++) {
		const struct account *a = u->a[i];
		if (!has_token(u->a[i], now_ms))
			return say(no, REASON_LIMIT_RATE, a,
			    "requests in its time", a->rate,
			    (uint32_t)(a->rate_ms / a->rate / 1000 + 1));
	}
	return REASON_NONE;
}

static void
count_in(struct usage *u)
{
	for (size_t i = 0; i < u->n; i++) {
		struct account *a = u->a[i];

		a->c[REQUESTS].used++;
		a->concurrent++;
		a->users++;
		a->changed = true;
		if (a->rate != 0)
			a->tokens -= a->rate_ms;
	}
}

enum reason
limits_enter(struct limits *l, const struct limits_bill *bill,
    uint64_t now_ms, struct usage **out, struct limits_no *no)
{
	struct usage *u = calloc(1, sizeof(*u));
	enum reason why = REASON_INTERNAL;
	bool wait = false;

	*no = (struct limits_no){0};
	*out = NULL;
	if (u != NULL && open_accounts(l, bill, u) == 0)
		why = check_all(u, now_ms, &wait, no);
	if (why != REASON_NONE || wait) {
		free(u);
		return why;
	}
	count_in(u);
	*out = u;
	return REASON_NONE;
}

void
limits_leave(struct usage *u)
{
	for (size_t i = 0; i < u->n; i++) {
		u->a[i]->concurrent--;
		u->a[i]->users--;
	}
	free(u);
}

static bool
count_bytes(struct usage *u, size_t kind, uint64_t n)
{
	bool within = true;

	for (size_t i = 0; i < u->n; i++) {
		struct counter *c = &u->a[i]->c[kind];

		c->used += n;
		u->a[i]->changed = true;
		within &= c->max == 0 || c->used <= c->max;
		want_all(u->l, u->a[i]);
	}
	return within;
}

bool
limits_up(struct usage *u, uint64_t n)
{
	return count_bytes(u, UP, n);
}

bool
limits_down(struct usage *u, uint64_t n)
{
	return count_bytes(u, DOWN, n);
}

void
limits_report(struct limits *l, bool last, limits_each *each, void *ctx)
{
	for (struct account *a = l->first; a != NULL; a = a->next) {
		for (size_t i = 0; i < COUNTERS && last; i++)
			a->c[i].wanted = a->c[i].leased = a->c[i].used;
		if (a->changed || last)
			report(a, each, ctx);
		a->changed = false;
	}
}

void
limits_sweep(struct limits *l, limits_known *known, void *ctx)
{
	for (struct account **at = &l->first; *at != NULL;) {
		struct account *a = *at;
		const char *slash = strchr(a->name, '/');

		if (slash == NULL || a->users > 0 ||
		    known(ctx, span_of(a->name, (size_t)(slash - a->name)))) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		free(a);
	}
}
