/* SPDX-License-Identifier: ISC */
/* What for: calls over HTTP/1.1, one at a time on a connection. Trusts: the
 * upstream for nothing; egress/http/h1_parse.h reads it. At a bound: the
 * connection is not read, or dropped. */
#include "egress/courier/call_inside.h"

#include "egress/http/h1_write.h"
#include "lib/secret.h"
#include "messages/traffic.h"

/* Four fields of the largest secret, encoded, would fit. */
#define HEAD_OUT_MAX (4 * KEEP_MAX + TRAFFIC_HEAD_MAX)

static int
h1_send(struct call *k, const struct head *h, size_t never)
{
	struct buf *out = buf_new_locked(HEAD_OUT_MAX);
	int r = out == NULL ? ERR_NOMEM : h1_put_head(h, false, out);

	(void)never; /* HTTP/1.1 keeps nothing */
	if (h->upgrade)
		h1_start_upgrade(upstream_parser(k->line->up));
	else
		h1_start(
		    upstream_parser(k->line->up), span_is(h->method, "HEAD"));
	k->chunked = h->body == HEAD_BODY_CHUNKED;
	k->ended = h->body == HEAD_BODY_NONE;
	if (r == 0)
		r = stream_write_buf(upstream_stream(k->line->up), out);
	buf_free(out);
	return r;
}

static size_t
h1_room(struct call *k)
{
	return stream_queued(upstream_stream(k->line->up)) < STREAM_HIGH
		   ? STREAM_HIGH
		   : 0;
}

static int
h1_body(struct call *k, struct span bytes)
{
	struct stream *s = upstream_stream(k->line->up);
	struct buf *b;
	int r;

	if (!k->chunked)
		return stream_write(s, bytes);
	if ((b = buf_new(bytes.n + 64)) == NULL)
		return ERR_NOMEM;
	if ((r = h1_put_chunk(bytes, b)) == 0)
		r = stream_write_buf(s, b);
	buf_free(b);
	return r;
}

static int
h1_end(struct call *k, const struct head *trailers)
{
	struct buf *b;
	int r;

	k->ended = true;
	if (!k->chunked)
		return 0;
	if ((b = buf_new(TRAFFIC_HEAD_MAX)) == NULL)
		return ERR_NOMEM;
	if ((r = h1_put_last_chunk(trailers, b)) == 0)
		r = stream_write_buf(upstream_stream(k->line->up), b);
	buf_free(b);
	return r;
}

/* The far end sends no more, and all it sent was read. */
static int
at_eof(struct call *k, struct call_piece *out)
{
	enum h1_event event = H1_MORE;

	if (h1_eof(upstream_parser(k->line->up), &event) != 0 ||
	    event != H1_END || k->line->eof_broken)
		return call_refuse(
		    k, ERR_UNAVAILABLE, "closed within an answer");
	k->closing = k->over = true;
	out->kind = CALL_END;
	return 0;
}

static void
give(struct call *k, enum h1_event event, struct span body,
    struct call_piece *out)
{
	struct h1 *p = upstream_parser(k->line->up);

	if (event == H1_HEAD) {
		out->kind = CALL_HEAD;
		out->head = h1_head(p);
		k->answered = out->head->status >= 200;
		k->closing = out->head->close;
		if (out->head->status == 101)
			call_upgraded(k);
	} else if (event == H1_BODY) {
		out->kind = CALL_BYTES;
		out->bytes = body;
	} else if (event == H1_END) {
		out->kind = CALL_END;
		out->head = h1_trailers(p);
		k->over = true;
	}
}

static int
h1_call_next(struct call *k, size_t room, struct call_piece *out)
{
	struct stream *s = upstream_stream(k->line->up);
	struct h1 *p = upstream_parser(k->line->up);
	struct span in, body = {0};
	enum h1_event event = H1_MORE;
	size_t before, used;

	do {
		in = stream_input(s);
		if (k->answered && in.n > room)
			in.n = room;
		before = in.n;
		if (h1_next(p, &in, &event, &body) != 0)
			return call_refuse(k, ERR_FORMAT, h1_why(p));
		used = before - in.n;
		if (event == H1_BODY)
			k->lent = used; /* body lies in there */
		else
			stream_consume(s, used);
	} while (event == H1_MORE && used > 0);
	if (event == H1_MORE && k->line->eof && stream_input(s).n == 0)
		return at_eof(k, out);
	give(k, event, body, out);
	return 0;
}

static void
h1_took(struct call *k)
{
	size_t n = k->lent;

	k->lent = 0;
	stream_consume(upstream_stream(k->line->up), n);
}

static void
h1_leave(struct call *k, bool clean)
{
	struct line *l = k->line;

	if (clean && !k->closing) {
		upstream_release(l->up);
		l->up = NULL;
	}
	line_remove(k);
	line_free(l);
}

static void
h1_call_event(struct line *l, enum upstream_event event)
{
	call_tell(l->calls,
	    event == UPSTREAM_DRAINED ? CALL_DRAINED : CALL_INPUT, REASON_NONE);
}

const struct call_type call_h1 = {.send = h1_send,
    .room = h1_room,
    .body = h1_body,
    .end = h1_end,
    .next = h1_call_next,
    .took = h1_took,
    .leave = h1_leave,
    .event = h1_call_event};
