/* SPDX-License-Identifier: ISC */
/* What for: how exchanges end, and what the log says of them. Trusts: nothing
 * that a guest wrote; audit.c escapes it. At a bound: a line that cannot be
 * written ends all traffic (audit.h). */
#include "egress/courier/exchange_inside.h"

#include "egress/courier/clock.h"
#include "lib/log.h"

#include <stdlib.h>

static void
leave(struct courier *c, struct exchange *e)
{
	struct exchange **same = &c->by_id[e->id % COURIER_BUCKETS];

	while (*same != e)
		same = &(*same)->same;
	*same = e->same;
	*(e->before == NULL ? &c->exchanges : &e->before->next) = e->next;
	if (e->next != NULL)
		e->next->before = e->before;
	c->n_exchanges--;
}

void
exchange_free(struct exchange *e)
{
	struct courier *c = e->c;

	leave(c, e);
	ev_timer_stop(c->loop, &e->timer);
	ev_timer_stop(c->loop, &e->tail);
	call_free(e->call);
	body_free(e->body);
	if (e->usage != NULL)
		limits_leave(e->usage);
	buf_free(e->due);
	buf_free(e->late);
	buf_free(e->trailers);
	buf_free(e->up_trailers);
	buf_free(e->pending);
	buf_free(e->clean);
	buf_free(e->store);
	free(e);
}

void
exchange_arm(struct exchange *e, double seconds)
{
	ev_timer_stop(e->c->loop, &e->timer);
	ev_timer_set(&e->timer, seconds, 0.);
	ev_timer_start(e->c->loop, &e->timer);
}

void
exchange_progress(struct exchange *e)
{
	const struct bounds *b = &e->c->bounds;

	if (e->state >= OPEN && !e->doubt)
		exchange_arm(e, e->answered ? b->upstream_body_seconds
					    : b->upstream_answer_seconds);
}

static struct span
shown_target(const struct exchange *e)
{
	/* Decided: what is sent, less what we add. Until then: as it came,
	 * and a query of unknown content is not for the log. */
	return buf_len(e->clean) > 0 ? buf_span(e->clean) : e->m.target;
}

struct audit_line
exchange_audit_line(const struct exchange *e, const char *event)
{
	bool named = e->host.name[0] != '\0';
	struct audit_line l = {.event = event,
	    .stream = e->id,
	    .family = e->m.family,
	    .jti = span_str(e->jti),
	    .way = e->m.way,
	    .method = e->m.method,
	    .host = e->m.host,
	    .port = named ? e->port : e->m.port,
	    .hide_query = e->hide_query || buf_len(e->clean) == 0,
	    .grant = span_str(e->grant),
	    .credential = span_str(e->credential),
	    .version = e->version,
	    .rule = e->rule,
	    .dropped = e->dropped};

	if (named)
		l.host = span_str(e->host.name);
	if (e->m.way != WAY_TUNNEL)
		l.target = shown_target(e);
	return l;
}

int
exchange_audit_end(
    struct exchange *e, const char *event, const char *how, enum reason reason)
{
	struct audit_line l = exchange_audit_line(e, event);

	l.reason = reason;
	l.how = how;
	l.ended = e->logged;
	l.status = e->status;
	l.up = e->bytes_up;
	l.down = e->bytes_down;
	l.ms = clock_ms() - e->began_ms;
	l.address = span_str(e->address);
	return audit_put(e->c->audit, &l);
}

/* Of a link that is broken its owner hears from lib/link. One that is whole
 * and does not take a message (there is no memory) would leave a hole in an
 * answer that then goes on: we end, and so does every answer. */
void
exchange_tell(const struct exchange *e, const struct msg_type *t, const void *m)
{
	if (e->c->gate == NULL)
		return;
	int r = link_send(e->c->gate, t, m, -1);
	if (r != 0 && r != ERR_UNAVAILABLE)
		log_fatal("gate_message_lost", t->name);
}

void
exchange_keep_address(struct exchange *e)
{
	if (e->call != NULL && span_copy(call_address(e->call), e->address,
				   sizeof(e->address)) != 0)
		e->address[0] = '\0';
}

/* Nothing of it is written after this. detail may be NULL. */
void
exchange_give_up(struct exchange *e, enum reason reason, const char *event,
    const char *detail, uint32_t retry_after)
{
	exchange_keep_address(e);
	call_free(e->call);
	e->call = NULL;
	if (exchange_audit_end(e, event, "reset", reason) != 0 && !e->answered)
		reason = REASON_AUDIT_FAILED;
	if (e->answered)
		exchange_tell(e, &msg_traffic_reset,
		    &(struct traffic_reset){
			.stream = e->id, .reason = (uint16_t)reason});
	else
		exchange_tell(e, &msg_traffic_refused,
		    &(struct traffic_refused){.stream = e->id,
			.reason = (uint16_t)reason,
			.grant = span_str(e->grant),
			.detail = span_str(detail),
			.retry_after = retry_after});
	exchange_free(e);
}

/* Before its request line: refused; after: done, with a reason. */
void
exchange_stop(struct exchange *e, enum reason reason)
{
	exchange_give_up(e, reason, e->logged ? "done" : "refused", NULL, 0);
}

void
exchange_finish(struct exchange *e, const char *how)
{
	exchange_keep_address(e);
	/* A failed log has ended everything else already. */
	if (exchange_audit_end(e, "done", how, REASON_NONE) != 0)
		log_event(LOG_WARN, "done_not_logged");
	if (e->call != NULL)
		call_finish(e->call);
	e->call = NULL;
	exchange_free(e);
}
