/* SPDX-License-Identifier: ISC */
/*
 * Where the blocks of a zstd stream end (RFC 8878, 3.1.1). The library
 * decodes a block when it has all of it; who holds part of one may read
 * literals that the library has not shown yet. So it is fed up to an end,
 * where all that went in has come out; and a frame's header by itself, for
 * of a frame that it has whole it takes another way, with other checks.
 * Nothing is decoded here. Skippable frames are refused: they hold bytes of
 * any kind.
 *
 *	struct zstd_frames f = {0};
 *	zstd_frames_next(&f, in, &n, &settled)	 feed n bytes; after them
 *		all is shown, if settled
 */
#ifndef COURIER_ZSTD_FRAMES_H
#define COURIER_ZSTD_FRAMES_H

#include "lib/err.h"
#include "lib/span.h"

struct zstd_frames {
	enum {
		ZSTD_AT_MAGIC,
		ZSTD_AT_DESCRIPTOR,
		ZSTD_AT_HEADER, /* the rest of the frame's */
		ZSTD_AT_BLOCK,	/* its three bytes */
		ZSTD_AT_CONTENT,
		ZSTD_AT_CHECKSUM
	} at;
	uint32_t n;	/* bytes of this part so far */
	uint32_t size;	/* of a part of varying length */
	uint32_t value; /* of what is read as a number */
	bool last, checksum;
};

/* 0 < n <= in.n, unless in is empty. ERR_FORMAT: not zstd. */
MUST_USE int zstd_frames_next(
    struct zstd_frames *f, struct span in, size_t *n, bool *settled);
/* Between two frames, or before the first. */
bool zstd_frames_between(const struct zstd_frames *f);

#endif
