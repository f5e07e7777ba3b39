/* SPDX-License-Identifier: ISC */
/*
 * Looking away from what cannot be a secret, at the speed of memory.
 *
 * A form has at least FILTER_FORM_MIN characters. If an occurrence shows its
 * first twelve as they are, then one of its first eight groups of five bytes
 * lies where the filter looks, which is at each eighth byte. Otherwise a
 * writing (scrub_forms.h) stands among them, and the filter looks at each
 * '%', '\' and '+': at the five characters from there, or at the four bytes
 * before and what it stands for. Either way a group of five of a form's
 * first twelve is met, and all of these are in tables of bits, by two
 * hashes. The tables tell of secrets, and lie in locked memory.
 */
#ifndef COURIER_SCRUB_FILTER_H
#define COURIER_SCRUB_FILTER_H

#include "lib/err.h"
#include "lib/span.h"

#define FILTER_FORM_MIN 12
#define FILTER_BITS1 17 /* 16 KiB */
#define FILTER_BITS2 16

struct filter {
	uint32_t one[1 << (FILTER_BITS1 - 5)];
	uint32_t two[1 << (FILTER_BITS2 - 5)];
	uint32_t pairs[1 << 11]; /* of the first twelve of each form */
	uint32_t first[8];	 /* all of these twelve */
	uint32_t escapes[8];	 /* letters that, escaped, are one of them */
	bool plus;		 /* a blank is among them */
};

MUST_USE int filter_new(struct filter **out);
void filter_free(struct filter *f); /* wipes */
/* form.n >= FILTER_FORM_MIN. */
void filter_add(struct filter *f, struct span form);

/* No occurrence begins in p before the offset returned: in what was
 * skipped nothing needs a closer look. *look: from there, at least up to
 * *look (exclusive), it does. What ends within p may still be open at its
 * end: the last bytes are never skipped. */
size_t
filter_skip(const struct filter *f, const uint8_t *p, size_t n, size_t *look);
/* The same without this machine's vectors, for tests. */
size_t filter_skip_portable(
    const struct filter *f, const uint8_t *p, size_t n, size_t *look);

#endif
