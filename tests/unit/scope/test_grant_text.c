/* SPDX-License-Identifier: ISC */
#include "scope/grant_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
good(void **state)
{
	struct grant g;
	char why[200];

	(void)state;
	assert_int_equal(
	    grant_from_text(span_str("GET,HEAD api.github.com/repos/acme/**"),
		&g, why, sizeof(why)),
	    0);
	assert_int_equal(g.n_hosts, 1);
	assert_string_equal(g.hosts[0].pattern, "api.github.com");
	assert_int_equal(g.hosts[0].port, 443);
	assert_int_equal(g.rules[0].n_methods, 2);
	assert_string_equal(g.rules[0].methods[1], "HEAD");
	assert_string_equal(g.rules[0].paths[0], "/repos/acme/**");
	assert_false(g.rules[0].has_query);
	assert_string_equal(g.name, "");
	grant_free(&g);
	assert_int_equal(grant_from_text(span_str("docs.example.com/**"), &g,
			     why, sizeof(why)),
	    0);
	assert_string_equal(g.rules[0].methods[0], "*");
	grant_free(&g);
	assert_int_equal(grant_from_text(span_str("GET *.demo.test:8443/v1/*"),
			     &g, why, sizeof(why)),
	    0);
	assert_string_equal(g.hosts[0].pattern, "*.demo.test");
	assert_int_equal(g.hosts[0].port, 8443);
	grant_free(&g);
}

static void
bad(void **state)
{
	static const char *const texts[] = {"", " ", "GET", "GET ",
	    "GET a.test", "a.test", "/v1", "GET /v1", "get a.test/",
	    "GET  a.test/", " a.test/", "GET a.test/ ", "GET, a.test/",
	    ",GET a.test/", "GET,,HEAD a.test/", "GET HEAD a.test/",
	    "TRACE a.test/", "GET *.com/", "GET https://a.test/",
	    "GET a.test/../x", "GET a.test//x", "GET a.test/a?b",
	    "GET a.test:0/", "GET a.test:x/", "GET u@a.test/",
	    "GET hatcheck.internal/**", "GET a.test/***", "GET a.test/%zz"};
	struct grant g;

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		char why[200] = "";

		if (grant_from_text(span_str(texts[i]), &g, why, sizeof(why)) ==
		    0)
			fail_msg("took %s", texts[i]);
		assert_true(why[0] != '\0');
	}
	assert_int_not_equal(
	    grant_from_text(span_of("a.test/\0x", 9), &g, NULL, 0), 0);
}

static void
to_text(void **state)
{
	char out[64];
	struct grant g;

	(void)state;
	assert_int_equal(grant_to_text(span_str("GET"), "api.demo.test", 443,
			     span_str("/v1/a"), out, sizeof(out)),
	    0);
	assert_string_equal(out, "GET api.demo.test/v1/a");
	assert_int_equal(grant_from_text(span_str(out), &g, NULL, 0), 0);
	grant_free(&g);
	assert_int_equal(grant_to_text(span_str("GET"), "api.demo.test", 8443,
			     span_str("/"), out, sizeof(out)),
	    0);
	assert_string_equal(out, "GET api.demo.test:8443/");
	assert_int_equal(grant_to_text((struct span){0}, "new.test", 443,
			     (struct span){0}, out, sizeof(out)),
	    0);
	assert_string_equal(out, "new.test/**");
	assert_int_equal(grant_from_text(span_str(out), &g, NULL, 0), 0);
	grant_free(&g);
	/* What the guest sent as a star must not become a wildcard. */
	assert_int_equal(grant_to_text(span_str("GET"), "a.test", 443,
			     span_str("/a*"), out, sizeof(out)),
	    ERR_FORMAT);
	assert_int_equal(grant_to_text(span_str("GET"), "a.test", 443,
			     span_str("/../a"), out, sizeof(out)),
	    ERR_FORMAT);
	assert_int_equal(grant_to_text(span_str("GET"), "a.test", 443,
			     span_str("/a"), out, 10),
	    ERR_TOO_BIG);
}

static void
quantities(void **state)
{
	static const struct {
		const char *text;
		uint64_t n;
	} bytes[] = {{"1000", 1000}, {"10MiB", 10485760}, {"1GiB", 1073741824},
	    {"2kB", 2000}, {"1KiB", 1024}, {"1B", 1}, {"0", 0}, {"", 0},
	    {"MiB", 0}, {"10 MiB", 0}, {"-1", 0}, {"01", 0}, {"1.5MiB", 0},
	    {"10mib", 0}, {"9999999999GiB", 0}, {"99999999999999999999", 0}};
	static const struct {
		const char *text;
		uint64_t rate, ms;
	} rates[] = {{"50/s", 50, 1000}, {"10/m", 10, 60000},
	    {"100/h", 100, 3600000}, {"50", 0, 0}, {"0/s", 0, 0}, {"/s", 0, 0},
	    {"50/x", 0, 0}, {"50/s ", 0, 0}};
	static const struct {
		const char *text;
		uint64_t s;
	} times[] = {{"8h", 28800}, {"90s", 90}, {"30m", 1800}, {"7d", 604800},
	    {"8", 0}, {"0h", 0}, {"1h30m", 0}, {"h", 0}, {"-1h", 0}};
	uint64_t a = 0, b = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(bytes); i++) {
		a = 0;
		assert_int_equal(
		    grant_bytes_from_text(span_str(bytes[i].text), &a) == 0,
		    bytes[i].n != 0);
		assert_int_equal(a, bytes[i].n);
	}
	for (size_t i = 0; i < COUNT(rates); i++) {
		a = b = 0;
		assert_int_equal(
		    grant_rate_from_text(span_str(rates[i].text), &a, &b) == 0,
		    rates[i].rate != 0);
		assert_int_equal(a, rates[i].rate);
		assert_int_equal(b, rates[i].ms);
	}
	for (size_t i = 0; i < COUNT(times); i++) {
		a = 0;
		assert_int_equal(
		    grant_time_from_text(span_str(times[i].text), &a) == 0,
		    times[i].s != 0);
		assert_int_equal(a, times[i].s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good),
	    cmocka_unit_test(bad),
	    cmocka_unit_test(to_text),
	    cmocka_unit_test(quantities),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
