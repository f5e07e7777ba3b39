/* SPDX-License-Identifier: ISC */
/* What for: requests and tunnels on their way. Trusts: the decision; the
 * gate and the upstream for nothing. At a bound: the exchange is refused
 * or reset; a gate that breaks the rules of flow is fatal. */
#include "egress/courier/exchange.h"

#include "egress/courier/attach.h"
#include "egress/courier/clock.h"
#include "egress/courier/conn.h"
#include "egress/courier/decision.h"
#include "egress/courier/scrub.h"
#include "egress/http/h1_write.h"
#include "lib/log.h"

#include <stdlib.h>

#define WAIT_S 10.0	   /* for a lease */
#define DIAL_S 25.0	   /* beyond the pool's own deadlines */
#define FIRST_BYTE_S 120.0 /* for the answer's head */
#define IDLE_S 300.0	   /* without a byte either way */
#define TAIL_S 0.001	   /* what may begin a secret, in an idle stream */
#define PENDING_MAX TRAFFIC_WINDOW
#define GATE_HIGH (1024 * 1024) /* the upstreams are not read beyond */
/* A head with its credential, as put together and written. */
#define HEAD_OUT_MAX (4 * KEEP_MAX + TRAFFIC_HEAD_MAX)

enum state { WAITING, DIALING, OPEN, DRAINING };

struct exchange {
	struct exchange *next;
	struct courier *c;
	enum state state;
	uint32_t id, conn;
	uint64_t began_ms;

	/* What the gate asked for; the spans of m lie in store. */
	struct buf *store;
	struct traffic_request m;
	struct buf *clean; /* the target without carriers */

	/* What was decided. */
	char jti[65], grant[GRANT_NAME_MAX], credential[GRANT_NAME_MAX];
	uint32_t version;
	int rule;
	struct host host;
	uint16_t port;
	bool hide_query, dropped, logged;
	bool inspect; /* the host gets credentials: no coded answer */
	struct usage *usage;

	struct upstream *up;
	struct scrub *scrub;
	struct ev_timer timer, tail;

	/* Gate to upstream. */
	struct buf *pending, *trailers;
	uint64_t body_left; /* BODY_LENGTH: what the gate has yet to send */
	uint32_t up_credit; /* the gate's */
	bool up_ended;	    /* the gate has sent its end */
	bool up_sent;	    /* and all of it is written */

	/* Upstream to gate. */
	uint32_t down_credit; /* ours */
	bool answered, down_ended;
	bool eof; /* the upstream sends no more */
	enum reason eof_reason;
	unsigned status;
	uint64_t bytes_up, bytes_down; /* of bodies */
	char address[65];
};

static void
exchange_free(struct exchange *e)
{
	struct courier *c = e->c;
	struct exchange **p = &c->exchanges;

	while (*p != e)
		p = &(*p)->next;
	*p = e->next;
	c->n_exchanges--;
	ev_timer_stop(c->loop, &e->timer);
	ev_timer_stop(c->loop, &e->tail);
	upstream_free(e->up);
	scrub_free(e->scrub);
	if (e->usage != NULL)
		limits_leave(e->usage);
	buf_free(e->pending);
	buf_free(e->trailers);
	buf_free(e->clean);
	buf_free(e->store);
	free(e);
}

static struct exchange *
find(const struct courier *c, uint32_t id)
{
	struct exchange *e = c->exchanges;

	while (e != NULL && e->id != id)
		e = e->next;
	return e;
}

static void
arm(struct exchange *e, double seconds)
{
	ev_timer_stop(e->c->loop, &e->timer);
	ev_timer_set(&e->timer, seconds, 0.);
	ev_timer_start(e->c->loop, &e->timer);
}

static void
progress(struct exchange *e)
{
	if (e->state >= OPEN)
		arm(e, e->answered ? IDLE_S : FIRST_BYTE_S);
}

static struct span
shown_target(const struct exchange *e)
{
	/* Decided: what is sent, less what we add. Until then: as it came,
	 * and a query of unknown content is not for the log. */
	return buf_len(e->clean) > 0 ? buf_span(e->clean) : e->m.target;
}

static struct audit_line
audit_line(const struct exchange *e, const char *event)
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

static int
audit_end(
    struct exchange *e, const char *event, const char *how, enum reason reason)
{
	struct audit_line l = audit_line(e, event);

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

/* Links that cannot take a message are broken, and their owner hears it
 * from lib/link: the result says nothing new here. */
static void
tell(const struct exchange *e, const struct msg_type *t, const void *m)
{
	if (e->c->gate == NULL)
		return;
	if (link_send(e->c->gate, t, m, -1) != 0)
		log_event(
		    LOG_WARN, "gate_message_lost", LOG_STR("type", t->name));
}

static void
keep_address(struct exchange *e)
{
	if (e->up != NULL && span_copy(upstream_address(e->up), e->address,
				 sizeof(e->address)) != 0)
		e->address[0] = '\0';
}

/* Nothing of it is written after this. detail may be NULL. */
static void
give_up(struct exchange *e, enum reason reason, const char *event,
    const char *detail, uint32_t retry_after)
{
	keep_address(e);
	upstream_free(e->up);
	e->up = NULL;
	if (audit_end(e, event, "reset", reason) != 0 && !e->answered)
		reason = REASON_AUDIT_FAILED;
	if (e->answered)
		tell(e, &msg_traffic_reset,
		    &(struct traffic_reset){
			.stream = e->id, .reason = (uint16_t)reason});
	else
		tell(e, &msg_traffic_refused,
		    &(struct traffic_refused){.stream = e->id,
			.reason = (uint16_t)reason,
			.grant = span_str(e->grant),
			.detail = span_str(detail),
			.retry_after = retry_after});
	exchange_free(e);
}

/* Before its request line: refused; after: done, with a reason. */
static void
stop(struct exchange *e, enum reason reason)
{
	give_up(e, reason, e->logged ? "done" : "refused", NULL, 0);
}

static void
finish(struct exchange *e, const char *how)
{
	struct upstream *u = e->up;

	keep_address(e);
	/* A failed log has ended everything else already. */
	if (audit_end(e, "done", how, REASON_NONE) != 0)
		log_event(LOG_WARN, "done_not_logged");
	if (u != NULL && e->up_sent && e->m.way != WAY_TUNNEL &&
	    !h1_head(upstream_parser(u))->close) {
		e->up = NULL;
		upstream_release(u);
	}
	exchange_free(e);
}

/* ---- gate to upstream ---- */

static void
give_credit(struct exchange *e, size_t n)
{
	e->up_credit += (uint32_t)n;
	tell(e, &msg_traffic_window,
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

static int
write_end(struct exchange *e)
{
	struct buf *b = buf_new(2 * H1_TRAILER_BYTES_MAX);
	struct head t;
	int r = b == NULL ? ERR_NOMEM : 0;

	head_init(&t);
	if (r == 0)
		r = head_unpack(&t, buf_span(e->trailers));
	if (r == 0)
		r = h1_put_last_chunk(&t, b);
	if (r == 0)
		r = stream_write_buf(upstream_stream(e->up), b);
	head_clear(&t);
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
static bool
pump_up(struct exchange *e)
{
	int r = 0;

	while (r == 0 && buf_len(e->pending) > 0 &&
	       stream_queued(upstream_stream(e->up)) < STREAM_HIGH) {
		struct span s = buf_span(e->pending);
		size_t n = s.n < TRAFFIC_BODY_MAX ? s.n : TRAFFIC_BODY_MAX;
		if (!limits_up(e->usage, n)) {
			stop(e, REASON_LIMIT_BYTES);
			return false;
		}
		if ((r = write_body(e, span_of(s.p, n))) != 0)
			break;
		buf_consume(e->pending, n);
		e->bytes_up += n;
		give_credit(e, n);
		progress(e);
	}
	if (r == 0)
		r = end_body(e);
	if (r != 0)
		stop(e, REASON_UPSTREAM_BROKEN);
	return r == 0;
}

/* ---- upstream to gate ---- */

static void
send_body(struct exchange *e, struct span s)
{
	e->down_credit -= (uint32_t)s.n;
	e->bytes_down += s.n;
	while (s.n > 0) {
		size_t n = s.n < TRAFFIC_BODY_MAX ? s.n : TRAFFIC_BODY_MAX;
		tell(e, &msg_traffic_bytes,
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

static void
on_tail(struct ev_loop *loop, struct ev_timer *w, int events)
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
		tell(e,
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
		tell(e, &msg_traffic_end,
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
		finish(e, "complete");
		return false;
	}
	if (e->m.way == WAY_TUNNEL)
		return true; /* the other half is still open */
	/* Answered before all was asked: the rest is thrown away. */
	keep_address(e);
	upstream_free(e->up);
	e->up = NULL;
	if (e->up_ended) {
		finish(e, "early");
		return false;
	}
	e->state = DRAINING;
	if (buf_len(e->pending) > 0) {
		give_credit(e, buf_len(e->pending));
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
		stop(e, why);
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
		stop(e, REASON_UPSTREAM_BROKEN);
		return false;
	}
	size_t used = before - in.n;
	if (event == H1_BODY && (r = pass_body(e, body)) != 0) {
		stop(e, reason_of_body(r));
		return false;
	}
	stream_consume(s, used);
	if (!on_event(e, event))
		return false;
	*gone = false;
	if (used > 0)
		progress(e);
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
			stop(e, REASON_CREDENTIAL_ECHO);
		return;
	}
	log_broken(e, "closed within an answer");
	stop(e,
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
		stop(e, REASON_LIMIT_BYTES);
		return false;
	}
	if (in.n > 0) {
		send_body(e, in);
		stream_consume(s, in.n);
		progress(e);
	}
	if (!e->eof || e->down_ended || stream_input(s).n > 0)
		return true;
	if (send_end(e, NULL) != 0) {
		stop(e, REASON_INTERNAL);
		return false;
	}
	return after_end(e);
}

static bool
pump_down(struct exchange *e)
{
	if (e->state != OPEN)
		return e->state == DIALING;
	return e->m.way == WAY_TUNNEL ? pump_tunnel(e) : pump_http(e);
}

/* ---- deciding and starting ---- */

static void
decide_exchange(struct exchange *e, struct decision *d)
{
	struct decision_conn conn, *c = NULL;

	if (conn_find(e->c, e->conn,
		e->m.way == WAY_TUNNEL ? WAY_TUNNEL : WAY_INTERCEPT, &conn))
		c = &conn;
	if (e->m.way != WAY_TUNNEL) {
		decision_make(e->c->rules, e->c->leases, &e->m, c, clock_ms(),
		    e->clean, d);
		return;
	}
	struct traffic_tunnel t = {.stream = e->id,
	    .conn = e->conn,
	    .family = e->m.family,
	    .sni = e->m.sni};
	decision_tunnel(e->c->rules, &t, c, clock_ms(), d);
}

static void
copy_name(char *out, size_t size, const char *from)
{
	if (span_copy(span_str(from), out, size) != 0)
		abort(); /* both are of the same length */
}

static void
keep_decision(struct exchange *e, const struct decision *d)
{
	e->host = d->host;
	e->port = d->port;
	e->rule = d->rule;
	e->hide_query = d->carriers.in_query;
	e->dropped = d->carriers.dropped;
	e->inspect = d->n_slots > 0;
	if (d->jti != NULL)
		copy_name(e->jti, sizeof(e->jti), d->jti);
	if (d->grant != NULL)
		copy_name(e->grant, sizeof(e->grant), d->grant->name);
	if (d->lease != NULL) {
		copy_name(e->credential, sizeof(e->credential), d->lease->name);
		e->version = d->lease->version;
	}
}

static void on_upstream(void *ctx, struct upstream *u,
    enum upstream_event event, enum reason reason);

static int
get_upstream(struct exchange *e, const struct grant *g)
{
	struct upstream_key key = {.version = e->version,
	    .port = e->port,
	    .tunnel = e->m.way == WAY_TUNNEL};

	copy_name(key.grant, sizeof(key.grant), e->grant);
	copy_name(key.credential, sizeof(key.credential), e->credential);
	copy_name(key.host, sizeof(key.host), e->host.name);
	return upstream_get(
	    e->c->pool, &key, g->ca_pem, on_upstream, e, &e->up);
}

static int
log_request(struct exchange *e)
{
	struct audit_line l = audit_line(e, "request");
	int r;

	l.allow = true;
	if ((r = audit_put(e->c->audit, &l)) == 0)
		e->logged = true;
	return r;
}

static enum reason
reason_of_upstream(int err)
{
	return err == ERR_UNAVAILABLE ? REASON_NOT_READY : REASON_INTERNAL;
}

/* Allowed: count it, log it, find a way. */
static void
launch(struct exchange *e, const struct decision *d)
{
	uint32_t retry_after = 0;
	enum reason why = limits_enter(
	    e->c->limits, d->grant, clock_ms(), &e->usage, &retry_after);
	int r;

	if (why != REASON_NONE) {
		give_up(e, why, "refused", NULL, retry_after);
		return;
	}
	if (log_request(e) != 0) {
		stop(e, REASON_AUDIT_FAILED);
		return;
	}
	e->state = DIALING;
	arm(e, DIAL_S);
	if ((r = get_upstream(e, d->grant)) != 0)
		stop(e, reason_of_upstream(r));
	else if (upstream_open(e->up))
		on_upstream(e, e->up, UPSTREAM_OPEN, REASON_NONE);
}

static void
try_decide(struct exchange *e)
{
	struct decision d;

	decide_exchange(e, &d);
	if (d.wait && d.reason == REASON_NONE) {
		if (!ev_is_active(&e->timer))
			arm(e, WAIT_S);
		return;
	}
	keep_decision(e, &d);
	if (d.reason == REASON_NONE && audit_failed(e->c->audit))
		d.reason = REASON_AUDIT_FAILED;
	if (d.reason != REASON_NONE)
		give_up(e, d.reason, "refused", d.detail, 0);
	else
		launch(e, &d);
}

/* Between the decision and now, anything may have changed. */
static bool
still_as_decided(const struct exchange *e, const struct decision *d)
{
	return strcmp(d->grant->name, e->grant) == 0 &&
	       strcmp(d->lease == NULL ? "" : d->lease->name, e->credential) ==
		   0 &&
	       (d->lease == NULL ? 0 : d->lease->version) == e->version;
}

static int
write_head(struct exchange *e, const struct decision *d)
{
	struct buf *out = buf_new_locked(HEAD_OUT_MAX);
	struct attach a = {.method = e->m.method,
	    .target = buf_span(e->clean),
	    .host = e->host.name,
	    .port = e->port,
	    .headers = e->m.headers,
	    .body = e->m.body,
	    .length = e->m.length,
	    .expect = e->m.expect != 0,
	    .slots = d->slots,
	    .n_slots = d->n_slots,
	    .slot = d->slot,
	    .secret = d->lease == NULL ? NULL : d->lease->secret};
	int r = out == NULL ? ERR_NOMEM : attach_head(&a, out);

	h1_start(upstream_parser(e->up), span_is(e->m.method, "HEAD"));
	if (r == 0)
		r = stream_write_buf(upstream_stream(e->up), out);
	buf_free(out);
	return r;
}

static void
open_up(struct exchange *e)
{
	e->state = OPEN;
	progress(e);
	if (pump_up(e) && e->m.way == WAY_TUNNEL)
		(void)pump_down(e); /* nothing is done with e below */
}

/* The connection stands: decide once more, then the first byte goes out. */
static void
start_sending(struct exchange *e)
{
	struct decision d;
	int r = 0;

	decide_exchange(e, &d);
	if (d.reason == REASON_NONE && d.wait)
		return; /* the lease ran out meanwhile */
	if (d.reason != REASON_NONE) {
		stop(e, d.reason);
		return;
	}
	if (!still_as_decided(e, &d)) {
		stop(e, REASON_RETIRED_CONNECTION);
		return;
	}
	if (audit_failed(e->c->audit)) {
		stop(e, REASON_AUDIT_FAILED);
		return;
	}
	if (e->m.way != WAY_TUNNEL && (r = write_head(e, &d)) != 0)
		stop(e,
		    r == ERR_ARGUMENT ? REASON_NO_CREDENTIAL : REASON_INTERNAL);
	else
		open_up(e);
}

static void
on_gone(struct exchange *e, enum reason reason)
{
	/* It may have answered before it went. */
	if (e->state == OPEN && !pump_down(e))
		return;
	if (e->state == OPEN && !e->answered &&
	    reason == REASON_UPSTREAM_BROKEN)
		reason = REASON_RETIRED_CONNECTION;
	stop(e, reason);
}

static void
on_upstream(void *ctx, struct upstream *u, enum upstream_event event,
    enum reason reason)
{
	struct exchange *e = ctx;

	(void)u;
	switch (event) {
	case UPSTREAM_OPEN:
		start_sending(e);
		break;
	case UPSTREAM_EOF:
		e->eof = true;
		e->eof_reason = reason;
		(void)pump_down(e); /* nothing is done with e below */
		break;
	case UPSTREAM_INPUT:
		(void)pump_down(e); /* the same */
		break;
	case UPSTREAM_DRAINED:
		if (e->state == OPEN)
			(void)pump_up(e); /* the same */
		break;
	case UPSTREAM_BROKEN:
		on_gone(e, reason);
		break;
	}
}

/* ---- what the gate asks for ---- */

static void
on_timer(struct ev_loop *loop, struct ev_timer *w, int events)
{
	static const enum reason reasons[] = {[WAITING] = REASON_NO_CREDENTIAL,
	    [DIALING] = REASON_CONNECT_FAILED,
	    [OPEN] = REASON_UPSTREAM_TIMEOUT,
	    [DRAINING] = REASON_UPSTREAM_TIMEOUT};
	struct exchange *e = w->data;

	(void)loop;
	(void)events;
	stop(e, reasons[e->state]);
}

static int
keep_span(struct buf *store, struct span *s)
{
	size_t at = buf_len(store);
	int r = buf_put_span(store, *s);

	/* The buffer does not move: it was made as large as it will be. */
	if (r == 0 && s->n > 0)
		s->p = buf_span(store).p + at;
	return r;
}

static int
keep_request(struct exchange *e, const struct traffic_request *m)
{
	struct span *const spans[] = {&e->m.family, &e->m.sni, &e->m.host,
	    &e->m.grant, &e->m.header_host, &e->m.method, &e->m.target,
	    &e->m.headers};
	size_t all = 1;
	uint8_t *room;
	int r = 0;

	e->m = *m;
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
		all += spans[i]->n;
	if ((e->store = buf_new(all)) == NULL)
		return ERR_NOMEM;
	r = buf_reserve(e->store, all, &room);
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]) && r == 0; i++)
		r = keep_span(e->store, spans[i]);
	return r;
}

static int
make_exchange(struct courier *c, const struct traffic_request *m, uint32_t id,
    struct exchange **out)
{
	struct exchange *e = calloc(1, sizeof(*e));
	int r;

	if (e == NULL)
		return ERR_NOMEM;
	e->c = c;
	e->id = id;
	e->conn = m->conn;
	e->rule = -1;
	e->began_ms = clock_ms();
	e->up_credit = TRAFFIC_WINDOW;
	e->down_credit = TRAFFIC_WINDOW;
	e->body_left = m->length;
	e->up_ended = m->way != WAY_TUNNEL && m->body == BODY_NONE;
	ev_timer_init(&e->timer, on_timer, 0., 0.);
	ev_timer_init(&e->tail, on_tail, TAIL_S, 0.);
	e->timer.data = e;
	e->tail.data = e;
	e->next = c->exchanges;
	c->exchanges = e;
	c->n_exchanges++;
	e->pending = buf_new(PENDING_MAX);
	e->trailers = buf_new(2 * H1_TRAILER_BYTES_MAX);
	e->clean = buf_new(HEAD_TARGET_MAX);
	r = e->pending == NULL || e->trailers == NULL || e->clean == NULL
		? ERR_NOMEM
		: keep_request(e, m);
	if (r != 0) {
		exchange_free(e);
		return r;
	}
	*out = e;
	return 0;
}

static int
begin(struct courier *c, const struct traffic_request *m, uint32_t id)
{
	struct exchange *e = NULL;
	int r;

	if (id == 0 || find(c, id) != NULL ||
	    c->n_exchanges >= TRAFFIC_STREAMS_MAX)
		return ERR_FORMAT;
	if ((r = make_exchange(c, m, id, &e)) != 0)
		return r;
	try_decide(e);
	return 0;
}

int
exchange_request(struct courier *c, const struct traffic_request *m)
{
	if (m->way < WAY_INTERCEPT || m->way > WAY_BASE ||
	    m->body > BODY_CHUNKED || m->expect > 1 ||
	    (m->body != BODY_LENGTH && m->length != 0))
		return ERR_FORMAT;
	return begin(c, m, m->stream);
}

int
exchange_tunnel(struct courier *c, const struct traffic_tunnel *m)
{
	struct decision_conn conn;
	struct traffic_request q = {.stream = m->stream,
	    .conn = m->conn,
	    .way = WAY_TUNNEL,
	    .family = m->family,
	    .sni = m->sni,
	    .method = span_str("CONNECT")};

	if (!conn_find(c, m->conn, WAY_TUNNEL, &conn))
		return ERR_FORMAT;
	q.host = conn.host;
	q.port = conn.port;
	return begin(c, &q, m->stream);
}

int
exchange_bytes(struct courier *c, const struct traffic_bytes *m)
{
	struct exchange *e = find(c, m->stream);
	size_t n = m->bytes.n;
	int r;

	if (n == 0)
		return ERR_FORMAT;
	if (e == NULL)
		return 0; /* crossed our reset */
	if (e->up_ended || n > e->up_credit ||
	    (e->m.body == BODY_LENGTH && n > e->body_left))
		return ERR_FORMAT;
	e->up_credit -= (uint32_t)n;
	e->body_left -= e->m.body == BODY_LENGTH ? n : 0;
	if (e->state == DRAINING) {
		give_credit(e, n);
		return 0;
	}
	if ((r = buf_put_span(e->pending, m->bytes)) != 0)
		return r;
	if (e->state == OPEN)
		(void)pump_up(e); /* nothing is done with e below */
	return 0;
}

int
exchange_end(struct courier *c, const struct traffic_end *m)
{
	struct exchange *e = find(c, m->stream);
	int r;

	if (e == NULL)
		return 0; /* crossed our end */
	if (e->m.way != WAY_TUNNEL && e->m.body == BODY_NONE)
		return m->trailers.n == 0 ? 0 : ERR_FORMAT;
	if (e->up_ended || (e->m.body == BODY_LENGTH && e->body_left != 0) ||
	    (e->m.body != BODY_CHUNKED && m->trailers.n != 0))
		return ERR_FORMAT;
	if ((r = buf_put_span(e->trailers, m->trailers)) != 0)
		return r;
	e->up_ended = true;
	if (e->state == DRAINING)
		finish(e, "early");
	else if (e->state == OPEN && pump_up(e) && e->down_ended)
		finish(e, "complete");
	return 0;
}

int
exchange_window(struct courier *c, const struct traffic_window *m)
{
	struct exchange *e = find(c, m->stream);

	if (e == NULL)
		return 0; /* crossed our end */
	if (m->credit == 0 || m->credit > TRAFFIC_WINDOW - e->down_credit)
		return ERR_FORMAT;
	e->down_credit += m->credit;
	(void)pump_down(e); /* nothing is done with e below */
	return 0;
}

void
exchange_reset(struct courier *c, const struct traffic_reset *m)
{
	struct exchange *e = find(c, m->stream);

	if (e == NULL)
		return;
	keep_address(e);
	if (audit_end(e, e->logged ? "done" : "refused", "guest-reset",
		REASON_NONE) != 0)
		log_event(LOG_WARN, "done_not_logged");
	exchange_free(e);
}

/* ---- what others change ---- */

void
exchange_retry(struct courier *c)
{
	for (struct exchange *e = c->exchanges, *next; e != NULL; e = next) {
		next = e->next;
		if (e->state == WAITING)
			try_decide(e);
		else if (e->state == DIALING && e->up != NULL &&
			 upstream_open(e->up))
			start_sending(e);
	}
}

/* What was allowed may not be any more; a credential that cannot be asked
 * for again just now is no reason to cut. */
static enum reason
verdict(struct exchange *e)
{
	struct decision d;
	enum reason why = rules_check_cut(e->c->rules, e->grant, e->credential);

	if (why != REASON_NONE || e->state == WAITING)
		return why;
	decide_exchange(e, &d);
	if (d.wait || d.reason == REASON_NO_CREDENTIAL ||
	    d.reason == REASON_NOT_READY)
		return REASON_NONE;
	if (d.reason == REASON_NONE && strcmp(d.grant->name, e->grant) == 0)
		return REASON_NONE;
	return d.reason == REASON_TOKEN_EXPIRED ? d.reason : REASON_REVOKED;
}

static void
cut(struct exchange *e, enum reason why)
{
	give_up(e, why, e->logged ? "cut" : "refused", NULL, 0);
}

void
exchange_enforce(struct courier *c)
{
	for (struct exchange *e = c->exchanges, *next; e != NULL; e = next) {
		next = e->next;
		enum reason why = verdict(e);
		if (why != REASON_NONE)
			cut(e, why);
	}
	/* Those that wait are decided in full by the new rules. */
	exchange_retry(c);
}

void
exchange_credential_changed(
    struct courier *c, struct span credential, enum reason reason)
{
	for (struct exchange *e = c->exchanges, *next; e != NULL; e = next) {
		next = e->next;
		if (e->logged && span_is(credential, e->credential))
			cut(e, reason);
	}
}

void
exchange_end_all(struct courier *c, enum reason reason)
{
	for (struct exchange *e = c->exchanges, *next; e != NULL; e = next) {
		next = e->next;
		cut(e, reason);
	}
}

void
exchange_gate_drained(struct courier *c)
{
	for (struct exchange *e = c->exchanges, *next; e != NULL; e = next) {
		next = e->next;
		(void)pump_down(e); /* nothing is done with e below */
	}
}
