/* SPDX-License-Identifier: ISC */
/* What for: tunnels: bytes both ways, each with its end. Trusts: nothing,
 * for it reads nothing. At a bound: the upstream is not read. */
#include "egress/courier/call_inside.h"

static int
plain_send(struct call *k, const struct head *h, size_t never)
{
	(void)k, (void)h, (void)never;
	return ERR_SEQUENCE; /* a tunnel has no head */
}

static size_t
plain_room(struct call *k)
{
	return stream_queued(upstream_stream(k->line->up)) < STREAM_HIGH
		   ? STREAM_HIGH
		   : 0;
}

static int
plain_body(struct call *k, struct span bytes)
{
	return stream_write(upstream_stream(k->line->up), bytes);
}

static int
plain_end(struct call *k, const struct head *trailers)
{
	(void)trailers;
	stream_shutdown(upstream_stream(k->line->up));
	k->ended = true;
	return 0;
}

static int
plain_next(struct call *k, size_t room, struct call_piece *out)
{
	struct span in = stream_input(upstream_stream(k->line->up));

	if (in.n > 0 && room > 0) {
		out->kind = CALL_BYTES;
		out->bytes = span_of(in.p, in.n < room ? in.n : room);
		k->lent = out->bytes.n;
	} else if (in.n == 0 && k->line->eof) {
		out->kind = CALL_END;
		k->over = true;
	}
	return 0;
}

static void
plain_took(struct call *k)
{
	size_t n = k->lent;

	k->lent = 0;
	stream_consume(upstream_stream(k->line->up), n);
}

static void
plain_leave(struct call *k, bool clean)
{
	struct line *l = k->line;

	(void)clean;
	line_remove(k);
	line_free(l);
}

static void
plain_event(struct line *l, enum upstream_event event)
{
	call_tell(l->calls,
	    event == UPSTREAM_DRAINED ? CALL_DRAINED : CALL_INPUT, REASON_NONE);
}

void
call_upgraded(struct call *k)
{
	k->type = &call_plain;
	k->ended = false;
}

const struct call_type call_plain = {.send = plain_send,
    .room = plain_room,
    .body = plain_body,
    .end = plain_end,
    .next = plain_next,
    .took = plain_took,
    .leave = plain_leave,
    .event = plain_event};
