/* SPDX-License-Identifier: ISC */
/* What for: the byte queue under every parser and writer. Trusts: nothing.
 * At a bound: ERR_TOO_BIG and the content is as before. */
#include "lib/buf.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* An ordinary user has 8 MiB to lock: an empty locked buffer returns its
 * memory, if that is more than this, or if it costs nothing: */
#define LOCKED_KEEP 16384

/* A locked block costs a dozen system calls to make and to give back, and a
 * request takes several: each thread keeps a few of the smallest size,
 * wiped. The one mutable static of lib, for that. */
#define BLOCK 4096
#define BLOCKS_KEPT 16
static _Thread_local struct {
	uint8_t *p[BLOCKS_KEPT];
	size_t n;
} spare;

struct buf {
	uint8_t *p;
	size_t start, end, size, limit;
	size_t top; /* where end was at most, before now: dirty up to there */
	bool locked;
};

static struct buf *
new_buf(size_t limit, bool locked)
{
	struct buf *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->limit = limit;
	b->locked = locked;
	return b;
}

struct buf *
buf_new(size_t limit)
{
	return new_buf(limit, false);
}

struct buf *
buf_new_locked(size_t limit)
{
	return new_buf(limit, true);
}

static uint8_t *
get_memory(const struct buf *b, size_t n)
{
	if (!b->locked)
		return malloc(n);
	if (n == BLOCK && spare.n > 0)
		return spare.p[--spare.n];
	/* sodium_malloc() locks but hides a failure to: see secret.c. */
	uint8_t *p = sodium_malloc(n);
	if (p != NULL && sodium_mlock(p, n) != 0) {
		sodium_free(p);
		return NULL;
	}
	return p;
}

static void
give_back(struct buf *b)
{
	if (b->p == NULL)
		return;
	if (b->locked && b->size == BLOCK && spare.n < BLOCKS_KEPT) {
		sodium_memzero(b->p, BLOCK);
		spare.p[spare.n++] = b->p;
	} else if (b->locked) {
		sodium_free(b->p); /* wipes */
	} else {
		/* Not what was never written: that costs memory. */
		sodium_memzero(b->p, b->end > b->top ? b->end : b->top);
		free(b->p);
	}
	b->p = NULL;
	b->size = b->top = 0;
}

/* Everything is taken, or wiped. */
static void
start_over(struct buf *b)
{
	b->top = b->end > b->top ? b->end : b->top;
	b->start = b->end = 0;
}

void
buf_free(struct buf *b)
{
	if (b == NULL)
		return;
	give_back(b);
	free(b);
}

size_t
buf_len(const struct buf *b)
{
	return b->end - b->start;
}

size_t
buf_room(const struct buf *b)
{
	return b->limit - buf_len(b);
}

struct span
buf_span(const struct buf *b)
{
	return b->end == b->start ? span_of(NULL, 0)
				  : span_of(b->p + b->start, buf_len(b));
}

static void
pack(struct buf *b)
{
	size_t n = buf_len(b);

	if (b->start == 0)
		return;
	if (n != 0)
		memmove(b->p, b->p + b->start, n);
	/* What was moved away from must not linger. */
	if (b->end > n)
		sodium_memzero(b->p + n, b->end - n);
	b->start = 0;
	b->end = n;
}

/* What is moved was paid for by as much that was consumed: otherwise a long
 * queue would be moved for each piece put behind it. */
static bool
worth_packing(const struct buf *b)
{
	return b->locked || b->size == b->limit || b->start >= buf_len(b);
}

static int
grow(struct buf *b, size_t need)
{
	size_t first = b->locked ? BLOCK : 256;
	size_t size = b->size == 0 ? first : b->size;

	while (size < need)
		size = size > b->limit / 2 ? b->limit : size * 2;
	uint8_t *p = get_memory(b, size);
	if (p == NULL)
		return ERR_NOMEM;
	size_t n = buf_len(b);
	if (n != 0)
		memcpy(p, b->p + b->start, n);
	give_back(b);
	b->p = p;
	b->size = size;
	b->start = 0;
	b->end = n;
	return 0;
}

int
buf_reserve(struct buf *b, size_t n, uint8_t **out)
{
	if (n > buf_room(b))
		return ERR_TOO_BIG;
	if (b->size - b->end < n) {
		if (b->size - buf_len(b) >= n && worth_packing(b)) {
			pack(b);
		} else {
			int r = grow(b, buf_len(b) + n);
			if (r != 0)
				return r;
		}
	}
	*out = b->p + b->end;
	return 0;
}

void
buf_claim(struct buf *b, size_t n)
{
	if (n > b->size - b->end)
		abort();
	b->end += n;
}

int
buf_put(struct buf *b, const void *p, size_t n)
{
	uint8_t *to;
	int r;

	if (n == 0)
		return 0;
	if ((r = buf_reserve(b, n, &to)) != 0)
		return r;
	memcpy(to, p, n);
	b->end += n;
	return 0;
}

int
buf_put_span(struct buf *b, struct span s)
{
	return buf_put(b, s.p, s.n);
}

int
buf_put_str(struct buf *b, const char *s)
{
	return buf_put(b, s, strlen(s));
}

int
buf_printf(struct buf *b, const char *fmt, ...)
{
	size_t room = b->size - b->end;
	va_list ap;
	uint8_t *to;
	int r, n;

	/* Most often what is there is enough. */
	va_start(ap, fmt);
	n = vsnprintf(room == 0 ? NULL : (char *)b->p + b->end, room, fmt, ap);
	va_end(ap);
	if (n < 0)
		return ERR_FORMAT;
	if ((size_t)n >= room) {
		b->top = b->size; /* the beginning of it is there */
		if ((r = buf_reserve(b, (size_t)n + 1, &to)) != 0)
			return r;
		va_start(ap, fmt);
		(void)vsnprintf((char *)to, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	b->end += (size_t)n;
	return 0;
}

int
buf_put_dec(struct buf *b, uint64_t v)
{
	uint8_t digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (uint8_t)('0' + v % 10);
	while ((v /= 10) != 0);
	return buf_put(b, digits + at, sizeof(digits) - at);
}

int
buf_put_u8(struct buf *b, uint8_t v)
{
	return buf_put(b, &v, 1);
}

int
buf_put_u16(struct buf *b, uint16_t v)
{
	uint8_t x[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	return buf_put(b, x, sizeof(x));
}

int
buf_put_u32(struct buf *b, uint32_t v)
{
	uint8_t x[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16),
	    (uint8_t)(v >> 8), (uint8_t)v};

	return buf_put(b, x, sizeof(x));
}

int
buf_put_u64(struct buf *b, uint64_t v)
{
	uint8_t x[8];

	for (size_t i = 0; i < sizeof(x); i++)
		x[i] = (uint8_t)(v >> (56 - 8 * i));
	return buf_put(b, x, sizeof(x));
}

void
buf_consume(struct buf *b, size_t n)
{
	if (n > buf_len(b))
		abort();
	if (n == 0)
		return;
	if (b->locked)
		sodium_memzero(b->p + b->start, n);
	b->start += n;
	if (b->start == b->end) {
		start_over(b);
		if (b->locked && (b->size == BLOCK || b->size > LOCKED_KEEP))
			give_back(b);
	}
}

void
buf_reset(struct buf *b)
{
	if (b->p != NULL)
		sodium_memzero(b->p, b->end);
	start_over(b);
}

void
buf_trim(struct buf *b)
{
	if (b->start == b->end)
		give_back(b);
}

void
buf_wipe(void *p, size_t n)
{
	sodium_memzero(p, n);
}
