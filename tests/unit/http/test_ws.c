/* SPDX-License-Identifier: ISC */
/* RFC 6455: what is not a strict frame is refused, wherever the bytes are
 * split, and what is accepted reads the same at every split. */
#include "egress/http/ws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/buf.h"

/* All of it in pieces, as text; the result of the last call. */
static int
read_all(enum ws_side side, struct span all, size_t piece, struct buf *out,
    struct ws *w)
{
	int r = 0;

	ws_start(w, side);
	for (; all.n > 0 && r == 0; all = span_from(all, piece)) {
		size_t n = piece < all.n ? piece : all.n;
		/* A copy of exact size, so that ASan sees an overread. */
		uint8_t *copy = malloc(n);
		memcpy(copy, all.p, n);
		struct span in = span_of(copy, n), s;
		enum ws_event e = WS_HEAD;
		while (r == 0 && e != WS_MORE) {
			r = ws_next(w, &in, &e, &s);
			if (r == 0 && e == WS_HEAD)
				r = buf_printf(out,
				    "[%u%s %llu:", w->frame.opcode,
				    w->frame.fin ? "!" : "",
				    (unsigned long long)w->frame.length);
			else if (r == 0 && e == WS_PAYLOAD)
				r = buf_put_span(out, s);
			else if (r == 0 && e == WS_END)
				r = buf_put_str(out, "]");
		}
		free(copy);
	}
	return r;
}

static void
accepts(enum ws_side side, const char *bytes, size_t n, const char *want)
{
	for (size_t piece = 1; piece <= n; piece++) {
		struct buf *out = buf_new(1 << 20);
		struct ws w;
		int r = read_all(side, span_of(bytes, n), piece, out, &w);
		if (r != 0 || !span_is(buf_span(out), want))
			fail_msg("%s: %d %s, %.*s", want, r, ws_why(&w),
			    (int)buf_len(out), buf_span(out).p);
		assert_true(ws_between(&w));
		buf_free(out);
	}
}

static void
refuses(enum ws_side side, const char *bytes, size_t n, const char *why)
{
	for (size_t piece = 1; piece <= n; piece++) {
		struct buf *out = buf_new(1 << 20);
		struct ws w;
		int r = read_all(side, span_of(bytes, n), piece, out, &w);
		if (r != ERR_FORMAT || strcmp(ws_why(&w), why) != 0)
			fail_msg("%s: %d, %s", why, r, ws_why(&w));
		buf_free(out);
	}
}

#define ACCEPTS(side, bytes, want) accepts(side, bytes, sizeof(bytes) - 1, want)
#define REFUSES(side, bytes, why) refuses(side, bytes, sizeof(bytes) - 1, why)

static void
test_accepted(void **state)
{
	(void)state;
	/* The examples of RFC 6455, 5.7. */
	ACCEPTS(WS_SERVER, "\x81\x05Hello", "[1! 5:Hello]");
	ACCEPTS(WS_CLIENT, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
	    "[1! 5:\x7f\x9f\x4d\x51\x58]");
	ACCEPTS(WS_SERVER, "\x01\x03Hel\x80\x02lo", "[1 3:Hel][0! 2:lo]");
	ACCEPTS(WS_SERVER, "\x89\x05Hello", "[9! 5:Hello]");
	/* Empty ones; control frames between fragments. */
	ACCEPTS(
	    WS_SERVER, "\x82\x00\x89\x00\x8a\x00", "[2! 0:][9! 0:][10! 0:]");
	ACCEPTS(WS_SERVER,
	    "\x02\x01"
	    "a\x89\x01p\x00\x00\x80\x01"
	    "b",
	    "[2 1:a][9! 1:p][0 0:][0! 1:b]");
	/* Closing. */
	ACCEPTS(WS_SERVER, "\x88\x00", "[8! 0:]");
	ACCEPTS(WS_SERVER, "\x88\x04\x03\xe8ok", "[8! 4:\x03\xe8ok]");
	ACCEPTS(WS_SERVER, "\x88\x06\x0b\xb8\xf4\x8f\xbf\xbf",
	    "[8! 6:\x0b\xb8\xf4\x8f\xbf\xbf]");
	ACCEPTS(
	    WS_CLIENT, "\x88\x82\x01\x02\x01\x02\x02\xea", "[8! 2:\x02\xea]");
}

static void
test_lengths(void **state)
{
	static char big[70000 + 14];
	struct buf *out = buf_new(1 << 20);
	struct ws w;

	(void)state;
	memcpy(big, "\x82\x7e\x00\x7e", 4);
	assert_int_equal(
	    read_all(WS_SERVER, span_of(big, 4 + 126), 7, out, &w), 0);
	assert_true(ws_between(&w));
	memcpy(big, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10);
	assert_int_equal(
	    read_all(WS_SERVER, span_of(big, 10 + 65535), 9999, out, &w), 0);
	assert_false(ws_between(&w));
	buf_free(out);
	REFUSES(WS_SERVER, "\x82\x7e\x00\x7d",
	    "a length is not in its shortest form");
	REFUSES(WS_SERVER, "\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff",
	    "a length is not in its shortest form");
	REFUSES(WS_SERVER, "\x82\x7f\x80\x00\x00\x00\x00\x01\x00\x00",
	    "a length is over 2^63");
}

static void
test_refused(void **state)
{
	(void)state;
	REFUSES(WS_SERVER, "\xc1\x05Hello", "a reserved bit is set");
	REFUSES(WS_SERVER, "\xa1\x05Hello", "a reserved bit is set");
	REFUSES(WS_SERVER, "\x91\x05Hello", "a reserved bit is set");
	for (int op = 3; op < 16; op++) {
		char head[2] = {(char)(0x80 | op), 0};
		if (op < WS_CLOSE || op > WS_PONG)
			refuses(WS_SERVER, head, 2, "an unknown opcode");
	}
	REFUSES(WS_SERVER, "\x81\x80", "a server's frame is masked");
	REFUSES(WS_CLIENT, "\x81\x00", "a client's frame is not masked");
	REFUSES(WS_SERVER, "\x80\x00", "nothing to continue");
	REFUSES(WS_SERVER, "\x81\x00\x80\x00", "nothing to continue");
	REFUSES(WS_SERVER, "\x01\x00\x81\x00", "a message within another");
	REFUSES(WS_SERVER, "\x01\x00\x02\x00", "a message within another");
	REFUSES(WS_SERVER, "\x09\x00", "a control frame in pieces");
	REFUSES(WS_SERVER, "\x89\x7e", "a control frame is too long");
	REFUSES(WS_SERVER, "\x88\x7f", "a control frame is too long");
	REFUSES(WS_SERVER, "\x88\x01", "a close frame with half a code");
	REFUSES(WS_SERVER, "\x88\x00\x89", "bytes after a close frame");
	REFUSES(WS_SERVER, "\x88\x03\x03\xe8\xff",
	    "a close frame's reason is not UTF-8");
	REFUSES(WS_SERVER, "\x88\x04\x03\xe8\xc0\x80",
	    "a close frame's reason is not UTF-8");
	REFUSES(WS_SERVER, "\x88\x05\x03\xe8\xed\xa0\x80",
	    "a close frame's reason is not UTF-8");
	REFUSES(WS_SERVER, "\x88\x04\x03\xe8\xe2\x82",
	    "a close frame's reason is not UTF-8");
}

static void
test_close_codes(void **state)
{
	(void)state;
	for (unsigned code = 0; code < 65536; code++) {
		char f[4] = {(char)0x88, 2, (char)(code >> 8), (char)code};
		bool good = (code >= 3000 && code < 5000) ||
			    (code >= 1000 && code < 1015 && code != 1004 &&
				code != 1005 && code != 1006);
		struct ws w;
		ws_start(&w, WS_SERVER);
		assert_int_equal(
		    ws_check(&w, span_of(f, 4)), good ? 0 : ERR_FORMAT);
		assert_true(ws_closed(&w));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accepted),
	    cmocka_unit_test(test_lengths),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_close_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
