/* SPDX-License-Identifier: ISC */
/* The talk with a corporate proxy: what is said, which answers open the
 * way, and that not a byte behind the answer is taken. */
#include "egress/dialer/talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct buf *out;

static void
start(struct talk *t, enum ctl_proxy_kind kind, const char *name)
{
	struct host h;

	assert_int_equal(host_parse(span_str(name), &h), 0);
	assert_int_equal(talk_start(t, kind, &h, 443, out), 0);
}

static bool
sends(const char *bytes, size_t n)
{
	return span_eq(buf_span(out), span_of(bytes, n));
}

static const struct {
	const char *answer;
	int want;
} http[] = {
    {"HTTP/1.1 200 Connection established\r\n\r\n", 0},
    {"HTTP/1.0 200 OK\r\n\r\n", 0},
    {"HTTP/1.1 200\r\n\r\n", 0},
    {"HTTP/1.1 200 \r\n\r\n", 0},
    {"HTTP/1.1 200 OK\r\nVia: 1.1 squid\r\nX-A:\r\n\r\n", 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 0},
    {"HTTP/1.1 200 \x80\xff\r\n\r\n", 0},
    {"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", ERR_DENIED},
    {"HTTP/1.1 403\r\n", ERR_DENIED},
    {"HTTP/1.1 204 No\r\n", ERR_DENIED},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", ERR_DENIED},
    {"HTTP/1.1 101 Switching\r\n\r\n", ERR_DENIED},
    {"HTTP/1.1 2000 OK\r\n\r\n", ERR_FORMAT},
    {"HTTP/1.1 20 OK\r\n\r\n", ERR_FORMAT},
    {"HTTP/1.1 +20 OK\r\n\r\n", ERR_FORMAT},
    {"HTTP/1.1  200 OK\r\n\r\n", ERR_FORMAT},
    {"HTTP/1.1\t200 OK\r\n\r\n", ERR_FORMAT},
    {"HTTP/2.0 200 OK\r\n\r\n", ERR_FORMAT},
    {"HTTP/1.2 200 OK\r\n\r\n", ERR_FORMAT},
    {"HTTP/1.1 200OK\r\n\r\n", ERR_FORMAT},
    {"http/1.1 200 OK\r\n\r\n", ERR_FORMAT},
    {"ICY 200 OK\r\n\r\n", ERR_FORMAT},
    {"\r\nHTTP/1.1 200 OK\r\n\r\n", ERR_FORMAT},
    {"\r\n\r\n", ERR_FORMAT},
    {" HTTP/1.1 200 OK\r\n\r\n", ERR_FORMAT},
    {"HTTP/1.1 200 OK\n\n", ERR_FORMAT},
    {"HTTP/1.1 200 OK\r\r\n\r\n", ERR_FORMAT},
    {"HTTP/1.1 200 OK\r\nA: b\n\r\n", ERR_FORMAT},
    {"HTTP/1.1 200 OK\r\n A: b\r\n\r\n", ERR_FORMAT},
    {"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", ERR_FORMAT},
    {"HTTP/1.1 200 OK\r\nA b\r\n\r\n", ERR_FORMAT},
    {"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", ERR_FORMAT},
    {"HTTP/1.1 200 OK\r\n: b\r\n\r\n", ERR_FORMAT},
    {"HTTP/1.1 200 OK\r\nAB\r\n\r\n", ERR_FORMAT},
    {"HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n", ERR_FORMAT},
    {"HTTP/1.1 200 \x7f\r\n\r\n", ERR_FORMAT},
    {"\x16\x03\x01\x02", ERR_FORMAT},
    {"\x05", ERR_FORMAT},
    {"HTTP/1.1 200 OK\r\nA: b\r\n", ERR_TRUNCATED},
    {"HTTP/1.1 200 OK\r\n\r", ERR_TRUNCATED},
};

/* In pieces of step bytes, with n bytes of the host's behind it. */
static int
feed(struct talk *t, const char *answer, size_t n, size_t step, size_t *taken)
{
	int r = ERR_TRUNCATED;

	*taken = 0;
	while (r == ERR_TRUNCATED && *taken < n) {
		size_t used, left = n - *taken;
		struct span in =
		    span_of(answer + *taken, left < step ? left : step);
		r = talk_next(t, in, &used, out);
		assert_true(used <= in.n);
		if (r == ERR_TRUNCATED)
			assert_int_equal(used, in.n);
		*taken += used;
	}
	return r;
}

static void
http_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(http) / sizeof(http[0]); i++) {
		size_t n = strlen(http[i].answer), taken;
		for (size_t step = 1; step <= n + 1; step++) {
			struct talk t;
			start(&t, CTL_PROXY_HTTP, "api.demo.test");
			int r = feed(&t, http[i].answer, n, step, &taken);
			if (r != http[i].want)
				fail_msg("row %zu by %zu: %d", i, step, r);
		}
	}
}

/* What the host sends first stays where it is. */
static void
nothing_behind_is_taken(void **state)
{
	static const char answer[] =
	    "HTTP/1.1 200 OK\r\nA: b\r\n\r\nHTTP/1.1 403 No\r\n\r\n";
	static const char socks[] = "\5\0\0\1\1\2\3\4\0\120\5\377more";

	(void)state;
	for (size_t step = 1; step < 60; step++) {
		struct talk t;
		size_t taken;
		start(&t, CTL_PROXY_HTTP, "api.demo.test");
		assert_int_equal(
		    feed(&t, answer, sizeof(answer) - 1, step, &taken), 0);
		assert_int_equal(taken, 25);
		assert_int_equal(
		    talk_next(&t, span_str("x"), &taken, out), ERR_SEQUENCE);
		start(&t, CTL_PROXY_SOCKS5, "api.demo.test");
		assert_int_equal(
		    feed(&t, "\5\0", 2, step, &taken), ERR_TRUNCATED);
		assert_int_equal(
		    feed(&t, socks, sizeof(socks) - 1, step, &taken), 0);
		assert_int_equal(taken, 10);
	}
}

static void
an_endless_answer_ends(void **state)
{
	struct talk t;
	size_t used, n = 0;
	int r;

	(void)state;
	start(&t, CTL_PROXY_HTTP, "api.demo.test");
	r = talk_next(&t, span_str("HTTP/1.1 200 OK\r\nA:"), &used, out);
	for (; r == ERR_TRUNCATED && n < 100000; n++)
		r = talk_next(&t, span_str("x"), &used, out);
	assert_int_equal(r, ERR_TOO_BIG);
	assert_true(n <= TALK_MAX);
}

static void
http_is_asked(void **state)
{
	static const char *const hosts[] = {"api.demo.test", "[2001:db8::1]"};
	struct talk t;
	char want[256];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		start(&t, CTL_PROXY_HTTP, hosts[i]);
		(void)snprintf(want, sizeof(want),
		    "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n", hosts[i],
		    hosts[i]);
		assert_true(sends(want, strlen(want)));
	}
}

static void
socks_is_asked(void **state)
{
	static const struct {
		const char *host, *want;
		size_t n;
	} rows[] = {
	    {"a.test", "\5\1\0\3\6a.test\1\273", 13},
	    {"192.0.2.7", "\5\1\0\1\300\0\2\7\1\273", 10},
	    {"[2001:db8::1]",
		"\5\1\0\4\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1\1\273", 22},
	};
	struct talk t;
	size_t used;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		start(&t, CTL_PROXY_SOCKS5, rows[i].host);
		assert_true(sends("\5\1\0", 3));
		assert_int_equal(talk_next(&t, span_of("\5\0", 2), &used, out),
		    ERR_TRUNCATED);
		assert_true(sends(rows[i].want, rows[i].n));
	}
}

static const struct {
	const char *method, *reply;
	size_t n;
	int want;
} socks[] = {
    {"\5\0", "\5\0\0\1\0\0\0\0\0\0", 10, 0},
    {"\5\0", "\5\0\0\3\4abcd\0\0", 11, 0},
    {"\5\0", "\5\0\0\3\0\0\0", 7, 0},
    {"\5\0", "\5\0\0\4xxxxxxxxxxxxxxxx\0\0", 22, 0},
    {"\5\0", "\5\0\0\4xxxxxxxxxxxxxxxx\0", 21, ERR_TRUNCATED},
    {"\5\0", "\5\2\0\1\0\0\0\0\0\0", 10, ERR_DENIED},
    {"\5\0", "\5\5", 2, ERR_DENIED},
    {"\5\0", "\4\0\0\1\0\0\0\0\0\0", 10, ERR_FORMAT},
    {"\5\0", "\5\0\1\1\0\0\0\0\0\0", 10, ERR_FORMAT},
    {"\5\0", "\5\0\0\2\0\0\0\0\0\0", 10, ERR_FORMAT},
    {"\5\377", "", 0, ERR_DENIED},
    {"\5\2", "", 0, ERR_FORMAT}, /* a password: not offered */
    {"\4\0", "", 0, ERR_FORMAT},
    {"HT", "", 0, ERR_FORMAT},
};

static void
socks_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(socks) / sizeof(socks[0]); i++) {
		for (size_t step = 1; step < 24; step++) {
			struct talk t;
			size_t taken;
			start(&t, CTL_PROXY_SOCKS5, "api.demo.test");
			int r = feed(&t, socks[i].method, 2, step, &taken);
			if (r == ERR_TRUNCATED)
				r = feed(&t, socks[i].reply, socks[i].n, step,
				    &taken);
			if (r != socks[i].want)
				fail_msg("row %zu by %zu: %d", i, step, r);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(http_is_asked),
	    cmocka_unit_test(http_answers),
	    cmocka_unit_test(socks_is_asked),
	    cmocka_unit_test(socks_answers),
	    cmocka_unit_test(nothing_behind_is_taken),
	    cmocka_unit_test(an_endless_answer_ends),
	};

	out = buf_new(TALK_OUT_MAX);
	int r = out == NULL || cmocka_run_group_tests(tests, NULL, NULL);
	buf_free(out);
	return r;
}
