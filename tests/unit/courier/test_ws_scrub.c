/* SPDX-License-Identifier: ISC */
/* Requirement 10 for WebSockets: a secret in one message, over any frames,
 * never comes out whole; heads, order and lengths stay. */
#include "egress/courier/ws_scrub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sodium.h>
#include <cmocka.h>

static const char secret[] = "ghp_canary0One4711";
#define SECRET_N (sizeof(secret) - 1)

static struct scrub_set *
make_set(void)
{
	struct scrub_set *s;
	struct keep *k;

	assert_int_equal(scrub_set_new(&s), 0);
	assert_int_equal(keep_new(secret, SECRET_N, &k), 0);
	assert_int_equal(scrub_set_add(s, k), 0);
	assert_int_equal(scrub_set_seal(s), 0);
	keep_free(k);
	return s;
}

static void
frame(struct buf *b, unsigned first, const void *p, size_t n)
{
	assert_true(n < 126);
	assert_int_equal(buf_put_u8(b, (uint8_t)first), 0);
	assert_int_equal(buf_put_u8(b, (uint8_t)n), 0);
	assert_int_equal(buf_put(b, p, n), 0);
}

static void
run(struct scrub_set *set, struct span in, size_t cut, bool idle,
    struct buf *out)
{
	struct ws_scrub *w;

	buf_reset(out);
	assert_int_equal(ws_scrub_new(set, &w), 0);
	assert_int_equal(ws_scrub_run(w, span_of(in.p, cut), out), 0);
	assert_int_equal(buf_len(out) + ws_scrub_held(w), cut);
	if (idle)
		assert_int_equal(ws_scrub_idle(w, out), 0);
	assert_int_equal(buf_len(out) + ws_scrub_held(w), cut);
	assert_int_equal(ws_scrub_run(w, span_from(in, cut), out), 0);
	assert_int_equal(ws_scrub_end(w, out), 0);
	assert_int_equal(buf_len(out), in.n);
	ws_scrub_free(w);
}

/* At every cut, in one run: exactly what is wanted. */
static void
gives(struct scrub_set *set, struct buf *in, struct buf *want)
{
	struct buf *out = buf_new(1 << 20);

	for (size_t cut = 0; cut <= buf_len(in); cut++) {
		run(set, buf_span(in), cut, false, out);
		if (!span_eq(buf_span(out), buf_span(want)))
			fail_msg("cut at %zu", cut);
	}
	buf_free(out);
}

/* The secret in two fragments, cut anywhere, with a ping between. */
static void
test_fragments(void **state)
{
	struct scrub_set *set = make_set();
	struct buf *in = buf_new(4096), *want = buf_new(4096);
	const char *stars = "******************";

	(void)state;
	for (size_t at = 0; at <= SECRET_N; at++) {
		buf_reset(in);
		buf_reset(want);
		frame(in, 0x01, "ab", 2);
		frame(in, 0x00, secret, at);
		frame(in, 0x89, "ping", 4);
		frame(in, 0x00, "", 0);
		frame(in, 0x80, secret + at, SECRET_N - at);
		frame(in, 0x82, "after", 5);
		frame(want, 0x01, "ab", 2);
		frame(want, 0x00, stars, at);
		frame(want, 0x89, "ping", 4);
		frame(want, 0x00, "", 0);
		frame(want, 0x80, stars, SECRET_N - at);
		frame(want, 0x82, "after", 5);
		gives(set, in, want);
	}
	buf_free(in);
	buf_free(want);
	scrub_set_free(set);
}

/* Each byte a frame of its own, in both kinds of message, and in control
 * frames. */
static void
test_every_place(void **state)
{
	struct scrub_set *set = make_set();
	struct buf *in = buf_new(4096), *want = buf_new(4096);
	char text[64];

	(void)state;
	for (size_t i = 0; i < SECRET_N; i++) {
		unsigned first = i == 0 ? 0x02 : i + 1 < SECRET_N ? 0 : 0x80;
		frame(in, first, secret + i, 1);
		frame(want, first, "*", 1);
	}
	frame(in, 0x81, secret, SECRET_N);
	frame(want, 0x81, "******************", SECRET_N);
	frame(in, 0x8a, secret, SECRET_N);
	frame(want, 0x8a, "******************", SECRET_N);
	(void)snprintf(text, sizeof(text), "%c%c%s!", 0x03, 0xe8, secret);
	frame(in, 0x88, text, SECRET_N + 3);
	(void)snprintf(text, sizeof(text), "%c%c******************!", 3, 0xe8);
	frame(want, 0x88, text, SECRET_N + 3);
	gives(set, in, want);
	buf_free(in);
	buf_free(want);
	scrub_set_free(set);
}

/* Two messages are two; so is a ping's payload beside a message's. */
static void
test_not_whole(void **state)
{
	struct scrub_set *set = make_set();
	struct buf *in = buf_new(4096);

	(void)state;
	frame(in, 0x81, secret, 10);
	frame(in, 0x81, secret + 10, SECRET_N - 10);
	frame(in, 0x01, secret, 10);
	frame(in, 0x89, secret + 10, SECRET_N - 10);
	frame(in, 0x80, "", 0);
	gives(set, in, in);
	buf_free(in);
	scrub_set_free(set);
}

/* A socket that idles shows at most eight bytes of it. */
static void
test_idle(void **state)
{
	struct scrub_set *set = make_set();
	struct buf *in = buf_new(4096), *out = buf_new(4096);

	(void)state;
	frame(in, 0x01, secret, 5);
	frame(in, 0x89, "p", 1);
	frame(in, 0x80, secret + 5, SECRET_N - 5);
	for (size_t cut = 0; cut <= buf_len(in); cut++) {
		run(set, buf_span(in), cut, true, out);
		size_t shown = 0;
		struct span s = buf_span(out);
		for (size_t i = 0; i < 5; i++)
			shown += s.p[2 + i] != '*';
		for (size_t i = 0; i < SECRET_N - 5; i++)
			shown += s.p[12 + i] != '*';
		assert_in_range(shown, 0, SCRUB_LET_GO);
	}
	buf_free(in);
	buf_free(out);
	scrub_set_free(set);
}

static void
test_bounds(void **state)
{
	struct scrub_set *set = make_set();
	struct buf *in = buf_new(1 << 20), *out = buf_new(1 << 20);
	struct ws_scrub *w;

	(void)state;
	/* Half a secret, then frames without end: not held without end. */
	frame(in, 0x01, secret, 12);
	for (size_t i = 0; i < 2000; i++)
		frame(in, 0x89, "0123456789012345678901234567890123456789", 40);
	assert_int_equal(ws_scrub_new(set, &w), 0);
	assert_int_equal(ws_scrub_run(w, buf_span(in), out), ERR_TOO_BIG);
	ws_scrub_free(w);
	/* The end within a frame; what is not a server's. */
	assert_int_equal(ws_scrub_new(set, &w), 0);
	assert_int_equal(ws_scrub_run(w, span_of("\x81\x05Hel", 5), out), 0);
	assert_int_equal(ws_scrub_end(w, out), ERR_TRUNCATED);
	ws_scrub_free(w);
	assert_int_equal(ws_scrub_new(set, &w), 0);
	assert_int_equal(
	    ws_scrub_run(w, span_of("\x81\x80", 2), out), ERR_FORMAT);
	assert_string_equal(ws_scrub_why(w), "a server's frame is masked");
	ws_scrub_free(w);
	assert_int_equal(ws_scrub_new(set, &w), 0);
	assert_int_equal(ws_scrub_run(w, span_of("\x88\x00", 2), out), 0);
	assert_true(ws_scrub_closed(w));
	ws_scrub_free(w);
	buf_free(in);
	buf_free(out);
	scrub_set_free(set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fragments),
	    cmocka_unit_test(test_every_place),
	    cmocka_unit_test(test_not_whole),
	    cmocka_unit_test(test_idle),
	    cmocka_unit_test(test_bounds),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
