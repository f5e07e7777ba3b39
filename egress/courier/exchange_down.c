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
	upstream_free(e->up);
	e->up = NULL;
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

/* One event of the answer. False: the exchange is over or drains. */
static bool
on_event(struct exchange *e, enum h1_event event)
{
	struct h1 *p = upstream_parser(e->up);
	enum reason why = REASON_NONE;

	if (event == H1_HEAD)
		why = on_head(e, h1_head(p));
	if (event == H1_END) {
		if (send_end(e, h1_trailers(p)) == 0) {
			after_end(e);
			return false;
		}
		why = REASON_CREDENTIAL_ECHO;
	}
	if (why != REASON_NONE) {
		exchange_stop(e, why);
		return false;
	}
	return true;
}

static void
log_broken(const struct exchange *e, const char *why)
{
	log_event(LOG_WARN, "upstream_broken", LOG_STR("host", e->host.name),
	    LOG_STR("why", why));
}

/* One event of what the upstream sent. False: nothing more for now, or the
 * exchange is gone (*gone). */
static bool
pump_once(struct exchange *e, bool *gone)
{
	struct stream *s = upstream_stream(e->up);
	struct h1 *p = upstream_parser(e->up);
	struct span in = stream_input(s), body = {0};
	enum h1_event event;
	size_t room = room_down(e);
	int r;

	if (e->answered && in.n > room)
		in.n = room;
	size_t before = in.n;
	*gone = true;
	if (h1_next(p, &in, &event, &body) != 0) {
		log_broken(e, h1_why(p));
		exchange_stop(e, REASON_UPSTREAM_BROKEN);
		return false;
	}
	size_t used = before - in.n;
	if (event == H1_BODY && (r = pass_body(e, body)) != 0) {
		exchange_stop(e, reason_of_body(r));
		return false;
	}
	stream_consume(s, used);
	if (!on_event(e, event))
		return false;
	*gone = false;
	if (used > 0)
		exchange_progress(e);
	return event != H1_MORE || used > 0;
}

/* The far end sends no more, and all it sent was read. */
static void
on_http_eof(struct exchange *e)
{
	enum h1_event event = H1_MORE;

	if (h1_eof(upstream_parser(e->up), &event) == 0 && event == H1_END &&
	    e->eof_reason == REASON_NONE) {
		h1_head(upstream_parser(e->up))->close = true;
		if (send_end(e, NULL) == 0)
			after_end(e);
		else
			exchange_stop(e, REASON_CREDENTIAL_ECHO);
		return;
	}
	log_broken(e, "closed within an answer");
	exchange_stop(e,
	    e->answered ? REASON_UPSTREAM_BROKEN : REASON_RETIRED_CONNECTION);
}

/* False: the exchange is gone, or has no upstream any more. */
static bool
pump_http(struct exchange *e)
{
	bool gone = false;

	while (pump_once(e, &gone))
		;
	if (gone)
		return false;
	if (!e->eof || stream_input(upstream_stream(e->up)).n > 0)
		return true;
	on_http_eof(e);
	return false;
}

static bool
pump_tunnel(struct exchange *e)
{
	struct stream *s = upstream_stream(e->up);
	struct span in = stream_input(s);
	size_t room = room_down(e);

	in.n = in.n < room ? in.n : room;
	if (in.n > 0 && !limits_down(e->usage, in.n)) {
		exchange_stop(e, REASON_LIMIT_BYTES);
		return false;
	}
	if (in.n > 0) {
		send_body(e, in);
		stream_consume(s, in.n);
		exchange_progress(e);
	}
	if (!e->eof || e->down_ended || stream_input(s).n > 0)
		return true;
	if (send_end(e, NULL) != 0) {
		exchange_stop(e, REASON_INTERNAL);
		return false;
	}
	return after_end(e);
}

bool
exchange_pump_down(struct exchange *e)
{
	if (e->state != OPEN)
		return e->state == DIALING;
	return e->m.way == WAY_TUNNEL ? pump_tunnel(e) : pump_http(e);
}
