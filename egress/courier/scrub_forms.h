/* SPDX-License-Identifier: ISC */
/*
 * The forms of a secret, and the ways to write a character of one.
 *
 * Forms: the secret itself; hex in lower and in upper case; base64 in its
 * three alignments, in both alphabets, without the characters that share
 * bits with a neighbour. "Basic" is base64.
 *
 * Writings of one byte of a form: itself; %XX; a blank as +; what JSON
 * makes of it: \" \\ \/ \b \f \n \r \t and \uXXXX, where bytes over 0x7f
 * are UTF-8 (several at once, with surrogates too) or Latin-1. Hex digits
 * in either case. A whole occurrence is a run of bytes that can be cut so
 * that each piece is a writing of what stands next in a form: any mix.
 */
#ifndef COURIER_SCRUB_FORMS_H
#define COURIER_SCRUB_FORMS_H

#include "lib/buf.h"

/* Room that forms_each() needs in tmp, which must be locked. */
#define FORMS_ROOM(n) (4 * (n) + 16)

typedef int forms_visit(void *ctx, struct span form);
/* Every form; those of one alphabet or case may come twice. */
MUST_USE int
forms_each(struct span secret, struct buf *tmp, forms_visit *visit, void *ctx);

#define WRITING_MAX 12 /* a pair of surrogates */

/* A writing that is not the byte itself. */
struct writing {
	size_t n; /* bytes of it */
	size_t n_alts;
	struct {
		uint8_t n, b[4]; /* what it may stand for */
	} alt[2];
};

/* Bytes that may begin one. */
static inline bool
writing_leads(uint8_t c)
{
	return c == '%' || c == '\\' || c == '+';
}

/* The one that begins at p[0], and the one whose last byte is p[n - 1]:
 * there is at most one each. */
bool writing_begins(const uint8_t *p, size_t n, struct writing *out);
bool writing_ends(const uint8_t *p, size_t n, struct writing *out);

/* Is the whole of p a beginning of a writing, and not one itself? */
bool writing_is_open(const uint8_t *p, size_t n);
/* Then: may it become one of c, or of something that begins with c? */
bool writing_may_be(const uint8_t *p, size_t n, uint8_t c);

#endif
