/* SPDX-License-Identifier: ISC */
/* Coded bodies: hostile bytes under each coding, cut anywhere, come to the
 * same end; what passes is a beginning of what came, and reads without the
 * secret. And text that is coded well: it passes exactly if it, and what it
 * is coded as, is clean. */
#include "egress/courier/coded.h"
#include "tests/fuzz/fuzz.h"

#include <brotli/encode.h>
#include <sodium.h>
#include <zlib.h>
#include <zstd.h>

#define ROOM (4 * 1024 * 1024)

static const char secret[] = "abcabdabcabe";
static struct decode_pool pool;
static struct minted nothing;

static struct scrub_set *
make_set(void)
{
	struct scrub_set *set = NULL;
	struct keep *k = NULL;

	MUST(sodium_init() >= 0);
	MUST(scrub_set_new(&set) == 0);
	MUST(keep_new(secret, sizeof(secret) - 1, &k) == 0);
	MUST(scrub_set_add(set, k) == 0);
	MUST(scrub_set_seal(set) == 0);
	keep_free(k);
	return set;
}

static bool
has_secret(struct scrub_set *set, struct span text)
{
	struct buf *out = buf_new(ROOM);
	struct scrub *s = NULL;

	MUST(out != NULL && scrub_new(set, &s) == 0);
	MUST(scrub_run(s, text, out) == 0);
	bool found = scrub_found(s);
	scrub_free(s);
	buf_free(out);
	return found;
}

/* What can be read out of s; less, when that is much. */
static void
read_all(enum coding c, struct span s, struct buf *text)
{
	struct decode *d;
	struct span piece;
	bool settled;
	int r;

	MUST(decode_new(c, &pool, &d) == 0);
	do {
		r = decode_next(d, &s, &piece, &settled);
		if (r == 0)
			r = buf_put_span(text, piece);
	} while (r == 0 && (s.n > 0 || piece.n == DECODE_STEP));
	decode_free(d);
}

static int
run(struct scrub_set *set, enum coding c, struct span in, size_t step,
    bool idle)
{
	struct buf *out = buf_new(ROOM), *text = buf_new(ROOM);
	struct coded *x;
	size_t fed = 0;
	int r = 0;

	MUST(out != NULL && text != NULL);
	MUST(coded_new(set, c, &pool, &nothing, &x) == 0);
	while (fed < in.n && r == 0) {
		size_t n = step < in.n - fed ? step : in.n - fed;
		r = coded_run(x, span_of(in.p + fed, n), out);
		fed += n;
		if (r == 0 && idle)
			MUST(coded_idle(x, out) == 0);
		MUST(r != 0 || buf_len(out) + coded_held(x) == fed);
	}
	if (r == 0 && (r = coded_end(x, out)) == 0)
		MUST(buf_len(out) == in.n);
	MUST(buf_len(out) == 0 ||
	     memcmp(buf_span(out).p, in.p, buf_len(out)) == 0);
	read_all(c, buf_span(out), text);
	MUST(!has_secret(set, buf_span(text)));
	MUST(!has_secret(set, buf_span(out)));
	coded_free(x);
	buf_free(out);
	buf_free(text);
	MUST(pool.used == 0);
	return r;
}

static size_t
encode(enum coding c, int level, struct span in, uint8_t *to, size_t room)
{
	size_t n = room;
	z_stream z = {0};

	if (c == CODING_ZSTD) {
		n = ZSTD_compress(to, room, in.p, in.n, level);
		MUST(!ZSTD_isError(n));
		return n;
	}
	if (c == CODING_BR) {
		MUST(BrotliEncoderCompress(
		    level, 16, BROTLI_MODE_GENERIC, in.n, in.p, &n, to));
		return n;
	}
	MUST(deflateInit2(&z, level, Z_DEFLATED, c == CODING_GZIP ? 31 : 15, 8,
		 0) == Z_OK);
	z.next_in = (Bytef *)(uintptr_t)in.p;
	z.avail_in = (uInt)in.n;
	z.next_out = to;
	z.avail_out = (uInt)room;
	MUST(deflate(&z, Z_FINISH) == Z_STREAM_END);
	deflateEnd(&z);
	return room - z.avail_out;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scrub_set *set;
	static uint8_t room[64 * 1024];

	if (set == NULL)
		set = make_set();
	if (size < 3 || size > 16384)
		return 0;
	enum coding c = CODING_GZIP + data[0] % 4;
	size_t step = data[1] % 64 + 1;
	bool idle = (data[1] & 0x40) != 0;
	struct span in = span_of(data + 2, size - 2);
	if ((data[1] & 0x80) != 0) {
		bool found = has_secret(set, in);
		in.n = encode(c, data[0] / 4 % 10, in, room, sizeof(room));
		in.p = room;
		/* Literals that come to stand side by side may spell it. */
		found |= has_secret(set, in);
		int r = run(set, c, in, step, idle);
		MUST(r == (found ? ERR_DENIED : 0));
		return 0;
	}
	int r = run(set, c, in, step, idle);
	MUST((run(set, c, in, in.n, false) == 0) == (r == 0));
	return 0;
}
