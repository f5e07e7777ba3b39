/* SPDX-License-Identifier: ISC */
/* What a child may is within what its parent may, on every request of a
 * small world, and with all levels asked (requirement 24). */
#include "scope/decide.h"
#include "scope/grant_json.h"
#include "scope/narrow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ROUNDS 100000

static const char session[] =
    "[{\"name\":\"one\",\"credential\":\"c\","
    "\"hosts\":[\"api.demo.test\",\"*.demo.test\"],"
    "\"allow\":[{\"methods\":[\"GET\",\"POST\"],\"paths\":[\"/v1/**\"]},"
    "{\"methods\":[\"*\"],\"paths\":[\"/v2/*\"],\"query\":[\"p\"]}],"
    "\"limits\":{\"requests\":100,\"rate\":5,\"rate_ms\":1000},\"ttl\":600},"
    "{\"name\":\"two\",\"credential\":\"c\",\"hosts\":[\"api.demo.test\"],"
    "\"allow\":[{\"methods\":[\"GET\"],\"paths\":[\"/**\"]}],"
    "\"upstream\":{\"addresses\":[\"127.0.0.1\"],\"port\":9443}},"
    "{\"name\":\"tun\",\"hosts\":[\"t.test\"],\"tunnel\":true}]";

static int
make(const char *details, const struct narrow_levels *v, struct grant_set *out,
    uint64_t *ttl, char why[256])
{
	json_t *o = details == NULL ? NULL : json_strict(span_str(details));
	int r;

	assert_true(details == NULL || o != NULL);
	r = narrow(o, v, out, ttl, why, 256);
	json_decref(o);
	return r;
}

static void
load(struct grant_set *out)
{
	json_t *o = json_strict(span_str(session));
	char why[256];

	if (grant_set_from_json(o, out, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	json_decref(o);
}

static void
limits_and_life(void **state)
{
#define ONE(more) "[{\"type\":\"hatcheck-grant\",\"name\":\"one\"" more "}]"
	static const struct {
		const char *details;
		int r;
		uint64_t requests, ttl;
		const char *why;
	} t[] = {
	    {ONE(""), 0, 0, 0, NULL},
	    {ONE(",\"limits\":{\"requests\":100}"), 0, 100, 0, NULL},
	    {ONE(",\"limits\":{\"requests\":7},\"ttl\":60"), 0, 7, 60, NULL},
	    {ONE(",\"limits\":{\"requests\":101}"), ERR_DENIED, 0, 0,
		"requests"},
	    {ONE(",\"limits\":{\"rate\":6,\"rate_ms\":1000}"), ERR_DENIED, 0,
		0, "rate"},
	    {ONE(",\"limits\":{\"rate\":5}"), ERR_DENIED, 0, 0, "rate"},
	    {ONE(",\"ttl\":601"), ERR_DENIED, 0, 0, "life"},
	    {ONE(",\"ttl\":600"), 0, 0, 600, NULL},
	    {"[{\"type\":\"hatcheck-grant\",\"name\":\"one\","
	     "\"limits\":{\"requests\":7}},{\"type\":\"hatcheck-grant\","
	     "\"name\":\"one\",\"limits\":{\"requests\":8}}]",
		ERR_FORMAT, 0, 0, "different limits"},
	    {"[{\"type\":\"hatcheck-grant\",\"name\":\"tun\"}]", 0, 0, 0,
		NULL},
	    {"[{\"type\":\"hatcheck-grant\",\"name\":\"tun\","
	     "\"hosts\":[\"t.test:8443\"]}]",
		ERR_DENIED, 0, 0, "8443"},
	    {NULL, 0, 0, 0, NULL},
	};
	struct narrow_levels v = {.n = 1};
	struct grant_set all, made;
	char why[256];

	(void)state;
	load(&all);
	v.level[0] = &all;
	for (size_t i = 0; i < COUNT(t); i++) {
		uint64_t ttl = 99;
		int r = make(t[i].details, &v, &made, &ttl, why);
		if (r != t[i].r)
			fail_msg("%zu: %d %s", i, r, why);
		if (r != 0) {
			if (strstr(why, t[i].why) == NULL)
				fail_msg("%zu: %s", i, why);
			continue;
		}
		assert_int_equal(made.g[0].limits.requests, t[i].requests);
		assert_int_equal(ttl, t[i].ttl);
		/* Nothing of the host's insides goes down. */
		for (size_t j = 0; j < made.n; j++) {
			assert_int_equal(made.g[j].n_addresses, 0);
			assert_int_equal(made.g[j].upstream_port, 0);
			assert_int_equal(made.g[j].ttl_s, 0);
		}
		grant_set_free(&made);
	}
	grant_set_free(&all);
}

/* A grandchild is held to limits that only its grandparent names. */
static void
limits_hold_through_levels(void **state)
{
	struct narrow_levels v = {.n = 1};
	struct grant_set all, mid, low;
	char why[256];
	uint64_t ttl;

	(void)state;
	load(&all);
	v.level[0] = &all;
	assert_int_equal(make(ONE(""), &v, &mid, &ttl, why), 0);
	v.level[v.n++] = &mid;
	assert_int_equal(make(ONE(",\"limits\":{\"requests\":101}"), &v, &low,
			     &ttl, why),
	    ERR_DENIED);
	assert_int_equal(make(ONE(",\"limits\":{\"requests\":9}"), &v, &low,
			     &ttl, why),
	    0);
	grant_set_free(&low);
	grant_set_free(&mid);
	grant_set_free(&all);
}

static const char *const hosts[] = {"api.demo.test", "x.demo.test",
    "*.demo.test", "a.b.demo.test", "t.test"};
static const char *const asked_hosts[] = {"api.demo.test", "x.demo.test",
    "y.demo.test", "a.b.demo.test", "t.test"};
static const char *const methods[] = {"GET", "POST", "*", "PUT"};
static const char *const paths[] = {"/v1/**", "/v1/a", "/v1/*", "/v2/*", "/**",
    "/v2/a", "/", "/v1/a*/b"};
static const char *const targets[] = {"/", "/v1/a", "/v1/a/b", "/v1/ab/b",
    "/v2/a", "/v2/a?p=1", "/v2/a?z=1", "/v2/b/c", "/v3"};
static const char *const names[] = {"one", "two", "tun"};

static size_t
details(char *out, size_t size)
{
	size_t n = 0, many = 1 + (size_t)random() % 3;

#define PUT(...) n += (size_t)snprintf(out + n, size - n, __VA_ARGS__)
#define PICK(a) a[(size_t)random() % COUNT(a)]
	PUT("[");
	for (size_t i = 0; i < many; i++) {
		PUT("%s{\"type\":\"hatcheck-grant\"", i == 0 ? "" : ",");
		bool named = random() % 2 == 0;
		if (named)
			PUT(",\"name\":\"%s\"", PICK(names));
		if (!named || random() % 2 == 0)
			PUT(",\"hosts\":[\"%s\"]", PICK(hosts));
		if (!named || random() % 2 == 0)
			PUT(",\"allow\":[{\"methods\":[\"%s\"],\"paths\":[\"%s"
			    "\"]%s}]",
			    PICK(methods), PICK(paths),
			    random() % 2 == 0 ? ",\"query\":[\"p\"]" : "");
		PUT("}");
	}
	PUT("]");
	return n;
}

static bool
lets(const struct grant_set *set, struct decide_request *r)
{
	struct decide_result d;

	decide(set, r, &d);
	/* Two grants with one credential are never ambiguous here. */
	return d.reason == REASON_NONE;
}

/* Whatever the child's own words let through, its parent's and the
 * session's do; and asked of all levels at once, it is the same. */
static size_t
compare(const struct grant_set *all, const struct grant_set *mid,
    const struct grant_set *low)
{
	const struct grant_set *within[] = {low, mid};
	size_t n = 0;

	for (size_t i = 0;
	     i < COUNT(asked_hosts) * COUNT(methods) * COUNT(targets); i++) {
		struct decide_request r = {
		    .host = asked_hosts[i % COUNT(asked_hosts)],
		    .port = 443,
		    .method = span_str(
			methods[i / COUNT(asked_hosts) % COUNT(methods)]),
		    .target = span_str(
			targets[i / COUNT(asked_hosts) / COUNT(methods)])};
		bool alone = lets(low, &r), above = lets(mid, &r),
		     top = lets(all, &r);
		r.within = within;
		r.n_within = 2;
		bool through = lets(all, &r);
		assert_true(!alone || above);
		assert_true(!above || top);
		assert_int_equal(through, alone);
		assert_true(!through || decide_delegated(all, &r));
		n += through;
	}
	return n;
}

static void
a_child_only_narrows(void **state)
{
	struct narrow_levels v = {.n = 1};
	struct grant_set all, mid, low;
	size_t children = 0, passed = 0;
	char text[2048], why[256];
	uint64_t ttl;

	(void)state;
	srandom(4);
	load(&all);
	v.level[0] = &all;
	for (int i = 0; i < ROUNDS; i++) {
		v.n = 1;
		(void)details(text, sizeof(text));
		if (make(text, &v, &mid, &ttl, why) != 0)
			continue;
		v.level[v.n++] = &mid;
		(void)details(text, sizeof(text));
		if (make(random() % 4 == 0 ? NULL : text, &v, &low, &ttl,
			why) == 0) {
			children++;
			passed += compare(&all, &mid, &low);
			grant_set_free(&low);
		}
		grant_set_free(&mid);
	}
	grant_set_free(&all);
	/* The comparison had something to compare. */
	assert_true(children > ROUNDS / 50 && passed > children);
}

/* What is taken from the session is taken from the child. */
static void
a_later_narrowing_holds(void **state)
{
	struct narrow_levels v = {.n = 1};
	struct grant_set all, low;
	struct decide_request r = {.host = "api.demo.test",
	    .port = 443,
	    .method = span_str("GET"),
	    .target = span_str("/v1/a")};
	const struct grant_set *within[] = {&low};
	struct decide_result d;
	char why[256];
	uint64_t ttl;

	(void)state;
	load(&all);
	v.level[0] = &all;
	assert_int_equal(make(ONE(""), &v, &low, &ttl, why), 0);
	r.within = within;
	r.n_within = 1;
	assert_true(lets(&all, &r));
	/* The session keeps "two", which lets it through: not for the child. */
	grant_free(&all.g[0]);
	memmove(&all.g[0], &all.g[1], 2 * sizeof(all.g[0]));
	all.n = 2;
	decide(&all, &r, &d);
	assert_int_equal(d.reason, REASON_NOT_DELEGATED);
	assert_false(decide_delegated(&all, &r));
	grant_set_free(&low);
	grant_set_free(&all);
}

/* Who asks for much waits for nobody, and nobody for it: past its share one
 * question is refused, though each path alone would do. */
static void
no_long_questions(void **state)
{
	static const char parent[] =
	    "[{\"name\":\"one\",\"credential\":\"c\","
	    "\"hosts\":[\"api.demo.test\"],\"allow\":[{\"methods\":[\"*\"],"
	    "\"paths\":[\"/**/a/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/c\","
	    "\"/**\"]}]}]";
	json_t *o = json_strict(span_str(parent));
	struct grant_set outer, set;
	struct narrow_levels v = {.n = 1, .level = {&outer}};
	char text[32 * 1024], why[256];
	uint64_t ttl = 0;
	int n = snprintf(text, sizeof(text),
	    "[{\"type\":\"hatcheck-grant\",\"name\":\"one\",\"allow\":[");

	(void)state;
	assert_int_equal(grant_set_from_json(o, &outer, why, sizeof(why)), 0);
	json_decref(o);
	for (int i = 0; i < 640; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n,
		    "%s\"/**/a/**/a/**/%03d\"%s",
		    i % 64 == 0 ? "{\"methods\":[\"GET\",\"PUT\"],\"paths\":["
				: ",",
		    i,
		    i == 639	   ? "]}]}]"
		    : i % 64 == 63 ? "]},"
				   : "");
	assert_int_equal(make(text, &v, &set, &ttl, why), ERR_DENIED);
	assert_non_null(strstr(why, "too much to compare"));
	grant_set_free(&outer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(limits_and_life),
	    cmocka_unit_test(limits_hold_through_levels),
	    cmocka_unit_test(a_child_only_narrows),
	    cmocka_unit_test(a_later_narrowing_holds),
	    cmocka_unit_test(no_long_questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
