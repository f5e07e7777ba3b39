/* SPDX-License-Identifier: ISC */
/* What for: bodies of HTTP/1.1, their chunks and trailers. Trusts: nothing. At
 * a bound: ERR_TOO_BIG. */
#include "egress/http/h1_inside.h"

#include <stdlib.h>

static int
chunk_size_byte(struct h1 *p, uint8_t c)
{
	int v = span_hex(c);

	if (v >= 0) {
		if (p->digits++ == 16 || p->left > INT64_MAX >> 4)
			return h1_refuse(p, "chunk size too large");
		p->left = p->left << 4 | (uint64_t)v;
		return 0;
	}
	if (c != '\r' || p->digits == 0)
		return h1_refuse(p, "bad chunk size");
	p->state = S_CHUNK_LF;
	return 0;
}

/* The framing between chunks, byte by byte. */
static int
chunk_byte(struct h1 *p, uint8_t c)
{
	switch (p->state) {
	case S_CHUNK_SIZE:
		return chunk_size_byte(p, c);
	case S_CHUNK_LF:
		if (c != '\n')
			return h1_refuse(p, "bare CR");
		p->state = p->left == 0 ? S_TRAILERS : S_CHUNK_DATA;
		if (p->left == 0)
			h1_block_start(&p->trailer_block);
		return 0;
	case S_DATA_CR:
		if (c != '\r')
			return h1_refuse(p, "chunk longer than said");
		p->state = S_DATA_LF;
		return 0;
	case S_DATA_LF:
		if (c != '\n')
			return h1_refuse(p, "bare CR");
		p->state = S_CHUNK_SIZE;
		p->digits = 0;
		p->left = 0;
		return 0;
	default:
		abort();
	}
}

static void
step_bytes(struct h1 *p, struct span *in, enum h1_event *event,
    struct span *body, bool counted)
{
	size_t n = counted && p->left < in->n ? (size_t)p->left : in->n;

	if (n == 0)
		return;
	*body = span_of(in->p, n);
	*in = span_from(*in, n);
	*event = H1_BODY;
	p->body_bytes += n;
	if (!counted)
		return;
	p->left -= n;
	if (p->left == 0)
		p->state = p->state == S_LENGTH ? S_END : S_DATA_CR;
}

static int
whole_trailers(struct h1 *p)
{
	struct span rest = buf_span(p->trailer_block.raw);
	struct head *t = &p->trailers;
	struct head_field f;
	int r;

	for (struct span line = h1_take_line(&rest); line.n > 0;
	     line = h1_take_line(&rest)) {
		if ((r = h1_split_field(p, line, &f)) != 0)
			return r;
		if (p->role == H1_RESPONSE && head_forbidden_trailer(f.name))
			continue;
		if (t->n_fields == HEAD_FIELDS_MAX) {
			p->why = "too many trailers";
			return ERR_TOO_BIG;
		}
		t->fields[t->n_fields++] = f;
	}
	p->state = S_END;
	return 0;
}

static int
step_chunked(
    struct h1 *p, struct span *in, enum h1_event *event, struct span *body)
{
	int r;

	while (
	    in->n > 0 && p->state != S_CHUNK_DATA && p->state != S_TRAILERS) {
		if ((r = chunk_byte(p, in->p[0])) != 0)
			return r;
		*in = span_from(*in, 1);
	}
	if (p->state == S_CHUNK_DATA) {
		step_bytes(p, in, event, body, true);
		return 0;
	}
	if (p->state != S_TRAILERS || in->n == 0)
		return 0;
	r = h1_block_take(p, &p->trailer_block, in);
	if (r != 0)
		return r == ERR_TRUNCATED ? 0 : r;
	return whole_trailers(p);
}

int
h1_step_body(
    struct h1 *p, struct span *in, enum h1_event *event, struct span *body)
{
	struct span from = *in;
	int r = 0;

	if (p->state == S_LENGTH)
		step_bytes(p, in, event, body, true);
	else if (p->state == S_UNTIL_CLOSE)
		step_bytes(p, in, event, body, false);
	else
		r = step_chunked(p, in, event, body);
	struct span eaten = span_of(from.p, from.n - in->n);
	if (r != 0 || eaten.n == 0)
		return r;
	if ((r = h1_judge_feed(p, eaten)) != 0)
		return r;
	return h1_judge_agrees(p);
}
