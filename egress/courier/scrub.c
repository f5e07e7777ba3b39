/* SPDX-License-Identifier: ISC */
/* What for: secrets out of a stream. Trusts: nothing. At a bound: an error,
 * and the caller stops sending. */
#include "egress/courier/scrub.h"

#include "egress/courier/scrub_find.h"
#include "egress/courier/scrub_forms.h"

#include <stdlib.h>

/* What cannot be lent is copied in pieces of this size: with what is held
 * of ordinary secrets they fit the locked blocks that lib/buf.c keeps. */
#define PIECE 2048

_Static_assert(SCRUB_WAYS == FIND_WAYS, "the header tells otherwise");
_Static_assert(SCRUB_MIN == FILTER_FORM_MIN, "shorter ones would be missed");

struct scrub_set {
	unsigned holds;
	struct trie trie;
	struct filter *filter; /* NULL: no secret */
	size_t longest;	       /* form */
	struct find look;      /* scrub_is_clean()'s */
};

struct scrub {
	struct scrub_set *set;
	struct find find;
	/* From where something began; the first `gone` bytes are sent. What
	 * is to be overwritten is marked, not yet written: longer matches
	 * may still want to read it. */
	struct buf *held;
	struct buf *marks; /* as many; 1: overwrite */
	size_t gone;
	bool marked; /* any of marks */
	bool found;
};

int
scrub_set_new(struct scrub_set **out)
{
	struct scrub_set *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return ERR_NOMEM;
	s->holds = 1;
	trie_init(&s->trie);
	*out = s;
	return 0;
}

struct scrub_set *
scrub_set_hold(struct scrub_set *s)
{
	s->holds++;
	return s;
}

void
scrub_set_free(struct scrub_set *s)
{
	if (s == NULL || --s->holds > 0)
		return;
	trie_clear(&s->trie);
	filter_free(s->filter);
	free(s);
}

static int
add_form(void *ctx, struct span form)
{
	struct scrub_set *s = ctx;
	int r = trie_add(&s->trie, form);

	if (r == 0)
		filter_add(s->filter, form);
	if (form.n > s->longest)
		s->longest = form.n;
	return r;
}

int
scrub_set_add(struct scrub_set *s, const struct keep *secret)
{
	struct span plain = keep_reveal(secret);
	struct buf *tmp;
	int r = 0;

	if (plain.n < SCRUB_MIN)
		return 0;
	if (s->filter == NULL && (r = filter_new(&s->filter)) != 0)
		return r;
	if ((tmp = buf_new_locked(FORMS_ROOM(plain.n))) == NULL)
		return ERR_NOMEM;
	r = forms_each(plain, tmp, add_form, s);
	buf_free(tmp);
	return r;
}

bool
scrub_set_empty(const struct scrub_set *s)
{
	return s->filter == NULL;
}

int
scrub_set_seal(struct scrub_set *s)
{
	return trie_seal(&s->trie);
}

int
scrub_new(struct scrub_set *set, struct scrub **out)
{
	struct scrub *s = calloc(1, sizeof(*s));
	size_t room = set->longest * WRITING_MAX + PIECE;

	if (s == NULL)
		return ERR_NOMEM;
	s->held = buf_new_locked(room);
	s->marks = buf_new(room);
	if (s->held == NULL || s->marks == NULL) {
		scrub_free(s);
		return ERR_NOMEM;
	}
	s->set = scrub_set_hold(set);
	find_start(&s->find, &set->trie, set->filter);
	*out = s;
	return 0;
}

void
scrub_free(struct scrub *s)
{
	if (s == NULL)
		return;
	buf_free(s->held);
	buf_free(s->marks);
	scrub_set_free(s->set);
	buf_wipe(s, sizeof(*s));
	free(s);
}

/* The bytes of marks are ours to write. */
static uint8_t *
marks_of(struct scrub *s)
{
	return (uint8_t *)(uintptr_t)buf_span(s->marks).p;
}

static int
hold(struct scrub *s, struct span in)
{
	uint8_t *p;
	int r;

	if (in.n == 0)
		return 0;
	if ((r = buf_reserve(s->marks, in.n, &p)) != 0 ||
	    (r = buf_put_span(s->held, in)) != 0)
		return r;
	memset(p, 0, in.n);
	buf_claim(s->marks, in.n);
	return 0;
}

/* The first n held bytes go out, but for those that are gone. */
static int
send_held(struct scrub *s, size_t n, struct buf *out)
{
	const uint8_t *p = buf_span(s->held).p, *mark = marks_of(s);
	uint8_t *to;
	int r;

	if (n <= s->gone)
		return 0;
	if ((r = buf_reserve(out, n - s->gone, &to)) != 0)
		return r;
	memcpy(to, p + s->gone, n - s->gone);
	for (size_t i = s->gone; i < n && s->marked; i++)
		to[i - s->gone] = mark[i] ? '*' : p[i];
	buf_claim(out, n - s->gone);
	s->gone = n;
	return 0;
}

/* Nothing that began there matters any more. */
static void
forget(struct scrub *s, size_t n)
{
	buf_consume(s->held, n);
	buf_consume(s->marks, n);
	s->gone -= n;
	if (buf_len(s->held) == 0)
		s->marked = false;
}

static void
mark(struct scrub *s, size_t from, size_t to)
{
	memset(marks_of(s) + from, 1, to - from);
	s->marked = true;
	s->found = true;
}

/* Look at what is held from offset i on; send what is decided. */
static int
search_held(struct scrub *s, size_t i, struct buf *out)
{
	struct span h = buf_span(s->held);
	size_t from;
	int r;

	while (find_next(&s->find, h.p, h.n, &i, &from, &r))
		mark(s, from, i);
	if (r != 0)
		return r;
	size_t n = find_begun(&s->find, h.p, h.n);
	if ((r = send_held(s, n, out)) == 0)
		forget(s, n);
	return r;
}

static int
run_held(struct scrub *s, struct span in, struct buf *out)
{
	int r = 0;

	while (in.n > 0 && r == 0) {
		size_t old = buf_len(s->held);
		struct span piece = span_of(in.p, in.n < PIECE ? in.n : PIECE);
		if ((r = hold(s, piece)) == 0)
			r = search_held(s, old, out);
		in = span_from(in, piece.n);
	}
	return r;
}

/* Nothing is held: look at in where it lies, up to the first match. What
 * comes before all that has begun is lent. */
static int
run_lent(struct scrub *s, struct span in, struct span *lent, struct buf *out)
{
	size_t i = 0, from = in.n;
	int r;
	bool any = find_next(&s->find, in.p, in.n, &i, &from, &r);

	if (r != 0)
		return r;
	size_t keep = find_begun(&s->find, in.p, i);
	keep = any && from < keep ? from : keep;
	*lent = span_of(in.p, keep);
	if ((r = hold(s, span_of(in.p + keep, i - keep))) != 0 || !any)
		return r;
	mark(s, from - keep, i - keep);
	if ((r = search_held(s, i - keep, out)) != 0)
		return r;
	return run_held(s, span_from(in, i), out);
}

int
scrub_run_lend(
    struct scrub *s, struct span in, struct span *lent, struct buf *out)
{
	*lent = span_of(NULL, 0);
	if (in.n == 0)
		return 0;
	if (s->set->filter == NULL) {
		*lent = in;
		return 0;
	}
	return buf_len(s->held) > 0 ? run_held(s, in, out)
				    : run_lent(s, in, lent, out);
}

int
scrub_run(struct scrub *s, struct span in, struct buf *out)
{
	struct buf *rest = buf_new(in.n + scrub_held(s) + 1);
	struct span lent;
	int r = rest == NULL ? ERR_NOMEM : scrub_run_lend(s, in, &lent, rest);

	if (r == 0 && (r = buf_put_span(out, lent)) == 0)
		r = buf_put_span(out, buf_span(rest));
	buf_free(rest);
	return r;
}

int
scrub_end(struct scrub *s, struct buf *out)
{
	size_t n = buf_len(s->held);
	int r = send_held(s, n, out);

	if (r != 0)
		return r;
	forget(s, n);
	find_start(&s->find, &s->set->trie, s->set->filter);
	return 0;
}

int
scrub_idle(struct scrub *s, struct buf *out)
{
	size_t n = buf_len(s->held);

	return n > SCRUB_LET_GO ? 0 : send_held(s, n, out);
}

size_t
scrub_held(const struct scrub *s)
{
	return buf_len(s->held) - s->gone;
}

bool
scrub_found(const struct scrub *s)
{
	return s->found;
}

bool
scrub_is_clean(struct scrub_set *set, struct span in)
{
	size_t i = 0, from;
	int r;

	if (set->filter == NULL)
		return true;
	find_start(&set->look, &set->trie, set->filter);
	return !find_next(&set->look, in.p, in.n, &i, &from, &r) && r == 0;
}

int
scrub_text(struct scrub_set *set, struct span in, struct buf *out)
{
	struct scrub *s = NULL;
	int r;

	if (set->filter == NULL)
		return buf_put_span(out, in);
	if ((r = scrub_new(set, &s)) == 0 && (r = scrub_run(s, in, out)) == 0)
		r = scrub_end(s, out);
	scrub_free(s);
	return r;
}
