/* SPDX-License-Identifier: ISC */
/* What for: bodies of requests on their way out. Trusts: nothing; exchange.c
 * has checked length and credit. At a bound: the rest waits for the upstream.
 */
#include "egress/courier/exchange_inside.h"

void
exchange_give_credit(struct exchange *e, size_t n)
{
	e->up_credit += (uint32_t)n;
	exchange_tell(e, &msg_traffic_window,
	    &(struct traffic_window){.stream = e->id, .credit = (uint32_t)n});
}

/* Without trailers: an upstream may take them for header fields, and what
 * comes after the decision was never looked at (RFC 9110, 6.5.1). */
static int
end_body(struct exchange *e)
{
	int r = 0;

	if (!e->up_ended || e->up_sent || buf_len(e->pending) > 0)
		return 0;
	r = call_end(e->call);
	e->up_sent = r == 0;
	return r;
}

/* What the gate sent goes on as far as the upstream takes it. False: the
 * exchange is over. */
bool
exchange_pump_up(struct exchange *e)
{
	size_t n;
	int r = 0;

	while (
	    r == 0 && buf_len(e->pending) > 0 && (n = call_room(e->call)) > 0) {
		struct span s = buf_span(e->pending);
		n = s.n < n ? s.n : n;
		if (e->ws_open && ws_check(&e->ws_up, span_of(s.p, n)) != 0) {
			exchange_stop(e, REASON_BAD_REQUEST);
			return false;
		}
		if (!limits_up(e->usage, n)) {
			exchange_stop(e, REASON_LIMIT_BYTES);
			return false;
		}
		if ((r = call_body(e->call, span_of(s.p, n))) != 0)
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
