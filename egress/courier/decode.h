/* SPDX-License-Identifier: ISC */
/*
 * Content codings undone, so that an answer can be looked into: gzip (of
 * one member or more) and zlib by zlib, br by libbrotlidec, zstd (of one
 * frame or more) by libzstd. Bytes in, bytes out, no I/O.
 *
 *	decode_new(CODING_GZIP, &pool, &d);
 *	do
 *		r = decode_next(d, &in, &text, &settled);
 *	while (r == 0 && (in.n > 0 || text.n == DECODE_STEP));
 *	...
 *	decode_end(d);
 *
 * Bounds, for what is foreign may be a bomb: DECODE_STEP bytes of text at
 * once; text of at most DECODE_FREE + decompression_ratio (messages/bounds.h)
 * times what came in;
 * windows of at most 16 MiB (br) and 8 MiB (zstd, RFC 9659); all decoders
 * of a pool DECODE_POOL_MAX together. Their memory is wiped when it is
 * given back.
 */
#ifndef COURIER_DECODE_H
#define COURIER_DECODE_H

#include "egress/courier/coding.h"

#define DECODE_STEP (16 * 1024)
#define DECODE_FREE (1024 * 1024)
#define DECODE_POOL_MAX (64u * 1024 * 1024)

/* Zeroed to begin with; outlives its decoders. */
struct decode_pool {
	size_t used;
	uint64_t ratio; /* of what comes out to what goes in; 0: the default */
};

struct decode;

MUST_USE int
decode_new(enum coding coding, struct decode_pool *pool, struct decode **out);
void decode_free(struct decode *d);

/* Take from the front of in; *text, valid until the next call, is what came
 * out. *settled: nothing can be read out of what was taken so far that was
 * not given. ERR_FORMAT: not of that coding, or bytes behind its end;
 * ERR_TOO_BIG: a bomb; ERR_NOMEM: the pool is used up. Nothing can be read
 * after a failure. */
MUST_USE int decode_next(
    struct decode *d, struct span *in, struct span *text, bool *settled);
/* Good after a whole stream, or after no byte at all; else
 * ERR_TRUNCATED. */
MUST_USE int decode_end(const struct decode *d);

#endif
