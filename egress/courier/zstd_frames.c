/* SPDX-License-Identifier: ISC */
/* What for: block ends of a zstd stream. Trusts: nothing; what is odd in a
 * header the library refuses. At a bound: ERR_FORMAT. */
#include "egress/courier/zstd_frames.h"

#define MAGIC 0xfd2fb528u
enum { BLOCK_RAW, BLOCK_RLE, BLOCK_COMPRESSED, BLOCK_RESERVED };

static void
go(struct zstd_frames *f, int at, uint32_t size)
{
	f->at = at;
	f->size = size;
	f->n = 0;
	f->value = 0;
}

/* What follows the descriptor: window, dictionary, content size. */
static uint32_t
header_size(uint8_t descriptor)
{
	static const uint8_t dictionary[] = {0, 1, 2, 4};
	static const uint8_t content[] = {0, 2, 4, 8};
	bool single = (descriptor & 0x20) != 0;
	uint8_t size = descriptor >> 6;

	return (single ? 0u : 1u) + dictionary[descriptor & 3] +
	       (size == 0 && single ? 1u : content[size]);
}

static void
after_block(struct zstd_frames *f)
{
	if (!f->last)
		go(f, ZSTD_AT_BLOCK, 3);
	else if (f->checksum)
		go(f, ZSTD_AT_CHECKSUM, 4);
	else
		go(f, ZSTD_AT_MAGIC, 4);
}

/* The three bytes of a block's header were read. */
static int
on_block(struct zstd_frames *f, bool *settled)
{
	uint32_t type = f->value >> 1 & 3, size = f->value >> 3;

	f->last = (f->value & 1) != 0;
	/* A compressed block has a header at least; of one that has none
	 * libzstd thinks this or that, by how it is fed. */
	if (type == BLOCK_RESERVED || (type == BLOCK_COMPRESSED && size == 0))
		return ERR_FORMAT;
	if (type == BLOCK_RLE)
		size = 1;
	if (size > 0) {
		go(f, ZSTD_AT_CONTENT, size);
		return 0;
	}
	*settled = true; /* a block of nothing */
	after_block(f);
	return 0;
}

/* A part is whole. */
static int
on_part(struct zstd_frames *f, bool *settled)
{
	switch (f->at) {
	case ZSTD_AT_MAGIC:
		if (f->value != MAGIC)
			return ERR_FORMAT;
		go(f, ZSTD_AT_DESCRIPTOR, 1);
		return 0;
	case ZSTD_AT_DESCRIPTOR:
		f->checksum = (f->value & 4) != 0;
		go(f, ZSTD_AT_HEADER, header_size((uint8_t)f->value));
		return 0;
	case ZSTD_AT_HEADER:
		go(f, ZSTD_AT_BLOCK, 3);
		return 0;
	case ZSTD_AT_BLOCK:
		return on_block(f, settled);
	case ZSTD_AT_CONTENT:
		*settled = true;
		after_block(f);
		return 0;
	case ZSTD_AT_CHECKSUM:
		*settled = true;
		go(f, ZSTD_AT_MAGIC, 4);
		return 0;
	}
	return ERR_FORMAT;
}

/* As much of this part as there is; small parts are numbers too. */
static size_t
take(struct zstd_frames *f, struct span in)
{
	size_t left = f->size - f->n, n = in.n < left ? in.n : left;

	for (size_t i = 0; i < n && f->size <= 4; i++)
		f->value |= (uint32_t)in.p[i] << 8 * (f->n + i);
	f->n += (uint32_t)n;
	return n;
}

int
zstd_frames_next(
    struct zstd_frames *f, struct span in, size_t *out, bool *settled)
{
	bool header = false;
	size_t n = 0;
	int r = 0;

	*settled = false;
	if (f->size == 0 && f->at == ZSTD_AT_MAGIC)
		go(f, ZSTD_AT_MAGIC, 4);
	while (r == 0 && !*settled && !header && n < in.n) {
		n += take(f, span_from(in, n));
		if (f->n != f->size)
			continue;
		header = f->at == ZSTD_AT_HEADER;
		r = on_part(f, settled);
	}
	if (r == 0)
		*out = n;
	return r;
}

bool
zstd_frames_between(const struct zstd_frames *f)
{
	return f->at == ZSTD_AT_MAGIC && f->n == 0;
}
