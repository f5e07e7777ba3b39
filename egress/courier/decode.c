/* SPDX-License-Identifier: ISC */
/* What for: content codings undone. Trusts: three libraries to stay within
 * the memory that they are given (docs/THREATS.md). At a bound: an error, and
 * the caller stops sending. */
#include "egress/courier/decode.h"

#include "egress/courier/zstd_frames.h"
#include "messages/bounds.h"

#include <brotli/decode.h>
#include <stdlib.h>
#include <zlib.h>
/* For ZSTD_createDCtx_advanced() alone, the one way to give it memory that
 * is counted and wiped; it has been the same since zstd 1.0. */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

#define ZSTD_WINDOW_LOG 23 /* RFC 9659 */

struct decode {
	enum coding coding;
	struct decode_pool *pool;
	uint64_t ratio;
	z_stream z;
	bool z_open;
	BrotliDecoderState *br;
	ZSTD_DCtx *zstd;
	struct zstd_frames frames;
	bool block_end; /* of what it took */
	bool full;	/* the last step was: there may be more without input */
	bool whole;	/* a stream has ended; another may begin */
	uint64_t n_in, n_out;
	uint8_t text[DECODE_STEP];
};

/* ---- memory: counted, and wiped at the end ---- */

/* As malloc() aligns; the size is needed when it is given back. */
union block {
	size_t n;
	max_align_t align;
};

static void *
pool_get(void *pool, size_t n)
{
	struct decode_pool *p = pool;
	union block *b;

	if (n > DECODE_POOL_MAX - p->used ||
	    (b = malloc(sizeof(*b) + n)) == NULL)
		return NULL;
	b->n = n;
	p->used += n;
	return b + 1;
}

static void
pool_put(void *pool, void *memory)
{
	struct decode_pool *p = pool;

	if (memory == NULL)
		return;
	union block *b = (union block *)memory - 1;
	p->used -= b->n;
	buf_wipe(b, sizeof(*b) + b->n);
	free(b);
}

static void *
zlib_get(void *pool, unsigned items, unsigned size)
{
	size_t n;

	return __builtin_mul_overflow(items, size, &n) ? NULL
						       : pool_get(pool, n);
}

/* ---- opening ---- */

static int
open_zlib(struct decode *d, int window_bits)
{
	d->z.zalloc = zlib_get;
	d->z.zfree = pool_put;
	d->z.opaque = d->pool;
	if (inflateInit2(&d->z, window_bits) != Z_OK)
		return ERR_NOMEM;
	d->z_open = true;
	return 0;
}

static int
open_br(struct decode *d)
{
	d->br = BrotliDecoderCreateInstance(pool_get, pool_put, d->pool);
	return d->br == NULL ? ERR_NOMEM : 0;
}

static int
open_zstd(struct decode *d)
{
	ZSTD_customMem memory = {pool_get, pool_put, d->pool};

	d->zstd = ZSTD_createDCtx_advanced(memory);
	if (d->zstd == NULL)
		return ERR_NOMEM;
	return ZSTD_isError(ZSTD_DCtx_setParameter(
		   d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG))
		   ? ERR_ARGUMENT
		   : 0;
}

static int
open_coding(struct decode *d)
{
	switch (d->coding) {
	case CODING_GZIP:
		return open_zlib(d, 16 + MAX_WBITS);
	case CODING_DEFLATE:
		return open_zlib(d, MAX_WBITS);
	case CODING_BR:
		return open_br(d);
	case CODING_ZSTD:
		return open_zstd(d);
	default:
		return ERR_ARGUMENT;
	}
}

int
decode_new(enum coding coding, struct decode_pool *pool, struct decode **out)
{
	struct decode *d = calloc(1, sizeof(*d));
	int r;

	if (d == NULL)
		return ERR_NOMEM;
	d->coding = coding;
	d->pool = pool;
	d->ratio = pool->ratio != 0 ? pool->ratio
				    : bounds_default().decompression_ratio;
	if ((r = open_coding(d)) != 0) {
		decode_free(d);
		return r;
	}
	*out = d;
	return 0;
}

void
decode_free(struct decode *d)
{
	if (d == NULL)
		return;
	if (d->z_open)
		(void)inflateEnd(&d->z); /* of a stream that we opened */
	if (d->br != NULL)
		BrotliDecoderDestroyInstance(d->br);
	ZSTD_freeDCtx(d->zstd);
	buf_wipe(d, sizeof(*d));
	free(d);
}

/* ---- one step of each: how much came out; what it took is off in ---- */

static int
zlib_error(int r)
{
	return r == Z_MEM_ERROR ? ERR_NOMEM : ERR_FORMAT;
}

static int
step_zlib(struct decode *d, struct span *in, size_t *n)
{
	uInt piece = in->n < UINT32_MAX ? (uInt)in->n : UINT32_MAX;

	/* Members of gzip may follow each other (RFC 1952, 2.2). */
	if (d->whole && in->n > 0) {
		if (d->coding != CODING_GZIP || inflateReset(&d->z) != Z_OK)
			return ERR_FORMAT;
		d->whole = false;
	}
	if (d->whole)
		return 0;
	d->z.next_in = (Bytef *)(uintptr_t)in->p; /* it only reads */
	d->z.avail_in = piece;
	d->z.next_out = d->text;
	d->z.avail_out = DECODE_STEP;
	int r = inflate(&d->z, Z_SYNC_FLUSH);
	if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
		return zlib_error(r);
	d->whole = r == Z_STREAM_END;
	*in = span_from(*in, piece - d->z.avail_in);
	*n = DECODE_STEP - d->z.avail_out;
	return 0;
}

static bool
br_lacks_memory(const BrotliDecoderState *s)
{
	BrotliDecoderErrorCode e = BrotliDecoderGetErrorCode(s);

	return e <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES &&
	       e >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES;
}

static int
step_br(struct decode *d, struct span *in, size_t *n)
{
	size_t room = DECODE_STEP;
	uint8_t *to = d->text;

	if (d->whole)
		return in->n > 0 ? ERR_FORMAT : 0;
	BrotliDecoderResult r = BrotliDecoderDecompressStream(
	    d->br, &in->n, &in->p, &room, &to, NULL);
	if (r == BROTLI_DECODER_RESULT_ERROR)
		return br_lacks_memory(d->br) ? ERR_NOMEM : ERR_FORMAT;
	d->whole = r == BROTLI_DECODER_RESULT_SUCCESS;
	*n = DECODE_STEP - room;
	return 0;
}

static int
zstd_error(size_t r)
{
	return ZSTD_getErrorCode(r) == ZSTD_error_memory_allocation
		   ? ERR_NOMEM
		   : ERR_FORMAT;
}

/* Our own place in the stream, n bytes on. */
static int
follow(struct decode *d, struct span in, size_t n)
{
	size_t piece = 0;

	if (n == 0)
		return 0;
	if (zstd_frames_next(
		&d->frames, span_of(in.p, n), &piece, &d->block_end) != 0)
		return ERR_FORMAT;
	return piece == n ? 0 : ERR_FORMAT;
}

/* Up to the end of a block at most. */
static int
step_zstd(struct decode *d, struct span *in, size_t *n)
{
	struct zstd_frames ahead = d->frames;
	ZSTD_outBuffer out = {d->text, DECODE_STEP, 0};
	ZSTD_inBuffer from = {in->p, 0, 0};
	bool end;

	/* All of a block first, for its end to be seen. */
	if (!d->full && zstd_frames_next(&ahead, *in, &from.size, &end) != 0)
		return ERR_FORMAT;
	size_t r = ZSTD_decompressStream(d->zstd, &out, &from);
	if (ZSTD_isError(r))
		return zstd_error(r);
	/* What it left is there the next time. */
	if (follow(d, *in, from.pos) != 0)
		return ERR_FORMAT;
	if (from.pos > 0 || out.pos > 0)
		d->whole = r == 0 && zstd_frames_between(&d->frames);
	*in = span_from(*in, from.pos);
	*n = out.pos;
	return 0;
}

static int
step(struct decode *d, struct span *in, size_t *n)
{
	if (d->coding == CODING_ZSTD)
		return step_zstd(d, in, n);
	return d->coding == CODING_BR ? step_br(d, in, n) : step_zlib(d, in, n);
}

int
decode_next(struct decode *d, struct span *in, struct span *text, bool *settled)
{
	size_t before = in->n, n = 0;
	int r = step(d, in, &n);

	if (r != 0)
		return r;
	if (before > 0 && in->n == before && n == 0 && !d->full)
		return ERR_FORMAT; /* it would never go on */
	d->full = n == DECODE_STEP;
	d->n_in += before - in->n;
	d->n_out += n;
	if (d->n_out > DECODE_FREE + d->ratio * d->n_in)
		return ERR_TOO_BIG;
	*text = span_of(d->text, n);
	/* zlib and brotli show symbol by symbol, zstd block by block. */
	*settled = !d->full && (d->coding != CODING_ZSTD || d->block_end);
	return 0;
}

int
decode_end(const struct decode *d)
{
	return d->whole || d->n_in == 0 ? 0 : ERR_TRUNCATED;
}
