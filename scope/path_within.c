/* SPDX-License-Identifier: ISC */
/* What for: whether path patterns cover another, by the subset construction
 * on the outer ones and a breadth-first search for a path that only the
 * inner one matches. Trusts: path_pattern_check(). At a bound: ERR_TOO_BIG. */
#include "scope/path_within.h"

#include <stdio.h>
#include <stdlib.h>

#define SYMBOLS_MAX 256
#define ITEMS_MAX 2048	 /* of all patterns together */
#define VISITED_MAX 4096 /* nodes of the search */
#define CALL_WORK 5000	 /* what a search costs that ends at once */
#define WORD_BITS 64
#define NONE SIZE_MAX

/* A path is read in units: a byte or an escape. Those that some pattern
 * spells out are told apart; all others behave alike and are OTHER. */
enum { SLASH, DOT, OTHER, FIRST_SPELLED };

/* One step of a pattern: a unit, "*", or "/" and "**". Each has two states:
 * before it (2i), and within a star that has begun (2i + 1). */
struct item {
	enum { UNIT, STAR, STARS, END } kind;
	size_t symbol;
};

/* How far the segment at hand is: empty and dot segments are no paths. */
enum segment { EMPTY, ONE_DOT, TWO_DOTS, PLAIN };

struct node {
	size_t state; /* of inner; NONE before the first "/" */
	enum segment segment;
	size_t from, symbol; /* how the search came here */
};

struct search {
	struct span symbols[SYMBOLS_MAX];
	size_t n_symbols;
	struct item items[ITEMS_MAX];
	size_t n_items;
	size_t outer; /* inner's items are before this one */
	size_t words; /* of a set of outer states */
	struct node nodes[VISITED_MAX];
	size_t n_nodes;
	uint64_t *sets; /* VISITED_MAX + 1: the last is scratch */
	uint64_t *left;
};

void
path_work(uint64_t *left, uint64_t n)
{
	*left -= n < *left ? n : *left;
}

static size_t
unit_length(struct span s)
{
	return s.p[0] == '%' && s.n >= 3 ? 3 : 1;
}

static int
symbol_of(struct search *s, struct span unit, size_t *out)
{
	for (size_t i = 0; i < s->n_symbols; i++) {
		if (i != OTHER && span_eq(s->symbols[i], unit)) {
			*out = i;
			return 0;
		}
	}
	if (s->n_symbols == SYMBOLS_MAX)
		return ERR_TOO_BIG;
	s->symbols[s->n_symbols] = unit;
	*out = s->n_symbols++;
	return 0;
}

static bool
begins_stars(struct span p)
{
	return p.n >= 3 && memcmp(p.p, "/**", 3) == 0 &&
	       (p.n == 3 || p.p[3] == '/');
}

static int
add_item(struct search *s, struct span *p)
{
	struct item it = {.kind = END};
	size_t length = 0;

	if (begins_stars(*p)) {
		it.kind = STARS;
		length = 3;
	} else if (p->n > 0 && p->p[0] == '*') {
		it.kind = STAR;
		length = 1;
	} else if (p->n > 0) {
		it.kind = UNIT;
		length = unit_length(*p);
		if (symbol_of(s, span_of(p->p, length), &it.symbol) != 0)
			return ERR_TOO_BIG;
	}
	if (s->n_items == ITEMS_MAX)
		return ERR_TOO_BIG;
	s->items[s->n_items++] = it;
	*p = span_from(*p, length);
	return 0;
}

static int
add_pattern(struct search *s, const char *pattern)
{
	struct span rest = span_str(pattern);

	do {
		if (add_item(s, &rest) != 0)
			return ERR_TOO_BIG;
	} while (s->items[s->n_items - 1].kind != END);
	return 0;
}

/* OTHER needs a spelling for the witness, which no pattern has. */
static int
spell_other(struct search *s)
{
	static const char letters[] = "zyxwvutsrqponmlkjihgfedcba0123456789"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_~";

	for (size_t i = 0; letters[i] != '\0'; i++) {
		struct span unit = span_of(letters + i, 1);
		bool taken = false;

		for (size_t j = 0; j < s->n_symbols; j++)
			taken = taken || span_eq(s->symbols[j], unit);
		if (!taken) {
			s->symbols[OTHER] = unit;
			return 0;
		}
	}
	return ERR_TOO_BIG;
}

static int
read_patterns(
    struct search *s, const char *inner, const char *const *outer, size_t n)
{
	s->symbols[SLASH] = span_str("/");
	s->symbols[DOT] = span_str(".");
	s->n_symbols = FIRST_SPELLED;
	if (add_pattern(s, inner) != 0)
		return ERR_TOO_BIG;
	s->outer = s->n_items;
	for (size_t i = 0; i < n; i++) {
		if (add_pattern(s, outer[i]) != 0)
			return ERR_TOO_BIG;
	}
	s->words = (2 * (s->n_items - s->outer)) / WORD_BITS + 1;
	return spell_other(s);
}

/* The state after this one without reading anything, or NONE. */
static size_t
slip(const struct search *s, size_t state)
{
	bool within = (state & 1) != 0;

	if (within || s->items[state / 2].kind == STARS)
		return (state | 1) + 1;
	return NONE;
}

/* The state after reading a symbol in this very state, or NONE. */
static size_t
step(const struct search *s, size_t state, size_t symbol)
{
	const struct item *it = &s->items[state / 2];
	bool within = (state & 1) != 0;

	switch (it->kind) {
	case UNIT:
		return symbol == it->symbol ? state + 2 : NONE;
	case STAR:
		return symbol != SLASH ? (state | 1) : NONE;
	case STARS:
		return within || symbol == SLASH ? (state | 1) : NONE;
	default:
		return NONE;
	}
}

static uint64_t *
set_of(const struct search *s, size_t node)
{
	return s->sets + node * s->words;
}

/* The state and all that it slips to. */
static void
set_add(const struct search *s, uint64_t *set, size_t state)
{
	for (; state != NONE; state = slip(s, state)) {
		size_t bit = state - 2 * s->outer;

		set[bit / WORD_BITS] |= (uint64_t)1 << bit % WORD_BITS;
	}
}

static bool
set_has(const struct search *s, const uint64_t *set, size_t state)
{
	size_t bit = state - 2 * s->outer;

	return (set[bit / WORD_BITS] >> bit % WORD_BITS & 1) != 0;
}

static bool
set_within(const struct search *s, const uint64_t *a, const uint64_t *b)
{
	for (size_t i = 0; i < s->words; i++) {
		if ((a[i] & ~b[i]) != 0)
			return false;
	}
	return true;
}

static void
set_step(struct search *s, const uint64_t *from, size_t symbol, uint64_t *to)
{
	memset(to, 0, s->words * sizeof(*to));
	for (size_t i = 2 * s->outer; i < 2 * s->n_items; i++) {
		if (set_has(s, from, i))
			set_add(s, to, step(s, i, symbol));
	}
	path_work(s->left, 2 * (s->n_items - s->outer));
}

/* false: no canonical path goes on so. */
static bool
segment_step(enum segment *at, size_t symbol)
{
	if (symbol == SLASH) {
		if (*at != PLAIN)
			return false;
		*at = EMPTY;
	} else if (symbol == DOT && *at != PLAIN) {
		*at = *at == EMPTY     ? ONE_DOT
		      : *at == ONE_DOT ? TWO_DOTS
				       : PLAIN;
	} else {
		*at = PLAIN;
	}
	return true;
}

/* Has the search been here with no more outer states? Then whatever it
 * finds from here it finds from there. */
static bool
seen(struct search *s, const struct node *n, const uint64_t *set)
{
	path_work(s->left, s->n_nodes);
	for (size_t i = 0; i < s->n_nodes; i++) {
		const struct node *old = &s->nodes[i];

		if (old->state == n->state && old->segment == n->segment &&
		    set_within(s, set_of(s, i), set))
			return true;
	}
	return false;
}

/* The node's set is in scratch. */
static int
visit(struct search *s, struct node n)
{
	const uint64_t *scratch = set_of(s, VISITED_MAX);

	for (; n.state != NONE; n.state = slip(s, n.state)) {
		if (seen(s, &n, scratch))
			continue;
		if (s->n_nodes == VISITED_MAX || *s->left == 0)
			return ERR_TOO_BIG;
		s->nodes[s->n_nodes] = n;
		memcpy(set_of(s, s->n_nodes), scratch,
		    s->words * sizeof(*scratch));
		s->n_nodes++;
	}
	return 0;
}

static int
start(struct search *s)
{
	uint64_t *scratch = set_of(s, VISITED_MAX);

	for (size_t i = s->outer; i < s->n_items; i++) {
		if (i == s->outer || s->items[i - 1].kind == END)
			set_add(s, scratch, 2 * i);
	}
	/* PLAIN: the first "/" may come. */
	return visit(s, (struct node){0, PLAIN, NONE, 0});
}

/* Is the path so far one that inner matches and no outer pattern does? */
static bool
escapes(const struct search *s, size_t node)
{
	const struct node *n = &s->nodes[node];

	if (s->items[n->state / 2].kind != END || n->from == NONE ||
	    n->segment == ONE_DOT || n->segment == TWO_DOTS)
		return false;
	for (size_t i = s->outer; i < s->n_items; i++) {
		if (s->items[i].kind == END &&
		    set_has(s, set_of(s, node), 2 * i))
			return false;
	}
	return true;
}

static int
go_on(struct search *s, size_t node)
{
	for (size_t symbol = 0; symbol < s->n_symbols; symbol++) {
		struct node n = s->nodes[node];

		n.state = step(s, n.state, symbol);
		n.from = node;
		n.symbol = symbol;
		if (n.state == NONE || !segment_step(&n.segment, symbol))
			continue;
		set_step(s, set_of(s, node), symbol, set_of(s, VISITED_MAX));
		if (*s->left == 0 || visit(s, n) != 0)
			return ERR_TOO_BIG;
	}
	return 0;
}

static void
spell(const struct search *s, size_t node, char witness[PATH_WITNESS_MAX])
{
	size_t n = PATH_WITNESS_MAX - 1;

	witness[n] = '\0';
	for (; s->nodes[node].from != NONE; node = s->nodes[node].from) {
		struct span unit = s->symbols[s->nodes[node].symbol];

		if (unit.n > n) {
			witness[0] = '\0';
			return;
		}
		n -= unit.n;
		memcpy(witness + n, unit.p, unit.n);
	}
	memmove(witness, witness + n, PATH_WITNESS_MAX - n);
}

static int
look(struct search *s, char witness[PATH_WITNESS_MAX])
{
	if (start(s) != 0)
		return ERR_TOO_BIG;
	for (size_t i = 0; i < s->n_nodes; i++) {
		if (escapes(s, i)) {
			spell(s, i, witness);
			return ERR_DENIED;
		}
		if (go_on(s, i) != 0)
			return ERR_TOO_BIG;
	}
	return 0;
}

int
path_within(const char *inner, const char *const *outer, size_t n,
    uint64_t *left, char witness[static PATH_WITNESS_MAX])
{
	struct search *s;
	int r;

	witness[0] = '\0';
	path_work(left, n);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(inner, outer[i]) == 0)
			return 0;
	}
	if (strcmp(inner, "/**") == 0) { /* it alone takes hidden slashes */
		(void)snprintf(witness, PATH_WITNESS_MAX, "/a%%2Fb");
		return ERR_DENIED;
	}
	path_work(left, CALL_WORK);
	if (*left == 0)
		return ERR_TOO_BIG;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return ERR_NOMEM;
	s->left = left;
	r = read_patterns(s, inner, outer, n);
	if (r == 0) {
		s->sets = calloc(VISITED_MAX + 1, s->words * sizeof(*s->sets));
		r = s->sets == NULL ? ERR_NOMEM : look(s, witness);
	}
	free(s->sets);
	free(s);
	return r;
}
