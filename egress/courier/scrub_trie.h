/* SPDX-License-Identifier: ISC */
/*
 * All forms of all secrets in one automaton (Aho and Corasick, 1975), in
 * locked memory. A state is a number; 0 means that nothing has begun. A
 * state stands for the longest beginning of a form that the characters read
 * end with, and for all shorter ones.
 *
 *	trie_add(&t, form); ...; trie_seal(&t);
 *	state = trie_step(&t, state, byte);
 */
#ifndef COURIER_SCRUB_TRIE_H
#define COURIER_SCRUB_TRIE_H

#include "lib/err.h"
#include "lib/span.h"

/* At most so many states, of 24 bytes: an ordinary user has 8 MiB of
 * locked memory. A secret takes 9 to 13 for each of its bytes. */
#define TRIE_NODES_MAX (160 * 1024)
#define TRIE_DEPTH_MAX UINT16_MAX

/* Children are a linked list. */
struct trie_node {
	uint32_t child, sibling;
	uint32_t fail;
	uint32_t parent;
	uint32_t match; /* the node of the longest form that ends here; or 0 */
	uint16_t depth;
	uint8_t byte; /* that led here */
};

struct trie {
	struct trie_node *nodes;
	uint32_t n, size;
	uint32_t root[256]; /* the root's children, directly */
};

void trie_init(struct trie *t);
void trie_clear(struct trie *t); /* wipes */
/* ERR_TOO_BIG: no more nodes; ERR_NOMEM: none that can be locked. */
MUST_USE int trie_add(struct trie *t, struct span form);
/* After the last add. */
MUST_USE int trie_seal(struct trie *t);

static inline uint32_t
trie_child(const struct trie *t, uint32_t at, uint8_t byte)
{
	if (at == 0)
		return t->root[byte];
	uint32_t c = t->nodes[at].child;
	while (c != 0 && t->nodes[c].byte != byte)
		c = t->nodes[c].sibling;
	return c;
}

static inline uint32_t
trie_step(const struct trie *t, uint32_t at, uint8_t byte)
{
	uint32_t c;

	while ((c = trie_child(t, at, byte)) == 0 && at != 0)
		at = t->nodes[at].fail;
	return c;
}

#endif
