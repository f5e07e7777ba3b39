/* SPDX-License-Identifier: ISC */
/* Requirements 4 and 5: one canonical form, wildcards of one label. */
#include "scope/host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct {
	const char *in, *out;
	bool is_ip;
} good[] = {
    {"api.demo.test", "api.demo.test", false},
    {"API.Demo.TEST", "api.demo.test", false},
    {"api.demo.test.", "api.demo.test", false},
    {"localhost", "localhost", false},
    {"xn--bcher-kva.example", "xn--bcher-kva.example", false},
    {"r3---sn-abc.example", "r3---sn-abc.example", false},
    {"1.example", "1.example", false},
    {"0x7f.example", "0x7f.example", false},
    {"a1.0xg", "a1.0xg", false},
    {"127.0.0.1", "127.0.0.1", true},
    {"255.255.255.255", "255.255.255.255", true},
    {"[::1]", "[::1]", true},
    {"[2001:DB8::a]", "[2001:db8::a]", true},
    {"[::]", "[::]", true},
};

/* Each is refused, never repaired. */
#define S(x)                                        \
	{                                           \
		(const uint8_t *)(x), sizeof(x) - 1 \
	}
static const struct span bad[] = {
    S(""),
    S("."),
    S(".."),
    S("a..b"),
    S(".a"),
    S("a.."),
    S("a.b.."),
    S("-a.b"),
    S("a-.b"),
    S("a.-b"),
    S("a.b-"),
    S("xn--.b"),
    S("a_b.c"),
    S("a b"),
    S(" a"),
    S("a "),
    S("a\tb"),
    S("a\0b"),
    S("a\0"),
    S("\0"),
    S("a%2eb"),
    S("a%"),
    S("%61"),
    S("user@a.b"),
    S("a@b"),
    S("a\\b"),
    S("a/b"),
    S("a?b"),
    S("a#b"),
    S("a,b"),
    S("a;b"),
    S("a:80"),
    S("*"),
    S("*.a.b"),
    S("a.*"),
    S("a+b"),
    S("a=b"),
    S("\"a\""),
    /* full-width and other Unicode: i, dot, digits, soft hyphen, BOM */
    S("ap\xef\xbd\x89.test"),
    S("a\xe3\x80\x82test"),
    S("a\xef\xbc\x8etest"),
    S("\xef\xbc\x91.2.3.4"),
    S("a\xc2\xad"
      "z"),
    S("\xef\xbb\xbf"
      "a.b"),
    S("b\xc3\xbc"
      "cher.example"),
    S("a\x80"),
    S("\xff"),
    /* what inet_aton() takes for 127.0.0.1 */
    S("127.1"),
    S("127.0.1"),
    S("2130706433"),
    S("0x7f000001"),
    S("0x7f.1"),
    S("0x7f.0.0.1"),
    S("0177.0.0.1"),
    S("017700000001"),
    S("127.0.0.01"),
    S("127.0.0.0x1"),
    S("127.0.0.1."),
    S("0"),
    S("1"),
    S("0x"),
    S("a.0x"),
    S("a.1"),
    S("1.2.3.4.5"),
    S("256.1.1.1"),
    S("1.2.3"),
    S("1.2.3.4."),
    S("0X7F.1"),
    S("foo.0x1f"),
    /* IPv6: zone ids, second spellings, rubbish */
    S("::1"),
    S("[::1"),
    S("::1]"),
    S("[]"),
    S("["),
    S("[::1%lo]"),
    S("[::1%25lo]"),
    S("[fe80::1%1]"),
    S("[0:0:0:0:0:0:0:1]"),
    S("[::0001]"),
    S("[2001:db8:0:0::1]"),
    S("[::ffff:127.0.0.1]"),
    S("[::ffff:7f00:1]"),
    S("[::127.0.0.1]"),
    S("[1::2::3]"),
    S("[::1]a"),
    S("[::1]."),
    S("[v1.a]"),
    S("[127.0.0.1]"),
    S("[[::1]]"),
    S("[ ::1]"),
};

static void
names(void **state)
{
	struct host h, again;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (host_parse(span_str(good[i].in), &h) != 0)
			fail_msg("refused %s", good[i].in);
		assert_string_equal(h.name, good[i].out);
		assert_int_equal(h.is_ip, good[i].is_ip);
		assert_int_equal(host_parse(span_str(h.name), &again), 0);
		assert_string_equal(h.name, again.name);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&h, 'x', sizeof(h));
		if (host_parse(bad[i], &h) == 0)
			fail_msg("took bad[%zu]: %.*s", i, (int)bad[i].n,
			    (const char *)bad[i].p);
		assert_int_equal(h.name[0], 'x');
	}
}

static void
lengths(void **state)
{
	char name[400];
	struct host h;

	(void)state;
	memset(name, 'a', sizeof(name));
	assert_int_equal(host_parse(span_of(name, 63), &h), 0);
	assert_int_equal(host_parse(span_of(name, 64), &h), ERR_FORMAT);
	for (size_t i = 63; i < sizeof(name); i += 64)
		name[i] = '.';
	assert_int_equal(host_parse(span_of(name, 253), &h), 0);
	assert_int_equal(strlen(h.name), 253);
	assert_int_equal(host_parse(span_of(name, 254), &h), ERR_FORMAT);
	name[253] = '.';
	assert_int_equal(host_parse(span_of(name, 254), &h), 0);
	assert_int_equal(strlen(h.name), 253);
	assert_int_equal(host_parse(span_of(name, 255), &h), ERR_FORMAT);
}

/* canon(canon(x)) == canon(x), on strings made of what is special. */
static void
canon_is_stable(void **state)
{
	static const char *const bits[] = {"a", "B", "0", "1", "127", "0x7f",
	    ".", "-", "[", "]", ":", "::", "%", "@", "\\", "xn--", "255",
	    "ffff", "test", "_", " "};
	size_t taken = 0;

	(void)state;
	srandom(7);
	for (int round = 0; round < 200000; round++) {
		char text[64] = "";
		struct host a, b;

		for (long n = 1 + random() % 7; n > 0; n--)
			strcat(text, bits[(size_t)random() %
					  (sizeof(bits) / sizeof(bits[0]))]);
		if (host_parse(span_str(text), &a) != 0)
			continue;
		taken++;
		assert_int_equal(host_parse(span_str(a.name), &b), 0);
		assert_string_equal(a.name, b.name);
		assert_int_equal(a.is_ip, b.is_ip);
	}
	assert_true(taken > 1000);
}

static void
authorities(void **state)
{
	static const struct {
		const char *in;
		uint16_t def;
		const char *host;
		uint16_t port;
	} rows[] = {
	    {"a.test:443", 0, "a.test", 443},
	    {"a.test", 80, "a.test", 80},
	    {"A.test.:1", 0, "a.test", 1},
	    {"a.test:65535", 443, "a.test", 65535},
	    {"[::1]:8443", 0, "[::1]", 8443},
	    {"[::1]", 443, "[::1]", 443},
	    {"127.0.0.1:80", 0, "127.0.0.1", 80},
	};
	static const char *const refused[] = {"a.test", "a.test:", ":443", "",
	    "a.test:0", "a.test:00", "a.test:0443", "a.test:65536",
	    "a.test:4 43", "a.test:+443", "a.test:-1", "a.test:443:443",
	    "a.test:0x1bb", "a.test:443/", "u:p@a.test:443", "u@a.test:443",
	    "::1:443", "[::1]443", "[::1]:", "[::1", "a.test:99999999999999"};
	struct host h;
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (host_parse_authority(
			span_str(rows[i].in), rows[i].def, &h, &port) != 0)
			fail_msg("refused %s", rows[i].in);
		assert_string_equal(h.name, rows[i].host);
		assert_int_equal(port, rows[i].port);
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (host_parse_authority(span_str(refused[i]), 0, &h, &port) ==
		    0)
			fail_msg("took %s", refused[i]);
	}
}

static void
patterns(void **state)
{
	static const char *const taken[] = {"api.demo.test", "*.demo.test",
	    "127.0.0.1", "[::1]", "*.a.b.demo.test", "*.example.co.uk",
	    "*.example.com"};
	static const char *const refused[] = {"*", "*.", "*.test", "*.com",
	    "*.co.uk", "*.uk", "*.ck", "*.github.io", "*.s3.amazonaws.com",
	    "*.127.0.0.1", "*.0.0.1", "*.[::1]", "**.demo.test",
	    "*.*.demo.test", "a.*.test", "a*.demo.test", "*a.demo.test", "",
	    "*demo.test", "*.demo..test", "*.compute.amazonaws.com"};
	char out[HOST_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		if (host_pattern_parse(span_str(taken[i]), out) != 0)
			fail_msg("refused %s", taken[i]);
		assert_string_equal(out, taken[i]);
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (host_pattern_parse(span_str(refused[i]), out) == 0)
			fail_msg("took %s", refused[i]);
	}
	assert_int_equal(host_pattern_parse(span_str("*.Demo.TEST."), out), 0);
	assert_string_equal(out, "*.demo.test");
}

static void
matching(void **state)
{
	static const struct {
		const char *pattern, *host;
		bool match, within;
	} rows[] = {
	    {"a.test", "a.test", true, true},
	    {"a.test", "b.a.test", false, false},
	    {"a.test", "xa.test", false, false},
	    {"*.a.test", "b.a.test", true, true},
	    {"*.a.test", "a.test", false, false},
	    {"*.a.test", "c.b.a.test", false, false},
	    {"*.a.test", "ba.test", false, false},
	    {"*.a.test", ".a.test", false, false},
	    {"*.a.test", "*.a.test", false, true},
	    {"*.a.test", "*.b.a.test", false, false},
	    {"b.a.test", "*.a.test", false, false},
	    {"*.a.test", "b.a.testx", false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(
		    host_pattern_match(rows[i].pattern, rows[i].host),
		    rows[i].match);
		assert_int_equal(
		    host_pattern_within(rows[i].pattern, rows[i].host),
		    rows[i].within);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names),
	    cmocka_unit_test(lengths),
	    cmocka_unit_test(canon_is_stable),
	    cmocka_unit_test(authorities),
	    cmocka_unit_test(patterns),
	    cmocka_unit_test(matching),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
