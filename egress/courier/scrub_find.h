/* SPDX-License-Identifier: ISC */
/*
 * Finding occurrences in bytes that come in pieces: the automaton, run over
 * all writings of a text at once. Nothing is copied or kept here but
 * states; the caller keeps the bytes from find_begun() on, in front of the
 * next ones.
 *
 * Several readings of the same bytes can be alive: %41 is an A, and it is a
 * "%41". Each is a state; a state after a writing is made of the states
 * before it, hence the ring.
 */
#ifndef COURIER_SCRUB_FIND_H
#define COURIER_SCRUB_FIND_H

#include "egress/courier/scrub_filter.h"
#include "egress/courier/scrub_trie.h"

#define FIND_WAYS 16
#define FIND_RING 16 /* over WRITING_MAX */

struct find {
	const struct trie *trie;
	const struct filter *filter;
	bool awake;    /* the automaton runs; else nothing has begun */
	uint64_t at;   /* bytes read since it woke, and a little more */
	uint64_t lead; /* where the last '%' or '\' was */
	uint8_t n[FIND_RING];
	uint32_t state[FIND_RING][FIND_WAYS]; /* none of them 0 */
};

void find_start(
    struct find *f, const struct trie *trie, const struct filter *filter);

/* Read on from p[*i] until p[n] or a match. p[0] is where something began,
 * or the first new byte. True: one ends at *i, and began at *from. *r:
 * ERR_TOO_BIG when there are too many ways. */
bool find_next(struct find *f, const uint8_t *p, size_t n, size_t *i,
    size_t *from, int *r);

/* Where the first of what may still become a match began; n: nowhere. */
size_t find_begun(const struct find *f, const uint8_t *p, size_t n);

#endif
