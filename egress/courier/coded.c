/* SPDX-License-Identifier: ISC */
/* What for: coded bodies, searched before they pass. Trusts: nothing. At a
 * bound: an error, and the caller stops sending. */
#include "egress/courier/coded.h"

#include <stdlib.h>

#define MARKS 64

/* Whoever holds the first `coded` bytes can read `text` bytes, no more. */
struct mark {
	uint64_t coded, text;
};

struct coded {
	struct decode *decode;
	struct scrub *raw, *text;
	struct minted *minted;
	struct buf *held;  /* coded bytes that wait */
	struct buf *waste; /* what the scrubs give: not sent */
	uint64_t n_in, n_out, n_text;
	uint64_t pass; /* of the text, as minted says */
	struct mark marks[MARKS];
	size_t n_marks;
};

int
coded_new(struct scrub_set *set, enum coding coding, struct decode_pool *pool,
    struct minted *minted, struct coded **out)
{
	struct coded *c = calloc(1, sizeof(*c));
	int r;

	if (c == NULL)
		return ERR_NOMEM;
	c->minted = minted;
	c->held = buf_new(CODED_HOLD_MAX);
	c->waste = buf_new(SIZE_MAX / 2);
	r = c->held == NULL || c->waste == NULL ? ERR_NOMEM : 0;
	if (r != 0 || (r = decode_new(coding, pool, &c->decode)) != 0 ||
	    (r = scrub_new(set, &c->raw)) != 0 ||
	    (r = scrub_new(set, &c->text)) != 0) {
		coded_free(c);
		return r;
	}
	*out = c;
	return 0;
}

void
coded_free(struct coded *c)
{
	if (c == NULL)
		return;
	decode_free(c->decode);
	scrub_free(c->raw);
	scrub_free(c->text);
	buf_free(c->held);
	buf_free(c->waste);
	buf_wipe(c, sizeof(*c));
	free(c);
}

/* Search s, of which nothing is sent from here. */
static int
search(struct coded *c, struct scrub *s, struct span in)
{
	struct span lent;
	int r = scrub_run_lend(s, in, &lent, c->waste);

	buf_reset(c->waste);
	if (r == 0 && scrub_found(s))
		r = ERR_DENIED;
	return r;
}

static int
on_text(struct coded *c, struct span text)
{
	int r;

	if (text.n == 0)
		return 0;
	if ((r = minted_run(c->minted, text, &c->pass)) != 0)
		return r;
	c->n_text += text.n;
	return search(c, c->text, text);
}

/* A full table forgets its last mark: a later one says more. */
static void
put_mark(struct coded *c, uint64_t coded)
{
	size_t i = c->n_marks < MARKS ? c->n_marks++ : MARKS - 1;

	c->marks[i] = (struct mark){.coded = coded, .text = c->n_text};
}

static int
decode_all(struct coded *c, struct span in)
{
	uint64_t start = c->n_in;
	size_t all = in.n;
	struct span text;
	bool settled;
	int r;

	do {
		r = decode_next(c->decode, &in, &text, &settled);
		if (r == 0)
			r = on_text(c, text);
		if (r == 0 && settled)
			put_mark(c, start + all - in.n);
	} while (r == 0 && (in.n > 0 || text.n == DECODE_STEP));
	c->n_in = start + all;
	return r;
}

/* Out with everything up to the last mark that is clean. */
static int
let_out(struct coded *c, struct buf *out)
{
	uint64_t raw = c->n_in - scrub_held(c->raw);
	uint64_t text = c->n_text - scrub_held(c->text);
	size_t n = 0;
	int r;

	text = text < c->pass ? text : c->pass;
	while (n < c->n_marks && c->marks[n].coded <= raw &&
	       c->marks[n].text <= text)
		n++;
	if (n == 0)
		return 0;
	size_t bytes = (size_t)(c->marks[n - 1].coded - c->n_out);
	if ((r = buf_put(out, buf_span(c->held).p, bytes)) != 0)
		return r;
	buf_consume(c->held, bytes);
	c->n_out += bytes;
	c->n_marks -= n;
	memmove(c->marks, c->marks + n, c->n_marks * sizeof(c->marks[0]));
	return 0;
}

int
coded_run(struct coded *c, struct span in, struct buf *out)
{
	int r;

	if (in.n == 0)
		return 0;
	if ((r = buf_put_span(c->held, in)) != 0 ||
	    (r = search(c, c->raw, in)) != 0 || (r = decode_all(c, in)) != 0)
		return r;
	return let_out(c, out);
}

static int
let_go(struct coded *c, struct scrub *s,
    int (*how)(struct scrub *s, struct buf *out))
{
	int r = how(s, c->waste);

	buf_reset(c->waste);
	return r;
}

int
coded_idle(struct coded *c, struct buf *out)
{
	int r;

	if ((r = let_go(c, c->raw, scrub_idle)) != 0 ||
	    (r = let_go(c, c->text, scrub_idle)) != 0)
		return r;
	return let_out(c, out);
}

int
coded_end(struct coded *c, struct buf *out)
{
	int r;

	if ((r = decode_end(c->decode)) != 0 ||
	    (r = let_go(c, c->raw, scrub_end)) != 0 ||
	    (r = let_go(c, c->text, scrub_end)) != 0)
		return r;
	/* What was taken for a beginning was none: all that is left. */
	r = buf_put_span(out, buf_span(c->held));
	if (r == 0)
		buf_reset(c->held);
	return r;
}

size_t
coded_held(const struct coded *c)
{
	return buf_len(c->held);
}
