/* SPDX-License-Identifier: ISC */
/* What for: a grant's budgets. Trusts: the minter's numbers. At a bound:
 * the request is refused, or its exchange cut. */
#include "egress/courier/limits.h"

#include "keys/json.h"

#include <stdlib.h>

/* Beyond this a rate is no limit; and products stay in 64 bits. */
#define RATE_MAX (1000 * 1000)
/* A block: a crash costs at most one and a half of them. */
#define BLOCK_MAX 256
#define BLOCKS 16 /* in a whole limit */

struct usage {
	struct usage *next;
	char grant[GRANT_NAME_MAX];
	struct grant_limits max;
	uint64_t requests, up, down, concurrent;
	/* Totals of requests: what the minter has stored, what it was asked
	 * to. */
	uint64_t leased, wanted;
	/* The bucket of the rate limit: a request is rate_ms tokens. */
	uint64_t tokens, filled_ms;
	bool changed, filled;
};

struct limits {
	struct usage *first;
	limits_each *ask;
	void *ctx;
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
	for (struct usage *u = l->first, *next; u != NULL; u = next) {
		next = u->next;
		free(u);
	}
	free(l);
}

static struct usage *
find(struct limits *l, const char *grant)
{
	struct usage *u = l->first;

	while (u != NULL && strcmp(u->grant, grant) != 0)
		u = u->next;
	if (u != NULL || (u = calloc(1, sizeof(*u))) == NULL)
		return u;
	if (span_copy(span_str(grant), u->grant, sizeof(u->grant)) != 0) {
		free(u);
		return NULL;
	}
	u->next = l->first;
	l->first = u;
	return u;
}

static void
raise_to(uint64_t *count, uint64_t v)
{
	if (*count < v)
		*count = v;
}

static int
seed_one(struct limits *l, const char *grant, const json_t *json)
{
	uint64_t requests = 0, up = 0, down = 0;
	struct usage *u;

	if (!json_is_object(json) ||
	    json_u64(json, "requests", INT64_MAX, &requests) == ERR_FORMAT ||
	    json_u64(json, "up", INT64_MAX, &up) == ERR_FORMAT ||
	    json_u64(json, "down", INT64_MAX, &down) == ERR_FORMAT)
		return ERR_FORMAT;
	if ((u = find(l, grant)) == NULL)
		return ERR_NOMEM;
	/* Once we hold leases our own count is the true one. */
	if (u->leased == 0)
		raise_to(&u->requests, requests);
	raise_to(&u->up, up);
	raise_to(&u->down, down);
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
	char name[GRANT_NAME_MAX];
	struct usage *u;

	if (span_copy(m->grant, name, sizeof(name)) != 0)
		return ERR_FORMAT;
	if ((u = find(l, name)) == NULL)
		return ERR_NOMEM;
	raise_to(&u->leased, m->lease);
	raise_to(&u->wanted, m->lease);
	return 0;
}

static void
report(struct usage *u, limits_each *each, void *ctx)
{
	struct rules_used m = {.grant = span_str(u->grant),
	    .requests = u->requests,
	    .bytes_up = u->up,
	    .bytes_down = u->down,
	    .lease = u->wanted > u->requests ? u->wanted : u->requests};

	each(ctx, &m);
}

/* May one more be let in? Asks for the next block in time. Not heard (no
 * minter just now), the second's report asks again. */
static bool
has_lease(struct limits *l, struct usage *u)
{
	uint64_t max = u->max.requests;
	uint64_t block =
	    max / BLOCKS + 1 < BLOCK_MAX ? max / BLOCKS + 1 : BLOCK_MAX;
	uint64_t next = max - u->requests < block ? max : u->requests + block;

	if (u->leased < u->requests + block / 2 + 1 && u->wanted < next) {
		u->wanted = next;
		u->changed = true;
		if (l->ask != NULL)
			report(u, l->ask, l->ctx);
	}
	if (u->requests < u->leased)
		return true;
	u->changed = true;
	return false;
}

/* rate requests per rate_ms, saved up to one such period. A request costs
 * rate_ms tokens and each ms brings rate of them: no fraction is lost. */
static bool
take_token(struct usage *u, uint64_t now_ms)
{
	uint64_t rate = u->max.rate < RATE_MAX ? u->max.rate : RATE_MAX;
	uint64_t full = rate * u->max.rate_ms;
	uint64_t passed = now_ms - u->filled_ms;

	if (!u->filled || passed >= u->max.rate_ms)
		u->tokens = full;
	else
		u->tokens += rate * passed;
	u->tokens = u->tokens > full ? full : u->tokens;
	u->filled = true;
	u->filled_ms = now_ms;
	if (u->tokens < u->max.rate_ms)
		return false;
	u->tokens -= u->max.rate_ms;
	return true;
}

static bool
reached(uint64_t count, uint64_t max)
{
	return max != 0 && count >= max;
}

static enum reason
check(const struct usage *u)
{
	if (reached(u->requests, u->max.requests))
		return REASON_LIMIT_REQUESTS;
	if (reached(u->up, u->max.bytes_up) ||
	    reached(u->down, u->max.bytes_down))
		return REASON_LIMIT_BYTES;
	if (reached(u->concurrent, u->max.concurrent))
		return REASON_LIMIT_CONCURRENT;
	return REASON_NONE;
}

enum reason
limits_enter(struct limits *l, const struct grant *g, uint64_t now_ms,
    struct usage **out, uint32_t *retry_after)
{
	struct usage *u = find(l, g->name);

	if (u == NULL)
		return REASON_INTERNAL;
	u->max = g->limits;
	if (u->max.rate_ms == 0 || u->max.rate_ms > INT64_MAX / RATE_MAX)
		u->max.rate_ms = 1000;
	enum reason why = check(u);
	if (why != REASON_NONE)
		return why;
	if (u->max.requests != 0 && !has_lease(l, u)) {
		*out = NULL;
		return REASON_NONE;
	}
	if (u->max.rate != 0 && !take_token(u, now_ms)) {
		uint64_t ms = u->max.rate_ms / u->max.rate;
		*retry_after = (uint32_t)(ms / 1000 + 1);
		return REASON_LIMIT_RATE;
	}
	u->requests++;
	u->concurrent++;
	u->changed = true;
	*out = u;
	return REASON_NONE;
}

void
limits_leave(struct usage *u)
{
	u->concurrent--;
}

bool
limits_up(struct usage *u, uint64_t n)
{
	u->up += n;
	u->changed = true;
	return u->max.bytes_up == 0 || u->up <= u->max.bytes_up;
}

bool
limits_down(struct usage *u, uint64_t n)
{
	u->down += n;
	u->changed = true;
	return u->max.bytes_down == 0 || u->down <= u->max.bytes_down;
}

void
limits_report(struct limits *l, bool last, limits_each *each, void *ctx)
{
	for (struct usage *u = l->first; u != NULL; u = u->next) {
		if (last)
			u->wanted = u->leased = u->requests;
		if (u->changed || last)
			report(u, each, ctx);
		u->changed = false;
	}
}
