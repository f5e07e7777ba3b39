/* SPDX-License-Identifier: ISC */
/* A narrower grant is narrower: subset_grant() against decide() on every
 * request of a small world. */
#include "scope/decide.h"
#include "scope/path_within.h"
#include "scope/subset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ROUNDS 100000
#define RULES 3
#define MANY 3

/* One question, which may cost what one may. */
static int
within(const struct grant *inner, const struct grant *outer, char *why,
    size_t size)
{
	uint64_t left = PATH_WORK_MAX;

	return subset_grant(inner, outer, &left, why, size);
}

static const char *const host_patterns[] = {"api.demo.test", "x.demo.test",
    "*.demo.test", "*.api.demo.test", "demo.test"};
static const char *const hosts[] = {"api.demo.test", "x.demo.test",
    "y.demo.test", "x.api.demo.test", "a.b.demo.test", "demo.test"};
static const char *const methods[] = {"GET", "POST", "*"};
static const char *const asked_methods[] = {"GET", "POST", "PUT"};
static const char *const path_patterns[] = {
    "/v1", "/v1/*", "/v1/**", "/*", "/**", "/v1/a*"};
static const char *const names[] = {"p", "q"};
static const char *const targets[] = {"/", "/?p=1", "/?q", "/?p&q", "/?z=1",
    "/z", "/z?p=1", "/z?q", "/z?p&q", "/z?z=1", "/z/z", "/z/z?p=1", "/z/z?q",
    "/z/z?p&q", "/z/z?z=1", "/v1", "/v1?p=1", "/v1?q", "/v1?p&q", "/v1?z=1",
    "/v1/", "/v1/?p=1", "/v1/?q", "/v1/?p&q", "/v1/?z=1", "/v1/z", "/v1/z?p=1",
    "/v1/z?q", "/v1/z?p&q", "/v1/z?z=1", "/v1/a", "/v1/a?p=1", "/v1/a?q",
    "/v1/a?p&q", "/v1/a?z=1", "/v1/az", "/v1/az?p=1", "/v1/az?q", "/v1/az?p&q",
    "/v1/az?z=1", "/v1/z/z", "/v1/z/z?p=1", "/v1/z/z?q", "/v1/z/z?p&q",
    "/v1/z/z?z=1"};

/* A grant that owns nothing. */
struct small {
	struct grant g;
	struct grant_host hosts[MANY];
	struct grant_rule rules[RULES];
	char *methods[RULES][MANY], *paths[RULES][MANY], *query[RULES][MANY];
};

static size_t
pick(char **out, const char *const *from, size_t n, size_t at_least)
{
	size_t count = at_least + (size_t)random() % (MANY - 1);

	for (size_t i = 0; i < count; i++)
		out[i] = (char *)(uintptr_t)from[(size_t)random() % n];
	return count;
}

static void
make_rule(struct small *s, size_t i)
{
	struct grant_rule *r = &s->rules[i];

	r->methods = s->methods[i];
	r->n_methods = pick(r->methods, methods, COUNT(methods), 1);
	r->paths = s->paths[i];
	r->n_paths = pick(r->paths, path_patterns, COUNT(path_patterns), 1);
	r->has_query = random() % 2 == 0;
	if (r->has_query) {
		r->query = s->query[i];
		r->n_query = pick(r->query, names, COUNT(names), 0);
	}
}

static void
make(struct small *s)
{
	*s = (struct small){.g = {.name = "g", .credential = "demo"}};
	s->g.hosts = s->hosts;
	s->g.n_hosts = 1 + (size_t)random() % MANY;
	for (size_t i = 0; i < s->g.n_hosts; i++) {
		(void)snprintf(s->hosts[i].pattern, HOST_MAX, "%s",
		    host_patterns[(size_t)random() % COUNT(host_patterns)]);
		s->hosts[i].port = random() % 4 == 0 ? 8443 : 443;
	}
	s->g.rules = s->rules;
	s->g.n_rules = (size_t)random() % (RULES + 1);
	for (size_t i = 0; i < s->g.n_rules; i++)
		make_rule(s, i);
}

static bool
lets(struct small *s, const struct decide_request *r)
{
	struct grant_set set = {&s->g, 1};
	struct decide_result d;

	decide(&set, r, &d);
	return d.reason == REASON_NONE;
}

static bool
find_wider_at(
    struct small *inner, struct small *outer, struct decide_request *r)
{
	for (size_t i = 0; i < COUNT(asked_methods) * COUNT(targets); i++) {
		r->method = span_str(asked_methods[i % COUNT(asked_methods)]);
		r->target = span_str(targets[i / COUNT(asked_methods)]);
		if (lets(inner, r) && !lets(outer, r))
			return true;
	}
	return false;
}

/* A request that inner lets through and outer does not. */
static bool
find_wider(struct small *inner, struct small *outer, struct decide_request *r)
{
	struct grant_set set = {&inner->g, 1};

	for (size_t i = 0; i < 2 * COUNT(hosts); i++) {
		*r = (struct decide_request){.credential = "demo"};
		r->host = hosts[i / 2];
		r->port = i % 2 == 0 ? 443 : 8443;
		if (decide_connect(&set, r->host, r->port) != DECIDE_REFUSE &&
		    find_wider_at(inner, outer, r))
			return true;
	}
	return false;
}

/* A yes is never wider. A no is wider somewhere, but for a host of a grant
 * that lets nothing through. */
static void
agrees_with_decide(void **state)
{
	size_t yes = 0;

	(void)state;
	srandom(8693);
	for (int round = 0; round < ROUNDS; round++) {
		struct small inner, outer;
		struct decide_request r;
		char why[256] = "";

		make(&outer);
		if (random() % 2 == 0) {
			make(&inner);
		} else { /* near: a rule or a host differs */
			make(&inner);
			inner.g.n_rules =
			    inner.g.n_rules > 1 ? 1 : inner.g.n_rules;
			inner.g.n_hosts = 1;
			inner.hosts[0] = outer.hosts[0];
		}
		int got = within(&inner.g, &outer.g, why, sizeof(why));
		bool wider = find_wider(&inner, &outer, &r);
		yes += got == 0;
		if (got == 0 && wider)
			fail_msg("WIDER: %s %.*s", r.host, (int)r.target.n,
			    (const char *)r.target.p);
		if (got != 0 && !wider && inner.g.n_rules > 0)
			fail_msg("refused though within (%s)", why);
	}
	print_message("%d grants, %zu within\n", ROUNDS, yes);
	assert_true(yes > 1000);
}

/* One thing at a time: what the outer grant has, what the inner one asks. */
static void
limits(void **state)
{
	static const struct {
		struct grant_limits out, in;
		uint64_t out_ttl, in_ttl;
		int result;
	} rows[] = {
	    {{0}, {.requests = 5}, 0, 0, 0},
	    {{.requests = 5}, {.requests = 5}, 0, 0, 0},
	    {{.requests = 5}, {.requests = 6}, 0, 0, ERR_DENIED},
	    {{.requests = 5}, {0}, 0, 0, ERR_DENIED},
	    {{.bytes_up = 5}, {.bytes_up = 6}, 0, 0, ERR_DENIED},
	    {{.bytes_down = 5}, {0}, 0, 0, ERR_DENIED},
	    {{.concurrent = 2}, {.concurrent = 3}, 0, 0, ERR_DENIED},
	    {{.rate = 60, .rate_ms = 60000}, {.rate = 1, .rate_ms = 1000}, 0, 0,
		0},
	    {{.rate = 1, .rate_ms = 1000}, {.rate = 60, .rate_ms = 60000}, 0, 0,
		ERR_DENIED},
	    {{.rate = 9, .rate_ms = 60000}, {.rate = 1, .rate_ms = 1000}, 0, 0,
		ERR_DENIED},
	    {{.rate = 9, .rate_ms = 60000}, {0}, 0, 0, ERR_DENIED},
	    {{.rate = UINT64_MAX, .rate_ms = 1000},
		{.rate = UINT64_MAX, .rate_ms = 60000}, 0, 0, 0},
	    {{0}, {0}, 60, 60, 0},
	    {{0}, {0}, 60, 61, ERR_DENIED},
	    {{0}, {0}, 60, 0, ERR_DENIED},
	    {{0}, {0}, 0, 60, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct grant out = {
		    .limits = rows[i].out, .ttl_s = rows[i].out_ttl};
		struct grant in = {
		    .limits = rows[i].in, .ttl_s = rows[i].in_ttl};
		char why[128] = "";

		int r = within(&in, &out, why, sizeof(why));
		if (r != rows[i].result || (r != 0) != (why[0] != '\0'))
			fail_msg("row %zu: %d %s", i, r, why);
	}
}

/* What a grant is may not change, wider or narrower. */
static void
kinds(void **state)
{
	static char one[] = "192.0.2.1", two[] = "192.0.2.2", pem[] = "pem";
	char *first[] = {one}, *second[] = {two};
	struct grant rows[] = {
	    {.name = "other"},
	    {.name = "g", .credential = "c"},
	    {.name = "g", .tunnel = true},
	    {.name = "g", .absolute = true},
	    {.name = "g", .addresses = second, .n_addresses = 1},
	    {.name = "g"},
	    {.name = "g",
		.addresses = first,
		.n_addresses = 1,
		.upstream_port = 1},
	    {.name = "g", .addresses = first, .n_addresses = 1, .ca_pem = pem},
	};
	struct grant outer = {
	    .name = "g", .addresses = first, .n_addresses = 1};
	char why[128];

	(void)state;
	assert_int_equal(within(&outer, &outer, why, sizeof(why)), 0);
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(
		    within(&rows[i], &outer, why, sizeof(why)), ERR_DENIED);
	struct grant plain = {.name = "g"}, wide = {.name = "g"};
	wide.absolute = true;
	assert_int_equal(within(&plain, &wide, why, sizeof(why)), 0);
	assert_int_equal(within(&wide, &plain, why, sizeof(why)), ERR_DENIED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(agrees_with_decide),
	    cmocka_unit_test(limits),
	    cmocka_unit_test(kinds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
