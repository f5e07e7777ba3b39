/* SPDX-License-Identifier: ISC */
/* What for: finding many texts at once. Trusts: nothing. At a bound:
 * ERR_TOO_BIG, and there is no scrubbing, hence no answer. */
#include "egress/courier/scrub_trie.h"

#include <sodium.h>
#include <stdlib.h>

void
trie_init(struct trie *t)
{
	*t = (struct trie){.n = 1};
}

void
trie_clear(struct trie *t)
{
	sodium_free(t->nodes); /* wipes */
	trie_init(t);
}

static int
grow(struct trie *t)
{
	uint32_t size = t->size == 0 ? 1024 : t->size * 2;

	if (size > TRIE_NODES_MAX)
		size = TRIE_NODES_MAX;
	if (t->n >= size)
		return ERR_TOO_BIG;
	struct trie_node *p = sodium_malloc(size * sizeof(*p));
	if (p == NULL || sodium_mlock(p, size * sizeof(*p)) != 0) {
		sodium_free(p);
		return ERR_NOMEM;
	}
	memset(p, 0, size * sizeof(*p));
	if (t->size != 0)
		memcpy(p, t->nodes, t->n * sizeof(*p));
	sodium_free(t->nodes);
	t->nodes = p;
	t->size = size;
	return 0;
}

static int
add_child(struct trie *t, uint32_t at, uint8_t byte, uint32_t *out)
{
	int r = t->n >= t->size ? grow(t) : 0;

	if (r != 0)
		return r;
	uint32_t c = t->n++;
	t->nodes[c].byte = byte;
	t->nodes[c].depth = (uint16_t)(t->nodes[at].depth + 1);
	t->nodes[c].parent = at;
	t->nodes[c].sibling = t->nodes[at].child;
	t->nodes[at].child = c;
	if (at == 0)
		t->root[byte] = c;
	*out = c;
	return 0;
}

int
trie_add(struct trie *t, struct span form)
{
	uint32_t at = 0;
	int r = t->size == 0 ? grow(t) : 0;

	if (r == 0 && form.n > TRIE_DEPTH_MAX)
		r = ERR_TOO_BIG;
	for (size_t i = 0; i < form.n && r == 0; i++) {
		uint32_t c = trie_child(t, at, form.p[i]);
		if (c == 0)
			r = add_child(t, at, form.p[i], &c);
		at = c;
	}
	if (r == 0)
		t->nodes[at].match = at;
	return r;
}

static void
link_node(struct trie *t, uint32_t parent, uint32_t c)
{
	struct trie_node *n = &t->nodes[c];

	n->fail =
	    parent == 0 ? 0 : trie_step(t, t->nodes[parent].fail, n->byte);
	if (n->match == 0)
		n->match = t->nodes[n->fail].match;
}

/* Fail links by breadth: a node's are made after all shallower ones. */
int
trie_seal(struct trie *t)
{
	uint32_t *queue = calloc(t->n, sizeof(*queue));
	uint32_t head = 0, tail = 0;

	if (queue == NULL)
		return ERR_NOMEM;
	if (t->size != 0)
		queue[tail++] = 0;
	while (head < tail) {
		uint32_t at = queue[head++];
		for (uint32_t c = t->nodes[at].child; c != 0;
		     c = t->nodes[c].sibling) {
			link_node(t, at, c);
			queue[tail++] = c;
		}
	}
	free(queue);
	return 0;
}
