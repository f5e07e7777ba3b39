/* SPDX-License-Identifier: ISC */
/*
 * A secret: bytes in locked memory that no core dump shows, wiped when
 * freed. The only type that may hold a credential for longer than a call.
 * There is no function that formats one, and the logger takes none.
 *
 * Public names begin with keep_ because libsecret owns secret_.
 */
#ifndef LIB_SECRET_H
#define LIB_SECRET_H

#include "lib/err.h"
#include "lib/span.h"

struct keep;

/* The largest value the product takes. */
#define KEEP_MAX (64 * 1024)

/* A copy of n bytes (1 to KEEP_MAX). ERR_NOMEM when memory cannot be had
 * or cannot be locked: there is no unlocked fallback. */
MUST_USE int keep_new(const void *p, size_t n, struct keep **out);
/* n random bytes. */
MUST_USE int keep_random(size_t n, struct keep **out);
/* n zero bytes, to be filled through keep_bytes(). */
MUST_USE int keep_blank(size_t n, struct keep **out);
MUST_USE int keep_copy(const struct keep *s, struct keep **out);
/* Wipes and frees; NULL is fine. */
void keep_free(struct keep *s);

/* Reveal: the caller must not copy the bytes into unlocked memory. */
struct span keep_reveal(const struct keep *s);
uint8_t *keep_bytes(struct keep *s);
size_t keep_len(const struct keep *s);

/* Constant time in the content; lengths are not secret. */
bool keep_eq(const struct keep *a, struct span b);
bool keep_span_eq(struct span a, struct span b);

#endif
