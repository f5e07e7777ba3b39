/* SPDX-License-Identifier: ISC */
/* What for: answers on their way to the gate, scrubbed. Trusts: the upstream
 * for nothing. At a bound: the upstream is not read; what cannot be cleaned is
 * not sent. */
#include "egress/courier/exchange_inside.h"

#define GATE_HIGH (1024 * 1024) /* the upstreams are not read beyond */

static void
send_body(struct exchange *e, struct span s)
{
	e->down_credit -= (uint32_t)s.n;
	e->bytes_down += s.n;
	while (s.n > 0) {
		size_t n = s.n < TRAFFIC_BODY_MAX ? s.n : TRAFFIC_BODY_MAX;
		exchange_tell(e, &msg_traffic_bytes,
		    &(struct traffic_bytes){
			.stream = e->id, .bytes = span_of(s.p, n)});
		s = span_from(s, n);
	}
}

/* What the scrubber holds will need credit as well. */
static size_t
room_down(const struct exchange *e)
{
	size_t held = e->scrub == NULL ? 0 : scrub_held(e->scrub);

	if (e->c->gate == NULL || link_queued(e->c->gate) > GATE_HIGH)
		return 0;
	return e->down_credit > held ? e->down_credit - held : 0;
}

void
exchange_on_tail(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct exchange *e = w->data;
	struct buf *out = buf_new(SCRUB_LET_GO);

	(void)loop;
	(void)events;
	if (out != NULL && scrub_idle(e->scrub, out) == 0)
		send_body(e, buf_span(out));
	buf_free(out); /* without memory it waits for the next bytes */
}

static int
pass_body(struct exchange *e, struct span s)
{
	struct buf *out;
	int r;

	if (!limits_down(e->usage, s.n))
		return ERR_DENIED;
	if (e->scrub == NULL) {
		send_body(e, s);
		return 0;
	}
	if ((out = buf_new(s.n + scrub_held(e->scrub) + 1)) == NULL)
		return ERR_NOMEM;
	if ((r = scrub_run(e->scrub, s, out)) == 0)
		send_body(e, buf_span(out));
	buf_free(out);
	if (r == 0 && scrub_held(e->scrub) > 0) {
		ev_timer_stop(e->c->loop, &e->tail);
		ev_timer_set(&e->tail, TAIL_S, 0.);
		ev_timer_start(e->c->loop, &e->tail);
	}
	return r;
}

static int
flush_tail(struct exchange *e)
{
	struct buf *out;
	int r;

	ev_timer_stop(e->c->loop, &e->tail);
	if (e->scrub == NULL || scrub_held(e->scrub) == 0)
		return 0;
	if ((out = buf_new(scrub_held(e->scrub))) == NULL)
		return ERR_NOMEM;
	if ((r = scrub_end(e->scrub, out)) == 0)
		send_body(e, buf_span(out));
	buf_free(out);
	return r;
}

/* Names and values both: what is not clean is not sent. */
static int
scrub_fields(struct scrub_set *set, const struct head *h, struct buf *out)
{
	int r = 0;

	for (size_t i = 0; i < h->n_fields && r == 0; i++) {
		struct buf *name = buf_new(HEAD_BYTES_MAX);
		struct buf *value = buf_new(HEAD_BYTES_MAX);
		r = name == NULL || value == NULL ? ERR_NOMEM : 0;
		if (r == 0)
			r = scrub_text(set, h->fields[i].name, name);
		if (r == 0)
			r = scrub_text(set, h->fields[i].value, value);
		if (r == 0)
			r = headers_put(out, buf_span(name), buf_span(value));
		buf_free(name);
		buf_free(value);
	}
	return r;
}

static bool
is_coded(const struct head *h)
{
	struct span list, member;

	for (size_t i = 0; i < h->n_fields; i++) {
		if (!span_is(h->fields[i].name, "content-encoding"))
			continue;
		list = h->fields[i].value;
		while (head_list_next(&list, &member)) {
			if (!span_caseeq(member, span_str("identity")))
				return true;
		}
	}
	return false;
}

static void
fill_response(const struct exchange *e, const struct head *h,
    struct buf *packed, struct traffic_response *m)
{
	*m = (struct traffic_response){.stream = e->id,
	    .status = h->status,
	    .body = h->body == HEAD_BODY_UNTIL_CLOSE ? BODY_CHUNKED
						     : (uint8_t)h->body,
	    .length = h->length,
	    .has_length = h->has_length,
	    .headers = buf_span(packed)};
}

/* REASON_NONE, or why the answer cannot be passed on. */
static enum reason
pass_head(struct exchange *e, struct head *h)
{
	struct scrub_set *set = leases_scrub_set(e->c->leases);
	struct buf *packed = buf_new(TRAFFIC_HEAD_MAX);
	enum reason why = REASON_NONE;
	struct traffic_response m;

	if (set == NULL || packed == NULL)
		why = REASON_CREDENTIAL_ECHO;
	else if (head_strip(h) != 0)
		why = REASON_UPSTREAM_BROKEN;
	else if (scrub_fields(set, h, packed) != 0)
		why = REASON_CREDENTIAL_ECHO;
	else if (h->status >= 200 && e->inspect && h->body != HEAD_BODY_NONE &&
		 is_coded(h))
		why = REASON_UPSTREAM_ENCODED;
	else if (h->status >= 200 && scrub_new(set, &e->scrub) != 0)
		why = REASON_CREDENTIAL_ECHO;
	if (why == REASON_NONE) {
		fill_response(e, h, packed, &m);
		exchange_tell(e,
		    h->status < 200 ? &msg_traffic_interim
				    : &msg_traffic_response,
		    &m);
	}
	buf_free(packed);
	return why;
}

static enum reason
on_head(struct exchange *e, struct head *h)
{
	enum reason why = REASON_NONE;

	/* A 100 goes only to who waits for it; 101 was never asked for. */
	if (h->status != 100 || e->m.expect != 0)
		why = pass_head(e, h);
	if (why == REASON_NONE && h->status >= 200) {
		e->answered = true;
		e->status = h->status;
	}
	return why;
}

static int
send_end(struct exchange *e, const struct head *trailers)
{
	struct scrub_set *set = leases_scrub_set(e->c->leases);
	struct buf *packed = buf_new(TRAFFIC_HEAD_MAX);
	int r = set == NULL || packed == NULL ? ERR_NOMEM : flush_tail(e);

	if (r == 0 && trailers != NULL)
		r = scrub_fields(set, trailers, packed);
	if (r == 0) {
		e->down_ended = true;
		exchange_tell(e, &msg_traffic_end,
		    &(struct traffic_end){
			.stream = e->id, .trailers = buf_span(packed)});
	}
	buf_free(packed);
	return r;
}

/* The answer is complete. True: the exchange goes on. */
static bool
after_end(struct exchange *e)
{
	if (e->up_ended && e->up_sent) {
		exchange_finish(e, "complete");
		return false;
	}
	if (e->m.way == WAY_TUNNEL)
		return true; /* the other half is still open */
	/* Answered before all was asked: the rest is thrown away. */
	exchange_keep_address(e);
	call_free(e->call);
	e->call = NULL;
	if (e->up_ended) {
		exchange_finish(e, "early");
		return false;
	}
	e->state = DRAINING;
	if (buf_len(e->pending) > 0) {
		exchange_give_credit(e, buf_len(e->pending));
		buf_reset(e->pending);
	}
	return true;
}

static enum reason
reason_of_body(int err)
{
	return err == ERR_DENIED ? REASON_LIMIT_BYTES : REASON_CREDENTIAL_ECHO;
}

static enum reason
reason_of_answer(const struct exchange *e, int err)
{
	return err == ERR_UNAVAILABLE && !e->answered
		   ? REASON_RETIRED_CONNECTION
		   : REASON_UPSTREAM_BROKEN;
}

/* REASON_NONE, or why it cannot be passed on. */
static enum reason
pass(struct exchange *e, const struct call_piece *p)
{
	int r;

	switch (p->kind) {
	case CALL_HEAD:
		return on_head(e, p->head);
	case CALL_BYTES:
		if ((r = pass_body(e, p->bytes)) != 0)
			return reason_of_body(r);
		call_took(e->call);
		return REASON_NONE;
	case CALL_END:
		if (send_end(e, p->head) == 0)
			return REASON_NONE;
		return REASON_CREDENTIAL_ECHO;
	case CALL_NOTHING:
		break;
	}
	return REASON_NONE;
}

bool
exchange_pump_down(struct exchange *e)
{
	struct call_piece p;
	enum reason why;
	int r;

	if (e->state != OPEN)
		return e->state == DIALING;
	for (;;) {
		if ((r = call_next(e->call, room_down(e), &p)) != 0) {
			exchange_stop(e, reason_of_answer(e, r));
			return false;
		}
		if (p.kind == CALL_NOTHING)
			return true;
		if ((why = pass(e, &p)) != REASON_NONE) {
			exchange_stop(e, why);
			return false;
		}
		if (p.kind == CALL_END)
			return after_end(e) && e->call != NULL;
		exchange_progress(e);
	}
}
