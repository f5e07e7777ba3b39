/* SPDX-License-Identifier: ISC */
/* What for: answers on their way to the gate, scrubbed. Trusts: the upstream
 * for nothing. At a bound: the upstream is not read; what cannot be cleaned is
 * not sent. */
#include "egress/courier/exchange_inside.h"

#include "lib/log.h"

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

static void
tell_due(struct exchange *e)
{
	if (e->due == NULL)
		return;
	exchange_tell(e, &msg_traffic_response, &e->due_head);
	buf_free(e->due);
	e->due = NULL;
	e->answered = true;
}

/* As far as the credit goes; the rest is late. */
static int
give(struct exchange *e, struct span s)
{
	size_t n = s.n < e->down_credit ? s.n : e->down_credit;

	if (s.n > 0)
		tell_due(e);
	if (buf_len(e->late) > 0)
		n = 0;
	send_body(e, span_of(s.p, n));
	return s.n == n ? 0 : buf_put_span(e->late, span_from(s, n));
}

static void
give_late(struct exchange *e)
{
	size_t n = buf_len(e->late);

	n = n < e->down_credit ? n : e->down_credit;
	if (n == 0)
		return;
	send_body(e, span_of(buf_span(e->late).p, n));
	buf_consume(e->late, n);
}

/* What is held of a plain body will need credit as well. Of others it is
 * let out in larger pieces, which may be late. */
static size_t
room_down(const struct exchange *e)
{
	size_t held = e->body == NULL ? 0 : body_held(e->body);

	if (e->c->gate == NULL || link_queued(e->c->gate) > GATE_HIGH)
		return 0;
	if (e->body != NULL && body_is_bulky(e->body))
		return e->down_credit > 0 ? BODY_BULKY_STEP : 0;
	return e->down_credit > held ? e->down_credit - held : 0;
}

void
exchange_on_tail(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct exchange *e = w->data;
	struct buf *out = buf_new(body_held(e->body));
	int r = out == NULL ? ERR_NOMEM : body_idle(e->body, out);

	(void)loop;
	(void)events;
	if (r == 0)
		tell_due(e);
	if (r == 0)
		r = give(e, buf_span(out));
	buf_free(out);
	if (r != 0)
		exchange_stop(e, body_reason(e->body, r));
}

static void
wait_for_tail(struct exchange *e)
{
	ev_timer_stop(e->c->loop, &e->tail);
	if (e->doubt || (body_held(e->body) == 0 && e->due == NULL))
		return;
	ev_timer_set(&e->tail, TAIL_S, 0.);
	ev_timer_start(e->c->loop, &e->tail);
}

void
exchange_tell_head(struct exchange *e)
{
	if (body_is_coded(e->body))
		wait_for_tail(e);
	else
		tell_due(e);
}

/* REASON_NONE, or why it cannot be passed on. */
static enum reason
pass_body(struct exchange *e, struct span s)
{
	struct span lent;
	struct buf *out;
	int r;

	if (!limits_down(e->usage, s.n))
		return REASON_LIMIT_BYTES;
	if (e->body == NULL) { /* a tunnel */
		send_body(e, s);
		return REASON_NONE;
	}
	out = buf_new(s.n + body_held(e->body) + 1);
	r = out == NULL ? ERR_NOMEM : body_run(e->body, s, &lent, out);
	if (r == 0 && (r = give(e, lent)) == 0)
		r = give(e, buf_span(out));
	buf_free(out);
	if (r != 0)
		return body_reason(e->body, r);
	wait_for_tail(e);
	return REASON_NONE;
}

static int
flush_tail(struct exchange *e)
{
	struct buf *out;
	int r;

	ev_timer_stop(e->c->loop, &e->tail);
	if (e->body == NULL)
		return 0;
	out = buf_new(body_held(e->body));
	r = out == NULL ? ERR_NOMEM : body_end(e->body, out);
	if (r == 0)
		r = give(e, buf_span(out));
	buf_free(out);
	return r;
}

/* Most often all of them are clean: one look at them in a row, instead of
 * one with its beginning and end at each. */
static bool
fields_are_clean(struct scrub_set *set, const struct head *h)
{
	struct buf *all = buf_new(2 * HEAD_BYTES_MAX);
	bool good = all != NULL;

	for (size_t i = 0; good && i < h->n_fields; i++)
		good = buf_put_span(all, h->fields[i].name) == 0 &&
		       buf_put_u8(all, '\n') == 0 &&
		       buf_put_span(all, h->fields[i].value) == 0 &&
		       buf_put_u8(all, '\n') == 0;
	good = good && scrub_is_clean(set, buf_span(all));
	buf_free(all);
	return good;
}

/* Names and values both: what is not clean is not sent. */
static int
scrub_fields(struct scrub_set *set, const struct head *h, struct buf *out)
{
	int r = 0;

	if (fields_are_clean(set, h))
		return head_pack(h, out);

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

/* A final answer's body: how it will be looked into. */
static enum reason
open_body(struct exchange *e, struct scrub_set *set, const struct head *h)
{
	struct body_spec spec = {.set = set,
	    .head = h,
	    .websocket = h->status == 101,
	    .inspect = h->body != HEAD_BODY_NONE &&
		       (e->inspect || !scrub_set_empty(set)),
	    .pool = &e->c->decoding};
	int r = body_new(&spec, &e->body);

	return r == 0 ? REASON_NONE : body_reason(NULL, r);
}

/* The head, whose fields are packed, is clean. */
static void
tell_head(struct exchange *e, const struct head *h, struct buf *packed)
{
	bool final = h->status >= 200 || h->status == 101;
	struct traffic_response m;

	fill_response(e, h, packed, &m);
	if (final)
		e->status = h->status;
	if (final && (exchange_doubts(e, h) || body_is_coded(e->body))) {
		e->due = packed;
		e->due_head = m;
		wait_for_tail(e);
		return;
	}
	exchange_tell(
	    e, final ? &msg_traffic_response : &msg_traffic_interim, &m);
	e->answered = final;
	buf_free(packed);
}

/* REASON_NONE, or why the answer cannot be passed on. */
static enum reason
pass_head(struct exchange *e, struct head *h)
{
	struct scrub_set *set = leases_scrub_set(e->c->leases);
	struct buf *packed = buf_new(TRAFFIC_HEAD_MAX);
	bool final = h->status >= 200 || h->status == 101;
	enum reason why = REASON_NONE;

	if (set == NULL || packed == NULL)
		why = REASON_CREDENTIAL_ECHO;
	else if (head_strip(h) != 0)
		why = REASON_UPSTREAM_BROKEN;
	else if (scrub_fields(set, h, packed) != 0)
		why = REASON_CREDENTIAL_ECHO;
	else if (final)
		why = open_body(e, set, h);
	if (why == REASON_NONE)
		tell_head(e, h, packed);
	else
		buf_free(packed);
	return why;
}

static enum reason
broken(const struct exchange *e, const char *why)
{
	log_event(LOG_WARN, "upstream_broken", LOG_STR("host", e->host.name),
	    LOG_STR("why", why));
	return REASON_UPSTREAM_BROKEN;
}

/* The call says 101 only where it was asked for. */
static enum reason
on_upgraded(struct exchange *e, struct head *h)
{
	const char *why = NULL;
	enum reason r;

	if (ws_open_answer(h, e->ws_key, e->m.headers, &why) != 0)
		return broken(e, why);
	if ((r = pass_head(e, h)) != REASON_NONE)
		return r;
	ws_start(&e->ws_up, WS_CLIENT);
	e->ws_open = true;
	e->up_ended = e->up_sent = false;
	return REASON_NONE;
}

static enum reason
on_head(struct exchange *e, struct head *h)
{
	enum reason why = REASON_NONE;

	if (h->status == 206 && e->no_ranges)
		return broken(e, "a part that nobody asked for");
	/* A 100 goes only to who waits for it. */
	if (h->status == 101)
		why = on_upgraded(e, h);
	else if (h->status != 100 || e->m.expect != 0)
		why = pass_head(e, h);
	return why;
}

/* The end has come; it is passed on when nothing is late. */
static enum reason
on_end(struct exchange *e, const struct head *trailers)
{
	struct scrub_set *set = leases_scrub_set(e->c->leases);
	int r = flush_tail(e);

	if (r != 0)
		return body_reason(e->body, r);
	e->trailers = buf_new(TRAFFIC_TRAILERS_MAX);
	if (set == NULL || e->trailers == NULL)
		return REASON_CREDENTIAL_ECHO;
	if (trailers != NULL)
		r = scrub_fields(set, trailers, e->trailers);
	if (r == ERR_TOO_BIG)
		return broken(e, "trailers too long");
	return r == 0 ? REASON_NONE : REASON_CREDENTIAL_ECHO;
}

/* The answer is complete. True: the exchange goes on. */
static bool
after_end(struct exchange *e)
{
	if (e->up_ended && e->up_sent) {
		exchange_finish(e, "complete");
		return false;
	}
	if (e->m.way == WAY_TUNNEL || e->ws_open)
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

/* Everything else is passed on: the end too. False: the exchange is gone,
 * or has no call any more. */
static bool
pass_end(struct exchange *e)
{
	tell_due(e);
	e->down_ended = true;
	exchange_tell(e, &msg_traffic_end,
	    &(struct traffic_end){
		.stream = e->id, .trailers = buf_span(e->trailers)});
	return after_end(e) && e->call != NULL;
}

static enum reason
reason_of_answer(const struct exchange *e, int err)
{
	return err == ERR_UNAVAILABLE && e->status == 0
		   ? REASON_RETIRED_CONNECTION
		   : REASON_UPSTREAM_BROKEN;
}

/* REASON_NONE, or why it cannot be passed on. */
static enum reason
pass(struct exchange *e, const struct call_piece *p)
{
	enum reason why;

	switch (p->kind) {
	case CALL_HEAD:
		return on_head(e, p->head);
	case CALL_BYTES:
		if ((why = pass_body(e, p->bytes)) == REASON_NONE)
			call_took(e->call);
		return why;
	case CALL_END:
		return on_end(e, p->head);
	case CALL_NOTHING:
		break;
	}
	return REASON_NONE;
}

/* One piece. False: no more for now, or the exchange is gone (*gone). */
static bool
pump_once(struct exchange *e, bool *gone)
{
	struct call_piece p;
	enum reason why;
	int r;

	if ((r = call_next(e->call, room_down(e), &p)) != 0)
		why = reason_of_answer(e, r);
	else
		why = pass(e, &p);
	*gone = why != REASON_NONE;
	if (*gone)
		exchange_stop(e, why);
	if (*gone || p.kind == CALL_NOTHING)
		return false;
	exchange_progress(e);
	return true;
}

bool
exchange_pump_down(struct exchange *e)
{
	bool gone = false;

	if (e->state != OPEN)
		return e->state == DIALING;
	if (e->down_ended || e->doubt)
		return true;
	do {
		give_late(e);
		if (buf_len(e->late) > 0)
			return true; /* until there is credit */
		if (e->trailers != NULL)
			return pass_end(e);
	} while (!e->doubt && pump_once(e, &gone));
	return !gone;
}
