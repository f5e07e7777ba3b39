/* SPDX-License-Identifier: ISC */
/* Holds E.30, E.31: hatcheckd.yaml is read strictly, as a whole. */
#include "supervisor/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct {
	const char *text;
	int r;
	const char *group;
	unsigned crashes, seconds;
	const char *why; /* is in the sentence */
	unsigned depth;	 /* 0: as it is without a word */
} rows[] = {
    {"child_depth: 7\n", 0, "", 5, 60, "", 7},
    {"child_depth: 9\n", ERR_FORMAT, "", 0, 0, "0 to 8", 0},
    {"child_depth: -1\n", ERR_FORMAT, "", 0, 0, "line: 1", 0},
    {"child_depth: many\n", ERR_FORMAT, "", 0, 0, "line: 1", 0},
    {"", 0, "", 5, 60, ""},
    {"# nothing\n\n", 0, "", 5, 60, ""},
    {"admin_group: staff\n", 0, "staff", 5, 60, ""},
    {"---\nadmin_group: staff\n", 0, "staff", 5, 60, ""},
    {"restart:\n  crashes: 2\n  seconds: 9\n", 0, "", 2, 9, ""},
    {"restart: { crashes: 0, seconds: 1 }\n", 0, "", 0, 1, ""},
    {"restart:\n  crashes: 2\n", ERR_FORMAT, "", 0, 0, "seconds"},
    {"restart: { crashes: 101, seconds: 1 }\n", ERR_FORMAT, "", 0, 0, "100"},
    {"restart: { crashes: 1, seconds: 0 }\n", ERR_FORMAT, "", 0, 0, "1 to"},
    {"restart: { crashes: -1, seconds: 9 }\n", ERR_FORMAT, "", 0, 0, "line"},
    {"admin_group: a\ntypo: x\n", ERR_FORMAT, "", 0, 0, "line: 2"},
    {"admin_group: [a]\n", ERR_FORMAT, "", 0, 0, "line: 1"},
    {"admin_group: ''\n", ERR_FORMAT, "", 0, 0, "line: 1"},
    {"proxy: { url: http://proxy.corp.test:3128 }\n", 0, "", 5, 60, ""},
    {"proxy:\n  url: socks5://[2001:db8::1]:1080/\n  no_proxy: []\n", 0, "", 5,
	60, ""},
    {"proxy:\n  no_proxy: [a.test]\n", ERR_FORMAT, "", 0, 0, "url"},
    {"proxy:\n  url: https://p.test:1\n", ERR_FORMAT, "", 0, 0,
	"proxy (line: 2): it is neither http nor socks5; next: say http://"},
    {"proxy:\n  url: p.test:1\n", ERR_FORMAT, "", 0, 0, "neither"},
    {"proxy:\n  url: http://p.test\n", ERR_FORMAT, "", 0, 0, "no port"},
    {"proxy:\n  url: http://p.test:0\n", ERR_FORMAT, "", 0, 0, "1 to 65535"},
    {"proxy:\n  url: http://p.test:65536\n", ERR_FORMAT, "", 0, 0, "1 to"},
    {"proxy:\n  url: http://p.test:1/x\n", ERR_FORMAT, "", 0, 0, "1 to"},
    {"proxy:\n  url: http://:1\n", ERR_FORMAT, "", 0, 0, "its host"},
    {"proxy:\n  url: http://P.test:1\n", ERR_FORMAT, "", 0, 0, "lower case"},
    {"proxy:\n  url: http://p..test:1\n", ERR_FORMAT, "", 0, 0, "its host"},
    {"proxy:\n  url: http://2001:db8::1:80\n", ERR_FORMAT, "", 0, 0,
	"brackets"},
    {"proxy:\n  url: http://u:canary@p.test:1\n", ERR_FORMAT, "", 0, 0,
	"a credential in a file"},
    {"proxy:\n  url: http://p.test:1\n  no_proxy: [ok.test, 'a b']\n",
	ERR_FORMAT, "", 0, 0, "proxy (line: 3): no_proxy has \"a b\""},
    {"proxy:\n  url: http://p.test:1\n  no_proxy: ['*']\n", ERR_FORMAT, "", 0,
	0, "*.NAME"},
    {"proxy:\n  url: http://p.test:1\n  no_proxy: a.test\n", ERR_FORMAT, "", 0,
	0, "line: 3"},
    {"limits: {}\n", 0, "", 5, 60, ""},
    {"limits:\n  connections: 4\n", 0, "", 5, 60, ""},
    {"limits:\n  streams: 5\n  connections: 0\n", ERR_FORMAT, "", 0, 0,
	"connections is 0 (line: 3); next: say 1 to 512, or leave it out for "
	"256"},
    {"limits: { audit_bytes: 5 }\n", ERR_FORMAT, "", 0, 0,
	"audit_bytes is 5 (line: 1)"},
    {"limits:\n  idle_seconds: 99999999\n", ERR_FORMAT, "", 0, 0,
	"(line: 2); next: say 1 to 86400"},
    {"limits:\n  head_bytes: -5\n", ERR_FORMAT, "", 0, 0, "line: 2"},
    {"limits:\n  head_bytes: 99999999999999999999999\n", ERR_FORMAT, "", 0, 0,
	"line: 2"},
    {"limits:\n  head_bytes: 8 KiB\n", ERR_FORMAT, "", 0, 0, "line: 2"},
    {"limits:\n  head_bytes:\n", ERR_FORMAT, "", 0, 0, "line: 2"},
    {"limits:\n  streams: 5\n  conections: 9\n", ERR_FORMAT, "", 0, 0,
	"unknown key conections (line: 3)"},
    {"limits: 5\n", ERR_FORMAT, "", 0, 0, "line: 1"},
    {"limits:\n  streams: 5\n  streams: 6\n", ERR_FORMAT, "", 0, 0, "line"},
    {"vsock:\n  port: 99999\n", 0, "", 5, 60, ""},
    {"vsock: { port: 1023 }\n", ERR_FORMAT, "", 0, 0, "1024 to"},
    {"vsock: { port: 0 }\n", ERR_FORMAT, "", 0, 0, "1024 to"},
    {"vsock: { port: 4294967295 }\n", ERR_FORMAT, "", 0, 0, "4294967294"},
    {"vsock: { port: 4294967296 }\n", ERR_FORMAT, "", 0, 0, "line"},
    {"vsock: { port: -1 }\n", ERR_FORMAT, "", 0, 0, "line"},
    {"vsock: {}\n", ERR_FORMAT, "", 0, 0, "port"},
    {"vsock: { port: 2000, cid: 3 }\n", ERR_FORMAT, "", 0, 0, "cid"},
    {"- a\n", ERR_FORMAT, "", 0, 0, "MAPPING"},
    {"admin_group: {\n", ERR_FORMAT, "", 0, 0, "line"},
    {"admin_group: a\n---\nadmin_group: b\n", ERR_FORMAT, "", 0, 0, "line 2"},
    {"admin_group: a\n...\nx\n", ERR_FORMAT, "", 0, 0, "line 2"},
};

static void
table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config c = {.crashes = 77};
		char why[512] = "";
		int r =
		    config_parse(span_str(rows[i].text), &c, why, sizeof(why));

		if (r != rows[i].r || strstr(why, rows[i].why) == NULL)
			fail_msg("row %zu: %d %s", i, r, why);
		if (r != 0) {
			assert_int_equal(c.crashes, 77); /* untouched */
			continue;
		}
		assert_string_equal(c.admin_group, rows[i].group);
		assert_int_equal(c.crashes, rows[i].crashes);
		assert_int_equal(c.seconds, rows[i].seconds);
		assert_int_equal(c.vsock_port,
		    strstr(rows[i].text, "99999") != NULL ? 99999 : 8377);
		assert_int_equal(c.child_depth,
		    rows[i].depth == 0 ? 3 : rows[i].depth);
	}
	struct config none;
	char why[512];
	assert_int_equal(config_parse(span_str("child_depth: 0\n"), &none, why,
			     sizeof(why)),
	    0);
	assert_int_equal(none.child_depth, 0);
}

static void
the_proxy_is_taken(void **state)
{
	struct config c;
	char why[512], text[8192];
	size_t n;

	(void)state;
	assert_int_equal(
	    config_parse(
		span_str("proxy:\n  url: socks5://[2001:db8::1]:1080/\n"
			 "  no_proxy: [intra.test, '*.lab.test', 10.0.0.1]\n"),
		&c, why, sizeof(why)),
	    0);
	assert_int_equal(c.proxy.kind, CTL_PROXY_SOCKS5);
	assert_string_equal(c.proxy.host, "[2001:db8::1]");
	assert_int_equal(c.proxy.port, 1080);
	assert_string_equal(c.proxy.past, "intra.test\n*.lab.test\n10.0.0.1");
	assert_int_equal(config_default().proxy.kind, CTL_PROXY_NONE);
	/* The password that is refused is not in the message. */
	assert_int_equal(config_parse(span_str("proxy: { url: "
					       "'http://u:canary@p.test:1' }"),
			     &c, why, sizeof(why)),
	    ERR_FORMAT);
	assert_null(strstr(why, "canary"));
	n = (size_t)snprintf(text, sizeof(text),
	    "proxy:\n  url: http://p.test:1\n  no_proxy:\n");
	for (int i = 0; i < 80; i++)
		n += (size_t)snprintf(
		    text + n, sizeof(text) - n, "  - a%d.%060d.test\n", i, i);
	assert_int_equal(
	    config_parse(span_of(text, n), &c, why, sizeof(why)), 0);
}

/* What is said counts, what is left out is the table's. */
static void
limits_are_taken(void **state)
{
	struct bounds usual = bounds_default();
	struct config c;
	char why[512];

	(void)state;
	assert_int_equal(
	    config_parse(span_str("limits:\n  head_seconds: 600\n"
				  "  audit_bytes: 1099511627776\n"),
		&c, why, sizeof(why)),
	    0);
	assert_int_equal(c.limits.head_seconds, 600);
	assert_int_equal(c.limits.audit_bytes, 1ULL << 40);
	c.limits.head_seconds = usual.head_seconds;
	c.limits.audit_bytes = usual.audit_bytes;
	assert_memory_equal(&c.limits, &usual, sizeof(usual));
	assert_true(bounds_good(&usual));
	c = config_default();
	assert_memory_equal(&c.limits, &usual, sizeof(usual));
}

/* Either end of each row's range, and one beyond. */
static void
each_row_has_both_ends(void **state)
{
	struct config c;
	char text[128], why[512];

	(void)state;
#define TRY(name, value, want)                                              \
	(void)snprintf(text, sizeof(text), "limits: { %s: %llu }\n", #name, \
	    (unsigned long long)(value));                                   \
	assert_int_equal(                                                   \
	    config_parse(span_str(text), &c, why, sizeof(why)), want);
#define X(name, usual, least, most, ...)      \
	TRY(name, (least), 0);                \
	TRY(name, (most), 0);                 \
	TRY(name, (least)-1, ERR_FORMAT);     \
	TRY(name, (most) + 1ULL, ERR_FORMAT); \
	TRY(name, UINT64_MAX, ERR_FORMAT)
	BOUNDS(X)
#undef X
}

static void
nul_is_refused(void **state)
{
	struct config c;
	char why[512];

	(void)state;
	assert_int_equal(config_parse(span_of("admin_group: a\n\0typo: 1", 23),
			     &c, why, sizeof(why)),
	    ERR_FORMAT);
	assert_non_null(strstr(why, "line 2"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table),
	    cmocka_unit_test(limits_are_taken),
	    cmocka_unit_test(the_proxy_is_taken),
	    cmocka_unit_test(each_row_has_both_ends),
	    cmocka_unit_test(nul_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
