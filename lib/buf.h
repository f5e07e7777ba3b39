/* SPDX-License-Identifier: ISC */
/*
 * A growable byte queue: append at the end, consume from the front. What was
 * put or claimed is wiped when memory is given back. Invariant: start <= end <= size <= limit.
 *
 * A buffer made by buf_new_locked() lives in locked, undumpable memory and
 * wipes what is consumed at once: use it wherever a credential may pass.
 * When memory cannot be locked it refuses (ERR_NOMEM).
 *
 *	struct buf *b = buf_new(4096);
 *	if (b == NULL || (r = buf_put(b, "x", 1)) != 0) ...
 *	buf_free(b);
 */
#ifndef LIB_BUF_H
#define LIB_BUF_H

#include "lib/err.h"
#include "lib/span.h"

struct buf;

/* An empty buffer that refuses (ERR_TOO_BIG) to hold more than limit bytes
 * at once. NULL when memory is out. */
struct buf *buf_new(size_t limit);
struct buf *buf_new_locked(size_t limit);
/* Wipes and frees; NULL is fine. */
void buf_free(struct buf *b);

size_t buf_len(const struct buf *b);
/* How many more bytes fit under the limit. */
size_t buf_room(const struct buf *b);
/* The unread bytes; valid until the next call that changes b. */
struct span buf_span(const struct buf *b);

MUST_USE int buf_put(struct buf *b, const void *p, size_t n);
MUST_USE int buf_put_span(struct buf *b, struct span s);
MUST_USE int buf_put_str(struct buf *b, const char *s);
MUST_USE int buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Decimal digits. */
MUST_USE int buf_put_dec(struct buf *b, uint64_t v);
MUST_USE int buf_put_u8(struct buf *b, uint8_t v);
/* Big-endian. */
MUST_USE int buf_put_u16(struct buf *b, uint16_t v);
MUST_USE int buf_put_u32(struct buf *b, uint32_t v);
MUST_USE int buf_put_u64(struct buf *b, uint64_t v);

/* Room for n bytes at the end, to be filled and then claimed. */
MUST_USE int buf_reserve(struct buf *b, size_t n, uint8_t **out);
void buf_claim(struct buf *b, size_t n);

/* Drop n bytes (n <= buf_len) from the front, wiping them. */
void buf_consume(struct buf *b, size_t n);
/* Drop everything, wiping. */
void buf_reset(struct buf *b);

/* An empty buffer gives its memory back. */
void buf_trim(struct buf *b);

/* Overwrite bytes that the optimiser must not skip. */
void buf_wipe(void *p, size_t n);

#endif
