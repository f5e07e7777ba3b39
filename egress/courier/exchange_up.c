/* SPDX-License-Identifier: ISC */
/* What for: bodies of requests on their way out. Trusts: nothing; exchange.c
 * has checked length and credit. At a bound: the rest waits for the upstream.
 */
#include "egress/courier/exchange_inside.h"

#include "egress/courier/trailers.h"

void
exchange_give_credit(struct exchange *e, size_t n)
{
	e->up_credit += (uint32_t)n;
	exchange_tell(e, &msg_traffic_window,
	    &(struct traffic_window){.stream = e->id, .credit = (uint32_t)n});
}

static bool
at_end(const struct exchange *e)
{
	return e->up_ended && !e->up_sent && buf_len(e->pending) == 0;
}

static int
end_body(struct exchange *e, const struct head *trailers)
{
	int r = call_end(e->call, trailers);

	e->up_sent = r == 0;
	return r;
}

/* They come long after the decision, which is made once more for them: of
 * what may not follow, only it knows all. */
static enum reason
end_with_trailers(struct exchange *e, const char **detail)
{
	struct decision d;
	struct head trailers;
	int r;

	exchange_judge(e, &d);
	if (d.reason == REASON_CREDENTIAL_REJECTED) /* it is out already */
		d.reason = REASON_NONE;
	if (d.reason != REASON_NONE || d.wait) /* exchange_retry() */
		return d.reason;
	r = trailers_read(
	    buf_span(e->up_trailers), d.slots, d.n_slots, &trailers);
	if (r == ERR_FORMAT)
		*detail = "A trailer has the name of a field that belongs "
			  "into the head.";
	else if (r == 0 && end_body(e, &trailers) != 0)
		r = ERR_IO;
	head_clear(&trailers);
	return r == 0		 ? REASON_NONE
	       : r == ERR_FORMAT ? REASON_UNSUPPORTED
	       : r == ERR_IO	 ? REASON_UPSTREAM_BROKEN
				 : REASON_INTERNAL;
}

/* False: the exchange is over. */
static bool
finish_up(struct exchange *e)
{
	const char *detail = NULL;
	enum reason why = REASON_NONE;

	if (!at_end(e))
		return true;
	if (e->up_trailers != NULL)
		why = end_with_trailers(e, &detail);
	else if (end_body(e, NULL) != 0)
		why = REASON_UPSTREAM_BROKEN;
	if (why != REASON_NONE)
		exchange_give_up(e, why, "done", detail, 0);
	return why == REASON_NONE;
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
	if (r != 0) {
		exchange_stop(e, REASON_UPSTREAM_BROKEN);
		return false;
	}
	return finish_up(e);
}
