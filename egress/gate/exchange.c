/* SPDX-License-Identifier: ISC */
/* What for: a request to the courier and its answer back, re-serialised.
 * Trusts: nothing of the guest's; a courier that breaks the protocol is an
 * err, and the link with it.
 * At a bound: waits for credit; never buffers a body. */
#include "egress/gate/conn.h"

#include "egress/http/h1_write.h"

/* Credit is given back in pieces of at least this. */
#define SETTLE_MIN (32 * 1024)

static bool
known_to_courier(const struct exchange *x)
{
	return (x->kind == EXCHANGE_FORWARD || x->kind == EXCHANGE_TUNNEL) &&
	       !(x->sent_all && x->got_all);
}

/* ------------------------------------------------------ to the courier */

static int
send_request(struct conn *c, const struct head *h, const struct way *w,
    struct span headers)
{
	bool intercepted = w->traffic == WAY_INTERCEPT;
	struct traffic_request m = {.stream = c->x.id,
	    .conn = intercepted ? c->id : 0,
	    .way = (uint8_t)w->traffic,
	    .body = (uint8_t)h->body,
	    .expect = h->expect,
	    .upgrade = c->x.upgrade,
	    .length = h->body == HEAD_BODY_LENGTH ? h->length : 0,
	    .family = span_str(c->family),
	    .sni = intercepted ? span_str(c->host.name) : (struct span){0},
	    .host = span_str(w->host.name),
	    .port = w->port,
	    .grant = w->grant,
	    .header_host = w->header_host,
	    .method = h->method,
	    .target = w->target,
	    .headers = headers};

	return gate_tell(c->g->courier, &msg_traffic_request, &m)
		   ? 0
		   : ERR_UNAVAILABLE;
}

static enum reason
pack_and_send(struct conn *c, struct head *h, const struct way *w)
{
	struct buf *packed = buf_new(TRAFFIC_HEAD_MAX);
	enum reason why = REASON_NONE;

	if (packed == NULL || head_pack(h, packed) != 0)
		why = REASON_INTERNAL;
	else if (send_request(c, h, w, buf_span(packed)) != 0)
		why = REASON_NOT_READY;
	buf_free(packed);
	return why;
}

enum reason
exchange_start(struct conn *c, struct head *h, const struct way *w)
{
	enum reason why;
	bool upgrade = h->upgrade; /* way.c: a WebSocket's */

	if (head_strip(h) != 0)
		return REASON_BAD_REQUEST;
	(void)head_remove(h, span_str("host")); /* it travels apart */
	c->x = (struct exchange){.kind = EXCHANGE_FORWARD,
	    .id = gate_new_id(c->g, c->slot),
	    .to_head = span_is(h->method, "HEAD"),
	    .close = h->close,
	    .upgrade = upgrade,
	    .credit = TRAFFIC_WINDOW,
	    .granted = TRAFFIC_WINDOW};
	why = pack_and_send(c, h, w);
	if (why != REASON_NONE)
		c->x = (struct exchange){0};
	conn_deadline(c, c->g->bounds.body_seconds);
	return why;
}

bool
exchange_body(struct conn *c, struct span bytes)
{
	struct traffic_bytes m = {.stream = c->x.id, .bytes = bytes};

	c->x.credit -= (uint32_t)bytes.n;
	if (gate_tell(c->g->courier, &msg_traffic_bytes, &m))
		return true;
	conn_free(c);
	return false;
}

/* Whoever asked for an upgrade has said all until it is answered: nothing
 * behind the request is read before. */
static bool
wait_for_upgrade(struct conn *c)
{
	c->x.sent_all = true;
	return true;
}

bool
exchange_end(struct conn *c, const struct head *trailers)
{
	if (c->x.upgrade)
		return wait_for_upgrade(c);
	struct buf *packed = buf_new(16 * 1024);
	struct traffic_end m = {.stream = c->x.id};
	bool good = false;

	if (packed != NULL && head_pack(trailers, packed) == 0) {
		m.trailers = buf_span(packed);
		good = gate_tell(c->g->courier, &msg_traffic_end, &m);
	}
	buf_free(packed);
	c->x.sent_all = good;
	if (!good) {
		conn_free(c);
		return false;
	}
	if (c->x.got_all)
		exchange_over(c);
	return true;
}

void
exchange_settle(struct conn *c)
{
	struct exchange *x = &c->x;
	struct traffic_window m = {.stream = x->id, .credit = x->owed};

	if (!known_to_courier(x) || x->got_all || x->owed < SETTLE_MIN ||
	    stream_queued(c->s) >= STREAM_HIGH)
		return;
	x->owed = 0;
	x->granted += m.credit;
	/* A courier that is gone takes the connection with it anyway. */
	(void)gate_tell(c->g->courier, &msg_traffic_window, &m);
}

void
exchange_drop(struct conn *c)
{
	struct traffic_reset m = {
	    .stream = c->x.id, .reason = REASON_RETIRED_CONNECTION};

	if (known_to_courier(&c->x))
		(void)gate_tell(
		    c->g->courier, &msg_traffic_reset, &m); /* or it is gone */
	buf_free(c->x.api_body);
	c->x = (struct exchange){0};
}

void
exchange_over(struct conn *c)
{
	bool close = c->x.close;

	exchange_drop(c);
	if (close) {
		conn_finish(c);
		return;
	}
	h1_start(c->h1, false);
	conn_deadline(c, c->g->bounds.idle_seconds);
}

/* ---------------------------------------------------- from the courier */

static int
response_head(struct conn *c, const struct traffic_response *m, bool interim,
    struct head *h)
{
	int r = head_unpack(h, m->headers);

	if (r != 0)
		return r;
	h->status = m->status;
	if (interim)
		return m->status < 100 || m->status > 199 || m->status == 101
			   ? ERR_FORMAT
			   : 0;
	if (m->status == 101 && c->x.upgrade && m->body == BODY_NONE) {
		h->upgrade = true;
		return head_add(h, span_str("upgrade"), span_str("websocket"));
	}
	if (m->status < 200 || m->body > HEAD_BODY_CHUNKED)
		return ERR_FORMAT;
	h->body = (enum head_body)m->body;
	h->length = m->length;
	h->has_length = m->has_length && h->body == HEAD_BODY_NONE;
	h->close = c->x.close;
	return 0;
}

/* Write the head; an err only when the courier is to blame. */
static int
put_response(struct conn *c, const struct traffic_response *m, bool interim)
{
	struct head h;
	int r;

	head_init(&h);
	r = response_head(c, m, interim, &h);
	if (r == 0)
		r = h1_put_head(&h, interim || c->x.to_head, c->out);
	head_clear(&h);
	return r == ERR_ARGUMENT ? ERR_FORMAT : r;
}

int
exchange_interim(struct conn *c, const struct traffic_response *m)
{
	int r;

	if (c->x.kind != EXCHANGE_FORWARD || c->x.answered)
		return ERR_FORMAT;
	if ((r = put_response(c, m, true)) != 0)
		return r;
	(void)conn_write_out(c); /* our last act on it */
	return 0;
}

/* The 101 is out: both ways carry frames now, to each side's end. */
static void
become_socket(struct conn *c)
{
	c->x.kind = EXCHANGE_TUNNEL;
	c->x.close = true;
	c->x.sent_all = false;
	c->state = CONN_TUNNEL;
	conn_deadline(c, c->g->bounds.body_seconds);
	if (conn_write_out(c))
		conn_process(c);
}

int
exchange_response(struct conn *c, const struct traffic_response *m)
{
	struct exchange *x = &c->x;
	int r;

	if (x->kind != EXCHANGE_FORWARD || x->answered)
		return ERR_FORMAT;
	if ((r = put_response(c, m, false)) != 0)
		return r;
	x->answered = true;
	x->upgrade = false;
	if (m->status == 101) {
		become_socket(c);
		return 0;
	}
	x->body = (enum head_body)m->body;
	x->left = x->body == HEAD_BODY_LENGTH ? m->length : 0;
	conn_deadline(c, c->g->bounds.body_seconds);
	(void)conn_write_out(c); /* our last act on it */
	return 0;
}

static int
put_body(struct conn *c, struct span bytes)
{
	struct exchange *x = &c->x;

	if (!x->answered || x->body == HEAD_BODY_NONE || x->got_all)
		return ERR_FORMAT;
	if (x->body == HEAD_BODY_CHUNKED)
		return h1_put_chunk(bytes, c->out);
	if (bytes.n > x->left)
		return ERR_FORMAT;
	x->left -= bytes.n;
	return buf_put_span(c->out, bytes);
}

int
exchange_bytes(struct conn *c, struct span bytes)
{
	struct exchange *x = &c->x;
	int r;

	if (bytes.n == 0 || bytes.n > x->granted)
		return ERR_FORMAT;
	x->granted -= (uint32_t)bytes.n;
	x->owed += (uint32_t)bytes.n;
	if (x->kind == EXCHANGE_TUNNEL)
		r = buf_put_span(c->out, bytes);
	else
		r = put_body(c, bytes);
	if (r != 0)
		return r;
	conn_deadline(c, c->g->bounds.body_seconds);
	if (conn_write_out(c))
		exchange_settle(c);
	return 0;
}

static int
put_end(struct conn *c, struct span trailers)
{
	struct head t;
	int r;

	if (c->x.body != HEAD_BODY_CHUNKED)
		return c->x.left == 0 ? 0 : ERR_FORMAT;
	head_init(&t);
	if ((r = head_unpack(&t, trailers)) == 0)
		r = h1_put_last_chunk(&t, c->out);
	head_clear(&t);
	return r == ERR_ARGUMENT ? ERR_FORMAT : r;
}

int
exchange_ended(struct conn *c, struct span trailers)
{
	int r;

	if (c->x.got_all)
		return ERR_FORMAT;
	if (c->x.kind == EXCHANGE_TUNNEL) {
		c->x.got_all = true;
		tunnel_ended(c);
		return 0;
	}
	if (!c->x.answered)
		return ERR_FORMAT;
	if ((r = put_end(c, trailers)) != 0)
		return r;
	c->x.got_all = true;
	if (!conn_write_out(c))
		return 0;
	if (!c->x.sent_all) {
		conn_finish(c); /* answered early: the rest is not wanted */
		return 0;
	}
	exchange_over(c);
	conn_process(c);
	return 0;
}

int
exchange_window(struct conn *c, uint32_t credit)
{
	if (credit > TRAFFIC_WINDOW || c->x.credit + credit > TRAFFIC_WINDOW)
		return ERR_FORMAT;
	c->x.credit += credit;
	conn_deadline(c, c->g->bounds.body_seconds);
	conn_process(c);
	return 0;
}

/* The courier has forgotten the stream: so do we, without a reset. */
static void
answer_instead(struct conn *c, const struct problem *p)
{
	bool whole = c->x.sent_all, close = c->x.close;

	if (c->x.answered || c->x.kind == EXCHANGE_TUNNEL) {
		c->x.kind = EXCHANGE_ANSWERED;
		conn_free(c); /* half an answer: only a reset says so */
		return;
	}
	c->x.kind = EXCHANGE_ANSWERED;
	conn_answer(c, p, !whole || close);
}

void
exchange_refused(struct conn *c, const struct traffic_refused *m)
{
	struct problem p = {.reason = m->reason,
	    .grant = m->grant,
	    .detail = m->detail,
	    .retry_after = m->retry_after};

	answer_instead(c, &p);
}

void
exchange_reset(struct conn *c, unsigned reason)
{
	struct problem p = {.reason = reason};

	answer_instead(c, &p);
}
