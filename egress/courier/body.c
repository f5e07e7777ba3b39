/* SPDX-License-Identifier: ISC */
/* What for: one way for all kinds of bodies. Trusts: nothing. At a bound: an
 * error, and the caller stops sending. */
#include "egress/courier/body.h"

#include "egress/courier/ws_scrub.h"

#include <stdlib.h>

struct body {
	/* One of the three. */
	struct scrub *plain;
	struct coded *coded;
	struct ws_scrub *ws;

	struct minted minted;
	struct buf *waits; /* plain, for minted to decide */
	uint64_t n_passed; /* plain, by minted */
};

static bool
may_mint(const struct head *h)
{
	return h->status >= 200 && h->status < 300;
}

static int
open_kind(struct body *b, const struct body_spec *spec)
{
	enum coding coding =
	    spec->inspect ? coding_of(spec->head) : CODING_NONE;
	struct span type = {0};

	if (spec->websocket)
		return ws_scrub_new(spec->set, &b->ws);
	if (coding == CODING_OTHER)
		return ERR_FORMAT;
	if (spec->inspect && may_mint(spec->head))
		(void)head_get(spec->head, "content-type", &type); /* or none */
	minted_start(&b->minted, type);
	/* A part of a coded whole cannot be decoded. */
	if (coding != CODING_NONE && spec->head->status == 206)
		return ERR_FORMAT;
	if (coding != CODING_NONE)
		return coded_new(
		    spec->set, coding, spec->pool, &b->minted, &b->coded);
	b->waits = buf_new(SIZE_MAX / 2);
	return b->waits == NULL ? ERR_NOMEM : scrub_new(spec->set, &b->plain);
}

int
body_new(const struct body_spec *spec, struct body **out)
{
	struct body *b = calloc(1, sizeof(*b));
	int r;

	if (b == NULL)
		return ERR_NOMEM;
	if ((r = open_kind(b, spec)) != 0) {
		body_free(b);
		return r;
	}
	*out = b;
	return 0;
}

void
body_free(struct body *b)
{
	if (b == NULL)
		return;
	scrub_free(b->plain);
	coded_free(b->coded);
	ws_scrub_free(b->ws);
	buf_free(b->waits);
	buf_wipe(b, sizeof(*b));
	free(b);
}

static int
run_plain(struct body *b, struct span in, struct span *lent, struct buf *out)
{
	uint64_t pass;
	int r;

	if ((r = minted_run(&b->minted, in, &pass)) != 0)
		return r;
	size_t n = (size_t)(pass - b->n_passed), waited = buf_len(b->waits);
	b->n_passed = pass;
	if (waited == 0 && n == in.n)
		return scrub_run_lend(b->plain, in, lent, out);
	if ((r = buf_put_span(b->waits, in)) == 0)
		r = scrub_run(b->plain, span_of(buf_span(b->waits).p, n), out);
	if (r == 0)
		buf_consume(b->waits, n);
	return r;
}

int
body_run(struct body *b, struct span in, struct span *lent, struct buf *out)
{
	*lent = span_of(NULL, 0);
	if (b->ws != NULL)
		return ws_scrub_run(b->ws, in, out);
	return b->coded != NULL ? coded_run(b->coded, in, out)
				: run_plain(b, in, lent, out);
}

int
body_idle(struct body *b, struct buf *out)
{
	if (b->ws != NULL)
		return ws_scrub_idle(b->ws, out);
	return b->coded != NULL ? coded_idle(b->coded, out)
				: scrub_idle(b->plain, out);
}

int
body_end(struct body *b, struct buf *out)
{
	int r;

	if (b->ws != NULL)
		return ws_scrub_end(b->ws, out);
	if (b->coded != NULL)
		return coded_end(b->coded, out);
	if ((r = scrub_run(b->plain, buf_span(b->waits), out)) != 0)
		return r;
	buf_reset(b->waits);
	return scrub_end(b->plain, out);
}

bool
body_is_bulky(const struct body *b)
{
	return b->plain == NULL;
}

bool
body_is_coded(const struct body *b)
{
	return b->coded != NULL;
}

size_t
body_held(const struct body *b)
{
	if (b->ws != NULL)
		return ws_scrub_held(b->ws);
	return b->coded != NULL ? coded_held(b->coded)
				: scrub_held(b->plain) + buf_len(b->waits);
}

enum reason
body_reason(const struct body *b, int err)
{
	if (err == ERR_NOMEM)
		return REASON_LIMIT_GUEST; /* of what decoding takes */
	if (b != NULL && b->ws != NULL)
		return REASON_UPSTREAM_BROKEN;
	if (b != NULL && b->minted.found)
		return REASON_MINTED_SECRET;
	return b != NULL && (b->plain != NULL || err == ERR_DENIED)
		   ? REASON_CREDENTIAL_ECHO
		   : REASON_UPSTREAM_ENCODED;
}
