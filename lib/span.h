/* SPDX-License-Identifier: ISC */
/*
 * A borrowed run of bytes: pointer and length, never owning, never
 * NUL-terminated. {NULL, 0} is the empty span.
 */
#ifndef LIB_SPAN_H
#define LIB_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *p;
	size_t n;
};

static inline struct span
span_of(const void *p, size_t n)
{
	return (struct span){.p = p, .n = n};
}

/* The bytes of a C string without its NUL; NULL gives the empty span. */
static inline struct span
span_str(const char *s)
{
	return span_of(s, s == NULL ? 0 : strlen(s));
}

/* Not constant-time: never for secrets (secret.h). */
static inline bool
span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case-insensitive equality, for header names. */
bool span_caseeq(struct span a, struct span b);

static inline bool
span_is(struct span a, const char *s)
{
	return span_eq(a, span_str(s));
}

static inline struct span
span_from(struct span a, size_t offset)
{
	return offset >= a.n ? span_of(NULL, 0)
			     : span_of(a.p + offset, a.n - offset);
}

/* A NUL-terminated heap copy (free() it), or NULL when memory is out or
 * the span holds a NUL byte. */
char *span_dup(struct span a);

/* Copy into a fixed array with NUL. ERR_TOO_BIG, or ERR_FORMAT when the
 * span holds a NUL byte. */
int span_copy(struct span a, char *out, size_t size)
    __attribute__((warn_unused_result));

/* What a hexadecimal digit stands for, or -1. */
static inline int
span_hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Plain decimal, no sign, no leading zero (but "0"), at most max. */
int span_u64(struct span a, uint64_t max, uint64_t *out)
    __attribute__((warn_unused_result));

#endif
