/* SPDX-License-Identifier: ISC */
/* Requirement 20: a path that can be read in two ways is no path. */
#include "scope/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define S(x)                                        \
	{                                           \
		(const uint8_t *)(x), sizeof(x) - 1 \
	}
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct span good[] = {
    S("/"),
    S("/v1"),
    S("/v1/"),
    S("/v1/a"),
    S("/a.b/..c/...d"),
    S("/..."),
    S("/a~b-c_d.e"),
    S("/!$&'()*+,=:@"),
    S("/caf%C3%A9"),
    S("/%20"),
    S("/%F0%9F%8E%A9"),
    S("/%E2%82%AC"),
    S("/%f0%9f%8e%a9"),
    S("/a%3Fb"),
    S("/%EF%BF%BD"),
    S("/%ED%9F%BF"),
    S("/%F4%8F%BF%BF"),
    S("/a?"),
    S("/?x"),
    S("/a?b=c&d=/e?f"),
    S("/a?u=https%3A%2F%2Fb%2E"),
    S("/a?b=%0A"),
    S("/a?a;b"),
    S("/a?b=../..//"),
    S("/a?%41"),
};

static const struct span bad[] = {
    S(""),
    S("*"),
    S("a"),
    S("http://a/"),
    S("//"),
    S("//a"),
    S("/a//b"),
    S("/a//"),
    S("/."),
    S("/.."),
    S("/./a"),
    S("/a/."),
    S("/a/.."),
    S("/a/../b"),
    S("/a/./b"),
    S("/../a"),
    S("/.?x"),
    S("/a;b"),
    S("/;"),
    S("/a;v=1/b"),
    S("/a\\b"),
    S("/\\..\\"),
    S("/a#b"),
    S("/a?b#c"),
    S("/a b"),
    S("/a\tb"),
    S("/a\r\n"),
    S("/a\0"),
    S("/\0"),
    S("/a\x7f"),
    S("/\xc3\xa9"),
    S("/a?\xc3\xa9"),
    S("/a\"b"),
    S("/<"),
    S("/a|b"),
    S("/[a]"),
    S("/a^"),
    S("/`"),
    S("/{a}"),
    S("/a?[b]"),
    S("/a?b\\c"),
    S("/a?b c"),
    /* escapes that hide something */
    S("/%2f"),
    S("/%2F"),
    S("/a/%2fb"),
    S("/a%2f/b"),
    S("/a%2f%2Fb"),
    S("/a%2f..%2fb"),
    S("/a%2f.."),
    S("/..%2fa"),
    S("/a%2f.?x"),
    S("/a%252fb"),
    S("/a%2f%2e"),
    S("/%5c"),
    S("/%5C"),
    S("/%2e"),
    S("/%2e%2e/a"),
    S("/.%2e/a"),
    S("/%2E"),
    S("/%00"),
    S("/%01"),
    S("/%0a"),
    S("/%0d%0a"),
    S("/%1f"),
    S("/%7f"),
    S("/%3b"),
    S("/%25"),
    S("/%252e"),
    S("/%41"),
    S("/%7E"),
    S("/%30"),
    S("/%2d"),
    S("/%5f"),
    S("/a?%00"),
    /* escapes that are none */
    S("/%"),
    S("/%2"),
    S("/%zz"),
    S("/%g0"),
    S("/%0g"),
    S("/a%"),
    S("/a%e"),
    S("/%%20"),
    S("/%u002e"),
    S("/%-1"),
    S("/a?%"),
    S("/a?%4"),
    S("/a?%zz"),
    /* escapes that are not UTF-8: overlong, surrogate, cut, stray, beyond */
    S("/%C0%AF"),
    S("/%C0%AE"),
    S("/%C1%9C"),
    S("/%E0%80%AF"),
    S("/%E0%9F%BF"),
    S("/%F0%80%80%AF"),
    S("/%F0%8F%BF%BF"),
    S("/%ED%A0%80"),
    S("/%ED%BF%BF"),
    S("/%F4%90%80%80"),
    S("/%F5%80%80%80"),
    S("/%FF"),
    S("/%FE"),
    S("/%80"),
    S("/%BF"),
    S("/%C3"),
    S("/%C3/%A9"),
    S("/%C3a"),
    S("/%E2%82"),
    S("/%E2%82a"),
    S("/%C3?%A9"),
    S("/a?%C3"),
    S("/a?%FF"),
};

static bool
matches(struct span pattern, struct span path)
{
	struct target t;

	assert_int_equal(target_parse(path, &t), 0);
	return target_match(pattern, &t);
}

static void
targets(void **state)
{
	struct target t;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		if (target_parse(good[i], &t) != 0)
			fail_msg("refused %s", (const char *)good[i].p);
		/* Nothing is rewritten: the parts are the bytes. */
		assert_ptr_equal(t.path.p, good[i].p);
		assert_int_equal(
		    t.path.n + (t.query.p != NULL) + t.query.n, good[i].n);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (target_parse(bad[i], &t) == 0)
			fail_msg("took bad[%zu]: %.*s", i, (int)bad[i].n,
			    (const char *)bad[i].p);
	}
}

static void
target_parts(void **state)
{
	struct target t;

	(void)state;
	assert_int_equal(target_parse(span_str("/a?b?c"), &t), 0);
	assert_true(span_is(t.path, "/a"));
	assert_true(span_is(t.query, "b?c"));
	assert_int_equal(target_parse(span_str("/a"), &t), 0);
	assert_null(t.query.p);
	assert_int_equal(target_parse(span_str("/a?"), &t), 0);
	assert_non_null(t.query.p);
	assert_int_equal(t.query.n, 0);
}

/* Nobody knows where the segments of such a path end. */
static void
hidden_slashes(void **state)
{
	static const char *const paths[] = {"/a%2fb", "/a%2Fb", "/v1/@b%2fc",
	    "/a%2f", "/a%2fb/c?d=%2f", "/a/b%2F...%2fc"};
	static const char *const narrower[] = {
	    "/a*", "/*", "/**/*", "/v1/**", "/**/**", "/", "/a/**", "/**/"};
	struct target t;

	(void)state;
	for (size_t i = 0; i < COUNT(paths); i++) {
		assert_int_equal(target_parse(span_str(paths[i]), &t), 0);
		assert_true(t.hides_slash);
		assert_true(target_match(span_str("/**"), &t));
		for (size_t j = 0; j < COUNT(narrower); j++)
			assert_false(target_match(span_str(narrower[j]), &t));
	}
	assert_int_equal(target_parse(span_str("/a?b=%2f"), &t), 0);
	assert_false(t.hides_slash);
}

static void
target_length(void **state)
{
	static uint8_t big[32 * 1024 + 1];
	struct target t;

	(void)state;
	memset(big, 'a', sizeof(big));
	big[0] = '/';
	assert_int_equal(target_parse(span_of(big, sizeof(big) - 1), &t), 0);
	assert_int_equal(
	    target_parse(span_of(big, sizeof(big)), &t), ERR_FORMAT);
}

static void
every_byte(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		uint8_t raw[] = {'/', 'a', (uint8_t)c, 'b'};
		struct target t;
		bool want =
		    c != 0 &&
		    strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstu"
			   "vwxyz0123456789-._~!$&'()*+,=:@/?",
			c) != NULL;

		assert_int_equal(
		    target_parse(span_of(raw, sizeof(raw)), &t) == 0, want);
	}
}

static void
patterns(void **state)
{
	static const char *const taken[] = {"/", "/**", "/v1/**", "/v1/*",
	    "/v1/*/x", "/**/x", "/a*b", "/*a*", "/**/a/**", "/v1/", "/**/",
	    "/caf%C3%A9/*"};
	static const char *const refused[] = {"", "**", "v1", "/a**", "/**a",
	    "/***", "/a/***", "/a//b", "/a/../b", "/a?b", "/a#", "/%*", "/%2*",
	    "/a;*", "/%2e", "/a b", "/*/../*", "//**", "/a%2fb", "/**/a%2F",
	    "/*%2f*"};
	char big[PATH_PATTERN_MAX + 1];

	(void)state;
	for (size_t i = 0; i < COUNT(taken); i++) {
		if (path_pattern_check(span_str(taken[i])) != 0)
			fail_msg("refused %s", taken[i]);
	}
	for (size_t i = 0; i < COUNT(refused); i++) {
		if (path_pattern_check(span_str(refused[i])) == 0)
			fail_msg("took %s", refused[i]);
	}
	memset(big, 'a', sizeof(big));
	big[0] = '/';
	assert_int_equal(path_pattern_check(span_of(big, sizeof(big) - 1)), 0);
	assert_int_not_equal(path_pattern_check(span_of(big, sizeof(big))), 0);
}

static void
matching(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool match;
	} rows[] = {
	    {"/", "/", true},
	    {"/", "/a", false},
	    {"/v1", "/v1", true},
	    {"/v1", "/v1/", false},
	    {"/v1", "/v1x", false},
	    {"/v1", "/V1", false},
	    {"/v1/**", "/v1", true},
	    {"/v1/**", "/v1/", true},
	    {"/v1/**", "/v1/a", true},
	    {"/v1/**", "/v1/a/b/c", true},
	    {"/v1/**", "/v1x", false},
	    {"/v1/**", "/v10/a", false},
	    {"/v1/**", "/", false},
	    {"/v1/**", "/v2/v1/a", false},
	    {"/v1/*", "/v1/a", true},
	    {"/v1/*", "/v1/", false},
	    {"/v1/*", "/v1", false},
	    {"/v1/*", "/v1/a/b", false},
	    {"/v1/*", "/v1/a/", false},
	    {"/v1/*/", "/v1/a/", true},
	    {"/a*b", "/ab", false},
	    {"/a*b", "/axb", true},
	    {"/a*b", "/axbxb", true},
	    {"/a*b", "/axbx", false},
	    {"/a*", "/a", false},
	    {"/*a", "/a", false},
	    {"/*a", "/aa", true},
	    {"/*a*", "/aaa", true},
	    {"/*a*", "/baa", true},
	    {"/*a*", "/ba", false},
	    {"/**", "/", true},
	    {"/**", "/a/b", true},
	    {"/**/x", "/x", true},
	    {"/**/x", "/a/b/x", true},
	    {"/**/x", "/a/x/b", false},
	    {"/**/x", "/ax", false},
	    {"/a/**/b/**/c", "/a/b/c", true},
	    {"/a/**/b/**/c", "/a/c/b/c/b/c", true},
	    {"/a/**/b/**/c", "/a/c/b", false},
	    {"/**/**/a", "/a", true},
	    /* an escape is one character, never a half */
	    {"/*0", "/%20", false},
	    {"/a*", "/a%20", true},
	    {"/*", "/%20", true},
	    {"/*%20", "/%20%20", true},
	    {"/*20", "/a%20", false},
	    {"/%C3%A9", "/%C3%A9", true},
	    {"/%C3%A9", "/%C3%A8", false},
	    {"/repos/acme/*/issues", "/repos/acme/hat/issues", true},
	    {"/repos/acme/*/issues", "/repos/acme/a/b/issues", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(
		    path_pattern_check(span_str(rows[i].pattern)), 0);
		if (matches(span_str(rows[i].pattern),
			span_str(rows[i].path)) != rows[i].match)
			fail_msg("%s on %s", rows[i].pattern, rows[i].path);
	}
}

/* The obviously right matcher: tries everything. */
static bool
slow_segment(const char *p, const char *s)
{
	if (*p == '\0' || *p == '/')
		return *s == '\0' || *s == '/';
	if (*s == '\0' || *s == '/')
		return false;
	if (*p == '*')
		return slow_segment(p + 1, s + 1) || slow_segment(p, s + 1);
	return *p == *s && slow_segment(p + 1, s + 1);
}

static const char *
after(const char *s)
{
	return s + 1 + strcspn(s + 1, "/");
}

static bool
slow(const char *p, const char *s)
{
	if (*p == '\0')
		return *s == '\0';
	if (strncmp(p, "/**", 3) == 0 && (p[3] == '/' || p[3] == '\0')) {
		for (;; s = after(s)) {
			if (slow(p + 3, s))
				return true;
			if (*s == '\0')
				return false;
		}
	}
	return *s == '/' && slow_segment(p + 1, s + 1) &&
	       slow(after(p), after(s));
}

static void
agrees_with_slow(void **state)
{
	static const char *const bits[] = {
	    "a", "b", "ab", "*", "/", "/**", "/*", "/a", "/b", "."};
	size_t both = 0, matched = 0;

	(void)state;
	srandom(11);
	for (int round = 0; round < 400000; round++) {
		char pattern[128] = "/", path[128] = "/";
		struct target t;

		for (long n = random() % 9; n > 0; n--)
			strcat(pattern, bits[random() % (long)COUNT(bits)]);
		for (long n = random() % 12; n > 0; n--)
			strcat(path, (const char *[]){"a", "b", "/", "/a",
					 "/b"}[random() % 5]);
		if (path_pattern_check(span_str(pattern)) != 0 ||
		    target_parse(span_str(path), &t) != 0)
			continue;
		both++;
		bool m = target_match(span_str(pattern), &t);
		if (m != slow(pattern, path))
			fail_msg("%s on %s", pattern, path);
		matched += m;
	}
	assert_true(both > 50000 && matched > 2000);
}

/* A pattern of stars on a path that almost matches: an exponential matcher
 * would not come back. */
static void
no_blowup(void **state)
{
	static char pattern[PATH_PATTERN_MAX], path[32 * 1024];
	size_t n = 0;

	(void)state;
	while (n + 3 < sizeof(pattern)) {
		memcpy(pattern + n, n == 0 ? "/a*" : "a*a", 3);
		n += 3;
	}
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = 'b';
	assert_int_equal(path_pattern_check(span_of(pattern, n)), 0);
	assert_false(matches(span_of(pattern, n), span_of(path, sizeof(path))));

	for (n = 0; n + 5 < sizeof(pattern); n += 5)
		memcpy(pattern + n, "/**/a", 5);
	for (size_t i = 0; i < sizeof(path); i++)
		path[i] = i % 2 == 0 ? '/' : 'a';
	path[sizeof(path) - 1] = 'b';
	assert_false(matches(span_of(pattern, n), span_of(path, sizeof(path))));
}

static void
queries(void **state)
{
	static char page[] = "page", q[] = "q", x[] = "filter%5Bx%5D";
	static char *const names[] = {page, q, x};
	static const struct {
		const char *query;
		bool good;
	} rows[] = {
	    {"", true},
	    {"page=1", true},
	    {"page", true},
	    {"page=1&q=2", true},
	    {"q=1&q=2", true},
	    {"filter%5Bx%5D=1", true},
	    {"q=a=b", true},
	    {"page=1&x=2", false},
	    {"x", false},
	    {"pa%67e=1", false},
	    {"filter%5bx%5d=1", false},
	    {"PAGE=1", false},
	    {"page=1&", false},
	    {"&page=1", false},
	    {"page=1&&q=2", false},
	    {"page=1;admin=1", false},
	    {"=1", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (query_within(span_str(rows[i].query), names, 3) !=
		    rows[i].good)
			fail_msg("%s", rows[i].query);
	}
	assert_true(query_within((struct span){0}, NULL, 0));
	assert_false(query_within(span_str("a"), NULL, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(targets),
	    cmocka_unit_test(target_parts),
	    cmocka_unit_test(hidden_slashes),
	    cmocka_unit_test(target_length),
	    cmocka_unit_test(every_byte),
	    cmocka_unit_test(patterns),
	    cmocka_unit_test(matching),
	    cmocka_unit_test(agrees_with_slow),
	    cmocka_unit_test(no_blowup),
	    cmocka_unit_test(queries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
