/* SPDX-License-Identifier: ISC */
/* What for: bodies of requests on their way out. Trusts: nothing; exchange.c
 * has checked length and credit. At a bound: the rest waits for the upstream.
 */
#include "egress/courier/exchange_inside.h"

#include "egress/http/h1_write.h"

void
exchange_give_credit(struct exchange *e, size_t n)
{
	e->up_credit += (uint32_t)n;
	exchange_tell(e, &msg_traffic_window,
	    &(struct traffic_window){.stream = e->id, .credit = (uint32_t)n});
}

static int
write_body(struct exchange *e, struct span bytes)
{
	struct stream *s = upstream_stream(e->up);
	struct buf *b;
	int r;

	if (e->m.body != BODY_CHUNKED || e->m.way == WAY_TUNNEL)
		return stream_write(s, bytes);
	if ((b = buf_new(bytes.n + 64)) == NULL)
		return ERR_NOMEM;
	if ((r = h1_put_chunk(bytes, b)) == 0)
		r = stream_write_buf(s, b);
	buf_free(b);
	return r;
}

/* Without trailers: an upstream may take them for header fields, and what
 * comes after the decision was never looked at (RFC 9110, 6.5.1). */
static int
write_end(struct exchange *e)
{
	struct buf *b = buf_new(64);
	int r = b == NULL ? ERR_NOMEM : h1_put_last_chunk(NULL, b);

	if (r == 0)
		r = stream_write_buf(upstream_stream(e->up), b);
	buf_free(b);
	return r;
}

static int
end_body(struct exchange *e)
{
	int r = 0;

	if (!e->up_ended || e->up_sent || buf_len(e->pending) > 0)
		return 0;
	if (e->m.way == WAY_TUNNEL)
		stream_shutdown(upstream_stream(e->up));
	else if (e->m.body == BODY_CHUNKED)
		r = write_end(e);
	e->up_sent = r == 0;
	return r;
}

/* What the gate sent goes on as far as the upstream takes it. False: the
 * exchange is over. */
bool
exchange_pump_up(struct exchange *e)
{
	int r = 0;

	while (r == 0 && buf_len(e->pending) > 0 &&
	       stream_queued(upstream_stream(e->up)) < STREAM_HIGH) {
		struct span s = buf_span(e->pending);
		size_t n = s.n < TRAFFIC_BODY_MAX ? s.n : TRAFFIC_BODY_MAX;
		if (!limits_up(e->usage, n)) {
			exchange_stop(e, REASON_LIMIT_BYTES);
			return false;
		}
		if ((r = write_body(e, span_of(s.p, n))) != 0)
			break;
		buf_consume(e->pending, n);
		e->bytes_up += n;
		exchange_give_credit(e, n);
		exchange_progress(e);
	}
	if (r == 0)
		r = end_body(e);
	if (r != 0)
		exchange_stop(e, REASON_UPSTREAM_BROKEN);
	return r == 0;
}
