/* SPDX-License-Identifier: ISC */
/* Requirement 10 for coded bodies: what is clean passes to the byte, cut
 * anywhere; no beginning that was let out can be read as a whole secret;
 * what cannot be decoded to its end does not pass (requirement 11); bombs
 * end (requirement 39). */
#include "egress/courier/coded.h"

#include <brotli/encode.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sodium.h>
#include <zlib.h>
#include <zstd.h>
#include <cmocka.h>

static const char secret[] = "ghp_canary0One4711";
#define SECRET_N (sizeof(secret) - 1)
#define ROOM (8 * 1024 * 1024)

static const enum coding codings[] = {
    CODING_GZIP, CODING_DEFLATE, CODING_BR, CODING_ZSTD};
#define CODINGS (sizeof(codings) / sizeof(codings[0]))

static struct decode_pool pool;
static struct minted nothing;

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
zlib_code(enum coding c, int level, struct span in, bool flush, struct buf *out)
{
	z_stream z = {0};
	uint8_t *to;
	size_t room = in.n + in.n / 8 + 1024;

	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED,
			     c == CODING_GZIP ? 31 : 15, 8, 0),
	    Z_OK);
	assert_int_equal(buf_reserve(out, room, &to), 0);
	z.next_in = (Bytef *)(uintptr_t)in.p;
	z.avail_in = (uInt)in.n;
	z.next_out = to;
	z.avail_out = (uInt)room;
	assert_true(deflate(&z, flush ? Z_SYNC_FLUSH : Z_FINISH) >= Z_OK);
	buf_claim(out, room - z.avail_out);
	deflateEnd(&z);
}

static void
br_code(int level, struct span in, bool flush, struct buf *out)
{
	BrotliEncoderState *s = BrotliEncoderCreateInstance(NULL, NULL, NULL);
	size_t room = in.n + in.n / 8 + 1024, left = room;
	uint8_t *to, *p;

	BrotliEncoderSetParameter(s, BROTLI_PARAM_QUALITY, (uint32_t)level);
	assert_int_equal(buf_reserve(out, room, &to), 0);
	p = to;
	assert_true(BrotliEncoderCompressStream(s,
	    flush ? BROTLI_OPERATION_FLUSH : BROTLI_OPERATION_FINISH, &in.n,
	    &in.p, &left, &p, NULL));
	buf_claim(out, room - left);
	BrotliEncoderDestroyInstance(s);
}

static void
zstd_code(int level, struct span in, bool flush, struct buf *out)
{
	ZSTD_CCtx *z = ZSTD_createCCtx();
	size_t room = ZSTD_compressBound(in.n) + 64;
	uint8_t *to;

	assert_int_equal(buf_reserve(out, room, &to), 0);
	ZSTD_outBuffer o = {to, room, 0};
	ZSTD_inBuffer i = {in.p, in.n, 0};
	ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, level > 3);
	assert_int_equal(
	    ZSTD_compressStream2(z, &o, &i, flush ? ZSTD_e_flush : ZSTD_e_end),
	    0);
	buf_claim(out, o.pos);
	ZSTD_freeCCtx(z);
}

/* flush: all of in is there, the end is not. */
static void
code(enum coding c, int level, struct span in, bool flush, struct buf *out)
{
	if (c == CODING_BR)
		br_code(level, in, flush, out);
	else if (c == CODING_ZSTD)
		zstd_code(level, in, flush, out);
	else
		zlib_code(c, level, in, flush, out);
}

/* As much as can be read out of s by who has no more. */
static void
read_all(enum coding c, struct span s, struct buf *text)
{
	struct decode_pool own = {0};
	struct decode *d;
	struct span piece;
	bool settled;
	int r;

	assert_int_equal(decode_new(c, &own, &d), 0);
	do {
		r = decode_next(d, &s, &piece, &settled);
		if (r == 0)
			assert_int_equal(buf_put_span(text, piece), 0);
	} while (r == 0 && (s.n > 0 || piece.n == DECODE_STEP));
	decode_free(d);
	assert_int_equal(own.used, 0);
}

static bool
holds_secret(struct span s)
{
	return s.n > 0 && memmem(s.p, s.n, secret, SECRET_N) != NULL;
}

/* The result; what came out is in out. No beginning of it is to say more
 * than it may: looked at after each step. */
static int
run(enum coding c, struct span in, size_t step, bool idle, struct buf *out)
{
	struct scrub_set *set = make_set();
	struct coded *x;
	int r = 0;

	assert_int_equal(coded_new(set, c, &pool, &nothing, &x), 0);
	for (size_t at = 0; at < in.n && r == 0; at += step) {
		size_t n = step < in.n - at ? step : in.n - at;
		r = coded_run(x, span_of(in.p + at, n), out);
		if (r == 0 && idle)
			r = coded_idle(x, out);
		if (r == 0)
			assert_int_equal(buf_len(out) + coded_held(x), at + n);
	}
	if (r == 0)
		r = coded_end(x, out);
	coded_free(x);
	scrub_set_free(set);
	assert_int_equal(pool.used, 0);
	return r;
}

static struct span
words(struct buf *b, size_t n, bool with_secret)
{
	for (size_t i = 0; buf_len(b) < n; i++)
		assert_int_equal(
		    buf_printf(b, "line %zu of ghp_canary0 some text\n", i * i),
		    0);
	if (with_secret)
		assert_int_equal(buf_put_str(b, secret), 0);
	assert_int_equal(buf_put_str(b, " and an end.\n"), 0);
	return buf_span(b);
}

static void
clean_passes_to_the_byte(void **state)
{
	static const size_t steps[] = {1, 7, 1000, 16384, ROOM};

	(void)state;
	for (size_t i = 0; i < CODINGS * 3; i++) {
		struct buf *text = buf_new(ROOM), *in = buf_new(ROOM);
		static const size_t sizes[] = {0, 300, 300000};
		code(codings[i / 3], 5, words(text, sizes[i % 3], false), false,
		    in);
		for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++) {
			struct buf *out = buf_new(ROOM);
			assert_int_equal(run(codings[i / 3], buf_span(in),
					     steps[k], k % 2 == 0, out),
			    0);
			assert_true(span_eq(buf_span(out), buf_span(in)));
			buf_free(out);
		}
		buf_free(text);
		buf_free(in);
	}
}

/* However large, and whatever the size of its blocks: what is held stays
 * small, so nothing is held that could have gone. */
static void
large_ones_flow(void **state)
{
	(void)state;
	for (size_t i = 0; i < CODINGS; i++) {
		struct buf *text = buf_new(5 * ROOM), *in = buf_new(6 * ROOM),
			   *out = buf_new(ROOM);
		struct scrub_set *set = make_set();
		struct coded *x;
		uint8_t *p;
		assert_int_equal(buf_reserve(text, 4 * ROOM, &p), 0);
		for (uint32_t k = 0, v = 1; k < 4 * ROOM; k++) {
			v = v * 1103515245 + 12345;
			p[k] = (uint8_t)('A' + (v >> 16) % 16);
		}
		buf_claim(text, 4 * ROOM);
		code(codings[i], 3, buf_span(text), false, in);
		assert_int_equal(
		    coded_new(set, codings[i], &pool, &nothing, &x), 0);
		for (struct span s = buf_span(in); s.n > 0;
		     s = span_from(s, 16384)) {
			size_t n = s.n < 16384 ? s.n : 16384;
			assert_int_equal(
			    coded_run(x, span_of(s.p, n), out), 0);
			assert_true(coded_held(x) <= 132 * 1024 + 16384);
			buf_reset(out);
		}
		assert_int_equal(coded_end(x, out), 0);
		coded_free(x);
		scrub_set_free(set);
		buf_free(text);
		buf_free(in);
		buf_free(out);
	}
}

/* Stored, fast and well: literals, Huffman codes, references. */
static void
a_secret_ends_it(void **state)
{
	static const int levels[] = {0, 1, 9};
	static const size_t steps[] = {1, 5, 4096, ROOM};

	(void)state;
	for (size_t i = 0; i < CODINGS * 3 * 4; i++) {
		struct buf *text = buf_new(ROOM), *in = buf_new(ROOM),
			   *out = buf_new(ROOM), *seen = buf_new(ROOM);
		enum coding c = codings[i / 12];
		code(c, levels[i / 4 % 3], words(text, 3000, true), false, in);
		assert_int_equal(
		    run(c, buf_span(in), steps[i % 4], false, out), ERR_DENIED);
		assert_false(holds_secret(buf_span(out)));
		read_all(c, buf_span(out), seen);
		assert_false(holds_secret(buf_span(seen)));
		buf_free(text);
		buf_free(in);
		buf_free(out);
		buf_free(seen);
	}
}

/* A block of zstd is shown when it is whole; its literals can be read
 * before: here they stand as they are. */
static void
an_unfinished_block_waits(void **state)
{
	/* magic; no checksum, window 8 KiB; a raw block, not the last */
	static const uint8_t head[] = {
	    0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x18, 0x90, 0x01, 0x00};
	struct buf *out = buf_new(ROOM);
	struct scrub_set *set = make_set();
	struct coded *x;

	(void)state;
	assert_int_equal(coded_new(set, CODING_ZSTD, &pool, &nothing, &x), 0);
	assert_int_equal(coded_run(x, span_of(head, sizeof(head)), out), 0);
	assert_int_equal(coded_run(x, span_str("0123456789abcdefgh"), out), 0);
	assert_int_equal(coded_idle(x, out), 0);
	assert_int_equal(buf_len(out), 0);
	for (size_t i = 18; i < 50; i++)
		assert_int_equal(coded_run(x, span_str("x"), out), 0);
	assert_int_equal(buf_len(out), sizeof(head) + 50);
	coded_free(x);
	buf_free(out);
	scrub_set_free(set);
}

/* What an event stream flushes is let out at once, but for a beginning of
 * a secret; that too, when it idles, up to eight bytes. */
static void
a_flushed_event_is_not_held(void **state)
{
	(void)state;
	for (size_t i = 0; i < CODINGS * 3; i++) {
		static const char *const events[] = {
		    "data: one\n\n", "data: ghp_can", "data: ghp_canary"};
		const char *event = events[i % 3];
		struct buf *in = buf_new(ROOM), *out = buf_new(ROOM);
		struct scrub_set *set = make_set();
		struct coded *x;
		code(codings[i / 3], 5, span_str(event), true, in);
		assert_int_equal(
		    coded_new(set, codings[i / 3], &pool, &nothing, &x), 0);
		assert_int_equal(coded_run(x, buf_span(in), out), 0);
		assert_int_equal(buf_len(out), i % 3 == 0 ? buf_len(in) : 0);
		assert_int_equal(coded_idle(x, out), 0);
		assert_int_equal(buf_len(out), i % 3 < 2 ? buf_len(in) : 0);
		coded_free(x);
		buf_free(in);
		buf_free(out);
		scrub_set_free(set);
	}
}

/* The rest of what was let go still ends it. */
static void
what_was_let_go_is_remembered(void **state)
{
	struct buf *in = buf_new(ROOM), *out = buf_new(ROOM);
	struct scrub_set *set = make_set();
	struct coded *x;
	int r;

	(void)state;
	code(CODING_GZIP, 0, span_of(secret, 8), true, in);
	assert_int_equal(coded_new(set, CODING_GZIP, &pool, &nothing, &x), 0);
	assert_int_equal(coded_run(x, buf_span(in), out), 0);
	assert_int_equal(coded_idle(x, out), 0);
	assert_int_equal(buf_len(out), buf_len(in));
	/* a stored block of the rest */
	uint8_t block[5 + SECRET_N - 8] = {
	    0, SECRET_N - 8, 0, (uint8_t) ~(SECRET_N - 8), 0xff};
	memcpy(block + 5, secret + 8, SECRET_N - 8);
	r = coded_run(x, span_of(block, sizeof(block)), out);
	assert_int_equal(r, ERR_DENIED);
	assert_int_equal(buf_len(out), buf_len(in));
	coded_free(x);
	buf_free(in);
	buf_free(out);
	scrub_set_free(set);
}

static void
what_is_broken_does_not_pass(void **state)
{
	(void)state;
	for (size_t i = 0; i < CODINGS; i++) {
		struct buf *text = buf_new(ROOM), *in = buf_new(ROOM),
			   *out = buf_new(ROOM);
		enum coding c = codings[i];
		code(c, 5, words(text, 2000, false), false, in);
		size_t n = buf_len(in);
		/* cut short at every byte */
		for (size_t k = 1; k < n; k++) {
			buf_reset(out);
			assert_int_equal(
			    run(c, span_of(buf_span(in).p, k), 64, false, out),
			    ERR_TRUNCATED);
			assert_true(buf_len(out) <= k);
		}
		/* bytes behind the end */
		assert_int_equal(buf_put_str(in, "garbage"), 0);
		for (size_t step = 1; step <= 64; step *= 8) {
			buf_reset(out);
			assert_int_equal(
			    run(c, buf_span(in), step, false, out), ERR_FORMAT);
			assert_true(buf_len(out) <= n);
		}
		/* another coding's name on it */
		buf_reset(out);
		assert_int_equal(run(codings[(i + 1) % CODINGS], buf_span(in),
				     ROOM, false, out),
		    ERR_FORMAT);
		assert_int_equal(buf_len(out), 0);
		buf_free(text);
		buf_free(in);
		buf_free(out);
	}
}

/* Of these libzstd thought this or that, by how it was fed. */
static void
odd_frames_end_the_same(void **state)
{
	static const struct {
		uint8_t b[9];
		int want;
	} frames[] = {
	    /* 137 bytes: a compressed block of nothing */
	    {{0x28, 0xb5, 0x2f, 0xfd, 0x20, 137, 5, 0, 0}, ERR_FORMAT},
	    /* 97 bytes, and a raw block of none: it reads as nothing */
	    {{0x28, 0xb5, 0x2f, 0xfd, 0x20, 97, 1, 0, 0}, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		struct span in = span_of(frames[i].b, sizeof(frames[i].b));
		for (size_t step = 1; step <= in.n; step++) {
			struct buf *out = buf_new(ROOM);
			assert_int_equal(run(CODING_ZSTD, in, step, false, out),
			    frames[i].want);
			assert_true(buf_len(out) <= in.n);
			buf_free(out);
		}
	}
}

static void
members_and_frames_may_follow(void **state)
{
	(void)state;
	for (size_t i = 0; i < CODINGS; i++) {
		struct buf *in = buf_new(ROOM), *out = buf_new(ROOM);
		enum coding c = codings[i];
		bool many = c == CODING_GZIP || c == CODING_ZSTD;
		code(c, 5, span_str("one"), false, in);
		code(c, 5, span_str("two"), false, in);
		assert_int_equal(
		    run(c, buf_span(in), 3, false, out), many ? 0 : ERR_FORMAT);
		/* a secret over their border */
		buf_reset(in);
		buf_reset(out);
		code(c, 5, span_of(secret, 9), false, in);
		code(c, 5, span_of(secret + 9, SECRET_N - 9), false, in);
		assert_int_equal(run(c, buf_span(in), ROOM, false, out),
		    many ? ERR_DENIED : ERR_FORMAT);
		assert_int_equal(buf_len(out), 0);
		buf_free(in);
		buf_free(out);
	}
}

static void
headers_are_searched(void **state)
{
	/* gzip with a comment */
	static const uint8_t head[] = {0x1f, 0x8b, 8, 0x10, 0, 0, 0, 0, 0, 3};
	static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0};
	struct buf *in = buf_new(ROOM), *out = buf_new(ROOM);

	(void)state;
	assert_int_equal(buf_put(in, head, sizeof(head)), 0);
	assert_int_equal(buf_put_str(in, secret), 0);
	assert_int_equal(
	    run(CODING_GZIP, buf_span(in), 4, false, out), ERR_DENIED);
	assert_false(holds_secret(buf_span(out)));
	buf_reset(out);
	assert_int_equal(run(CODING_ZSTD, span_of(skippable, sizeof(skippable)),
			     1, false, out),
	    ERR_FORMAT);
	buf_free(in);
	buf_free(out);
}

static void
bombs_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < CODINGS; i++) {
		struct buf *in = buf_new(10 * ROOM), *out = buf_new(ROOM);
		struct span zeros = {.p = calloc(64, 1024 * 1024),
		    .n = (size_t)64 * 1024 * 1024};
		code(codings[i], 9, zeros, false, in);
		assert_int_equal(
		    run(codings[i], buf_span(in), 4096, false, out),
		    ERR_TOO_BIG);
		free((void *)(uintptr_t)zeros.p);
		buf_free(in);
		buf_free(out);
	}
}

/* Windows that would take more than their share, and a pool that is
 * used up. */
static void
memory_is_bounded(void **state)
{
	/* a window of 16 MiB */
	static const uint8_t wide[] = {
	    0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x70, 0x01, 0x00, 0x00};
	struct buf *text = buf_new(ROOM), *in = buf_new(ROOM),
		   *out = buf_new(ROOM);
	struct decode_pool full = {.used = DECODE_POOL_MAX - 1000};
	struct decode *d;

	(void)state;
	assert_int_equal(
	    run(CODING_ZSTD, span_of(wide, sizeof(wide)), ROOM, false, out),
	    ERR_FORMAT);
	for (size_t i = 0; i < CODINGS; i++)
		assert_int_equal(decode_new(codings[i], &full, &d), ERR_NOMEM);
	full.used = DECODE_POOL_MAX - 60000; /* too little for a window */
	code(CODING_BR, 5, words(text, 300000, false), false, in);
	assert_int_equal(decode_new(CODING_BR, &full, &d), 0);
	struct span rest = buf_span(in), piece;
	bool settled;
	int r = 0;
	while (r == 0 && rest.n > 0)
		r = decode_next(d, &rest, &piece, &settled);
	assert_int_equal(r, ERR_NOMEM);
	decode_free(d);
	assert_int_equal(full.used, DECODE_POOL_MAX - 60000);
	buf_free(text);
	buf_free(in);
	buf_free(out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(clean_passes_to_the_byte),
	    cmocka_unit_test(large_ones_flow),
	    cmocka_unit_test(a_secret_ends_it),
	    cmocka_unit_test(an_unfinished_block_waits),
	    cmocka_unit_test(a_flushed_event_is_not_held),
	    cmocka_unit_test(what_was_let_go_is_remembered),
	    cmocka_unit_test(what_is_broken_does_not_pass),
	    cmocka_unit_test(odd_frames_end_the_same),
	    cmocka_unit_test(members_and_frames_may_follow),
	    cmocka_unit_test(headers_are_searched),
	    cmocka_unit_test(bombs_end),
	    cmocka_unit_test(memory_is_bounded),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
