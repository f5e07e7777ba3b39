/* SPDX-License-Identifier: ISC */
/* What for: matching with all ways of writing. Trusts: nothing. At a bound:
 * an error, and the stream is reset. */
#include "egress/courier/scrub_find.h"

#include "egress/courier/scrub_forms.h"

#define OFFSETS_MAX 32

_Static_assert(FIND_RING > WRITING_MAX, "the ring is too short");

void
find_start(struct find *f, const struct trie *trie, const struct filter *filter)
{
	f->trie = trie;
	f->filter = filter;
	f->awake = false;
}

static void
wake(struct find *f)
{
	f->awake = true;
	f->at = FIND_RING;
	f->lead = 0;
	memset(f->n, 0, sizeof(f->n));
}

static bool
add_state(struct find *f, uint32_t state)
{
	size_t slot = (f->at + 1) % FIND_RING;

	if (state == 0)
		return true;
	for (size_t i = 0; i < f->n[slot]; i++) {
		if (f->state[slot][i] == state)
			return true;
	}
	if (f->n[slot] == FIND_WAYS)
		return false;
	f->state[slot][f->n[slot]++] = state;
	return true;
}

/* From each state of `back` bytes ago, over these characters. */
static bool
step_all(struct find *f, size_t back, const uint8_t *c, size_t n)
{
	size_t slot = (f->at + 1 - back) % FIND_RING, i = 0;

	do {
		uint32_t s = f->n[slot] == 0 ? 0 : f->state[slot][i];
		for (size_t k = 0; k < n; k++)
			s = trie_step(f->trie, s, c[k]);
		if (!add_state(f, s))
			return false;
	} while (++i < f->n[slot]);
	return true;
}

/* The byte p[i]. */
static bool
step(struct find *f, const uint8_t *p, size_t i)
{
	struct writing w;

	f->n[(f->at + 1) % FIND_RING] = 0;
	if (!step_all(f, 1, p + i, 1))
		return false;
	if ((f->at - f->lead < WRITING_MAX || p[i] == '+') &&
	    writing_ends(p, i + 1, &w)) {
		for (size_t k = 0; k < w.n_alts; k++) {
			if (!step_all(f, w.n, w.alt[k].b, w.alt[k].n))
				return false;
		}
	}
	if (p[i] == '%' || p[i] == '\\')
		f->lead = f->at;
	f->at++;
	return true;
}

/* The longest form that ends here, of all readings' the first that is
 * found at the earliest place. Offsets in the text from where `node` may
 * have begun: sets of them, by how many characters are left. */
struct offsets {
	size_t n;
	size_t at[OFFSETS_MAX];
};

static bool
add_offset(struct offsets *o, size_t at)
{
	for (size_t i = 0; i < o->n; i++) {
		if (o->at[i] == at)
			return true;
	}
	if (o->n == OFFSETS_MAX)
		return false;
	o->at[o->n++] = at;
	return true;
}

/* Do these characters lead to node? */
static bool
leads_to(const struct trie *t, uint32_t node, const uint8_t *c, size_t n)
{
	while (n > 0 && node != 0 && t->nodes[node].byte == c[n - 1]) {
		node = t->nodes[node].parent;
		n--;
	}
	return n == 0;
}

/* One offset, one character or one writing further to the front. sets[k]:
 * with k characters fewer left. */
static bool
back_from(const struct trie *t, const uint8_t *p, size_t at, uint32_t node,
    struct offsets *const sets[static 5])
{
	struct writing w;
	bool fits = true;

	if (at > 0 && t->nodes[node].byte == p[at - 1])
		fits = add_offset(sets[1], at - 1);
	if (at > 0 && writing_ends(p, at, &w)) {
		for (size_t k = 0; k < w.n_alts; k++) {
			if (leads_to(t, node, w.alt[k].b, w.alt[k].n))
				fits = fits &&
				       add_offset(sets[w.alt[k].n], at - w.n);
		}
	}
	return fits;
}

static size_t
least(const struct offsets *o)
{
	size_t m = o->n == 0 ? 0 : o->at[0];

	for (size_t i = 1; i < o->n; i++)
		m = o->at[i] < m ? o->at[i] : m;
	return m;
}

/* Where the characters of node, of which the last ends at p[end], began: the
 * first place of all readings. When they are too many: 0. */
static size_t
began(const struct trie *t, const uint8_t *p, size_t end, uint32_t node)
{
	struct offsets all[5] = {{.n = 1, .at = {end}}}, *sets[5];
	size_t turn = 0;

	for (; node != 0; node = t->nodes[node].parent) {
		for (size_t k = 0; k < 5; k++)
			sets[k] = &all[(turn + k) % 5];
		for (size_t i = 0; i < sets[0]->n; i++) {
			if (!back_from(t, p, sets[0]->at[i], node, sets))
				return 0;
		}
		sets[0]->n = 0;
		turn++;
	}
	return least(&all[turn % 5]);
}

/* The earliest match that ends at p[i]; false: none does. */
static bool
match(const struct find *f, const uint8_t *p, size_t i, size_t *from)
{
	size_t slot = f->at % FIND_RING;
	bool any = false;

	for (size_t k = 0; k < f->n[slot]; k++) {
		uint32_t m = f->trie->nodes[f->state[slot][k]].match;
		if (m == 0)
			continue;
		size_t b = began(f->trie, p, i, m);
		*from = any && *from < b ? *from : b;
		any = true;
	}
	return any;
}

static size_t
least_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* From one state before an open writing: the deepest beginning that it may
 * continue. */
static size_t
begun_open(const struct find *f, const uint8_t *p, size_t n, size_t open,
    uint32_t state)
{
	const struct trie *t = f->trie;

	for (;; state = t->nodes[state].fail) {
		for (uint32_t c = t->nodes[state].child; c != 0;
		     c = t->nodes[c].sibling) {
			if (writing_may_be(
				p + n - open, open, t->nodes[c].byte))
				return state == 0
					   ? n - open
					   : began(t, p, n - open, state);
		}
		if (state == 0)
			return n;
	}
}

/* The same with no writing open. A whole form that is no longer one's
 * beginning is done with. */
static size_t
begun_plain(const struct find *f, const uint8_t *p, size_t n, uint32_t state)
{
	while (state != 0 && f->trie->nodes[state].child == 0)
		state = f->trie->nodes[state].fail;
	return began(f->trie, p, n, state);
}

size_t
find_begun(const struct find *f, const uint8_t *p, size_t n)
{
	size_t slot = f->at % FIND_RING, first = n;

	if (!f->awake)
		return n;
	for (size_t k = 0; k < f->n[slot]; k++)
		first =
		    least_of(first, begun_plain(f, p, n, f->state[slot][k]));
	for (size_t open = 1; open < WRITING_MAX && open <= n; open++) {
		if (!writing_is_open(p + n - open, open))
			continue;
		size_t i = 0, back = (f->at - open) % FIND_RING;
		do {
			uint32_t s = f->n[back] == 0 ? 0 : f->state[back][i];
			first = least_of(first, begun_open(f, p, n, open, s));
		} while (++i < f->n[back]);
	}
	return first;
}

/* Nothing has begun, not even a writing, which needs a lead: the last, or
 * that of a high surrogate right before it. */
static inline bool
is_idle(const struct find *f, const uint8_t *p, size_t i)
{
	uint64_t ago = f->at - f->lead;

	if (f->n[f->at % FIND_RING] != 0)
		return false;
	return ago >= WRITING_MAX || ago > i ||
	       !(writing_is_open(p + i - ago, ago) ||
		   (ago <= 5 && i >= ago + 6 &&
		       writing_is_open(p + i - ago - 6, ago + 6)));
}

bool
find_next(
    struct find *f, const uint8_t *p, size_t n, size_t *i, size_t *from, int *r)
{
	size_t look = 0;

	*r = 0;
	while (*i < n) {
		if (!f->awake) {
			size_t at = *i;
			*i += filter_skip(f->filter, p + at, n - at, &look);
			look += at;
			wake(f);
		}
		while (*i < n && (*i < look || !is_idle(f, p, *i))) {
			if (!step(f, p, *i)) {
				*r = ERR_TOO_BIG;
				return false;
			}
			if (match(f, p, ++*i, from))
				return true;
		}
		f->awake = *i < look || !is_idle(f, p, *i);
	}
	return false;
}
