/* SPDX-License-Identifier: ISC */
/* What for: a request to the courier and its answer back, re-serialised.
 * Trusts: nothing of the guest's; a courier that breaks the protocol is an
 * err, and the link with it.
 * At a bound: waits for credit; never buffers a body. */
#include "egress/gate/conn.h"

/* Credit is given back in pieces of at least this. */
#define SETTLE_MIN (32 * 1024)

static bool
known_to_courier(const struct exchange *x)
{
	return (x->kind == EXCHANGE_FORWARD || x->kind == EXCHANGE_TUNNEL) &&
	       !(x->sent_all && x->got_all);
}

static const struct front *
front_of(const struct exchange *x)
{
	return x->c->front;
}

void
exchange_clear(struct exchange *x)
{
	if (x->counted)
		x->c->g->streams--;
	*x = (struct exchange){.c = x->c, .h2 = x->h2, .next = x->next};
}

void
exchange_moved(struct exchange *x)
{
	x->moved = uptime();
	conn_deadline(x->c, x->c->g->bounds.body_seconds);
}

/* ------------------------------------------------------ to the courier */

/* It takes no more of them (messages/traffic.h). */
static bool
begin(struct exchange *x, enum exchange_kind kind)
{
	struct gate *g = x->c->g;

	if (g->streams >= TRAFFIC_STREAMS_MAX)
		return false;
	g->streams++;
	x->counted = true;
	x->kind = kind;
	x->id = gate_new_id(g, x->c->slot);
	x->credit = x->granted = TRAFFIC_WINDOW;
	exchange_moved(x);
	return true;
}

static bool
says_trailers(const struct head *h)
{
	struct span list, member;

	if (!head_get(h, "te", &list))
		return false;
	while (head_list_next(&list, &member)) {
		if (span_caseeq(member, span_str("trailers")))
			return true;
	}
	return false;
}

static int
send_request(struct exchange *x, const struct head *h, const struct way *w,
    bool te, struct span headers)
{
	struct conn *c = x->c;
	bool intercepted = w->traffic == WAY_INTERCEPT;
	struct traffic_request m = {.stream = x->id,
	    .conn = intercepted ? c->id : 0,
	    .way = (uint8_t)w->traffic,
	    .body = (uint8_t)h->body,
	    .expect = h->expect,
	    .upgrade = x->upgrade,
	    .te = te,
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
pack_and_send(struct exchange *x, struct head *h, const struct way *w, bool te)
{
	struct buf *packed = buf_new(TRAFFIC_HEAD_MAX);
	enum reason why = REASON_NONE;

	if (packed == NULL || head_pack(h, packed) != 0)
		why = REASON_INTERNAL;
	else if (send_request(x, h, w, te, buf_span(packed)) != 0)
		why = REASON_NOT_READY;
	buf_free(packed);
	return why;
}

enum reason
exchange_start(struct exchange *x, struct head *h, const struct way *w)
{
	bool te = says_trailers(h);
	bool upgrade = h->upgrade; /* way.c: a WebSocket's */
	enum reason why;

	if (head_strip(h) != 0)
		return REASON_BAD_REQUEST;
	(void)head_remove(h, span_str("host")); /* it travels apart */
	if (!begin(x, EXCHANGE_FORWARD))
		return REASON_LIMIT_GUEST;
	x->to_head = span_is(h->method, "HEAD");
	x->close = h->close;
	x->upgrade = upgrade;
	x->chunked = h->body == HEAD_BODY_CHUNKED;
	why = pack_and_send(x, h, w, te);
	if (why != REASON_NONE)
		exchange_clear(x);
	return why;
}

bool
exchange_start_tunnel(struct exchange *x, const struct host *sni)
{
	struct traffic_tunnel m = {.conn = x->c->id,
	    .family = span_str(x->c->family),
	    .sni = span_str(sni->name)};

	if (!begin(x, EXCHANGE_TUNNEL))
		return false;
	x->close = true;
	m.stream = x->id;
	return gate_tell(x->c->g->courier, &msg_traffic_tunnel, &m);
}

bool
exchange_body(struct exchange *x, struct span bytes)
{
	struct traffic_bytes m = {.stream = x->id, .bytes = bytes};

	x->credit -= (uint32_t)bytes.n;
	exchange_moved(x);
	if (gate_tell(x->c->g->courier, &msg_traffic_bytes, &m))
		return true;
	front_of(x)->broken(x, false);
	return false;
}

/* Whoever asked for an upgrade has said all until it is answered: nothing
 * behind the request is read before. */
static bool
wait_for_upgrade(struct exchange *x)
{
	x->sent_all = true;
	return true;
}

static bool
send_end(struct exchange *x, const struct head *trailers)
{
	struct buf *packed = buf_new(TRAFFIC_TRAILERS_MAX);
	struct traffic_end m = {.stream = x->id};
	bool good = false;

	if (packed != NULL && head_pack(trailers, packed) == 0) {
		m.trailers = buf_span(packed);
		good = gate_tell(x->c->g->courier, &msg_traffic_end, &m);
	}
	buf_free(packed);
	return good;
}

bool
exchange_end(struct exchange *x, const struct head *trailers)
{
	if (x->upgrade)
		return wait_for_upgrade(x);
	if (!send_end(x, trailers)) {
		front_of(x)->broken(x, false);
		return false;
	}
	x->sent_all = true;
	if (x->got_all)
		front_of(x)->over(x);
	return true;
}

void
exchange_settle(struct exchange *x)
{
	uint32_t n = front_of(x)->passed(x);
	struct traffic_window m = {.stream = x->id, .credit = n};

	if (!known_to_courier(x) || x->got_all || n < SETTLE_MIN)
		return;
	x->owed -= n;
	x->granted += n;
	/* A courier that is gone takes the connection with it anyway. */
	(void)gate_tell(x->c->g->courier, &msg_traffic_window, &m);
}

void
exchange_drop(struct exchange *x)
{
	struct traffic_reset m = {
	    .stream = x->id, .reason = REASON_RETIRED_CONNECTION};

	if (known_to_courier(x))
		(void)gate_tell(x->c->g->courier, &msg_traffic_reset,
		    &m); /* or it is gone */
	buf_free(x->api_body);
	exchange_clear(x);
}

/* ------------------------------------------------------ our own answers */

/* Its connection may have waited for this end. */
static void
next_one(struct exchange *x)
{
	struct conn *c = x->c;
	struct gate *g = c->g;
	size_t slot = c->slot;

	front_of(x)->over(x);
	if (g->conns[slot] == c) /* its last bytes may have had no room */
		conn_process(c);
}

int
exchange_put_answer(struct exchange *x, struct head *h, struct span body)
{
	const struct front *f = front_of(x);
	struct head none;
	int r;

	h->length = body.n;
	h->has_length = x->to_head;
	h->body = x->to_head ? HEAD_BODY_NONE : HEAD_BODY_LENGTH;
	x->body = h->body;
	x->answered = true;
	head_init(&none);
	(void)((r = f->put_head(x, h, true)) ||
	       (r = x->to_head || body.n == 0 ? 0 : f->put_body(x, body)) ||
	       (r = f->put_end(x, &none)));
	return r;
}

void
exchange_answer(struct exchange *x, const struct problem *p, bool close)
{
	struct buf *body = buf_new(8192);
	struct head h;
	int r;

	head_init(&h);
	h.close = close;
	r = body == NULL ? ERR_NOMEM : problem_make(p, &h, body);
	if (r == 0)
		r = exchange_put_answer(x, &h, buf_span(body));
	head_clear(&h);
	buf_free(body);
	if (r != 0) {
		front_of(x)->broken(x, false);
		return;
	}
	if (!front_of(x)->flush(x))
		return;
	if (close)
		front_of(x)->early(x);
	else if (x->sent_all)
		next_one(x);
}

/* ---------------------------------------------------- from the courier */

static int
response_head(struct exchange *x, const struct traffic_response *m, bool final,
    struct head *h)
{
	int r = head_unpack(h, m->headers);

	if (r != 0)
		return r;
	h->status = m->status;
	if (!final)
		return m->status < 100 || m->status > 199 || m->status == 101
			   ? ERR_FORMAT
			   : 0;
	if (m->status == 101 && x->upgrade && m->body == BODY_NONE) {
		h->upgrade = true;
		return head_add(h, span_str("upgrade"), span_str("websocket"));
	}
	if (m->status < 200 || m->body > HEAD_BODY_CHUNKED)
		return ERR_FORMAT;
	h->body = (enum head_body)m->body;
	h->length = m->length;
	h->has_length = m->has_length && h->body == HEAD_BODY_NONE;
	h->close = x->close;
	return 0;
}

/* Write the head; an err only when the courier is to blame. */
static int
put_response(struct exchange *x, const struct traffic_response *m, bool final)
{
	struct head h;
	int r;

	head_init(&h);
	r = response_head(x, m, final, &h);
	if (r == 0)
		r = front_of(x)->put_head(x, &h, final);
	head_clear(&h);
	return r == ERR_ARGUMENT ? ERR_FORMAT : r;
}

int
exchange_interim(struct exchange *x, const struct traffic_response *m)
{
	int r;

	if (x->kind != EXCHANGE_FORWARD || x->answered)
		return ERR_FORMAT;
	if ((r = put_response(x, m, false)) != 0)
		return r;
	(void)front_of(x)->flush(x); /* our last act on it */
	return 0;
}

/* The 101 is out: both ways carry frames now, to each side's end. */
static void
become_socket(struct exchange *x)
{
	struct conn *c = x->c;

	x->kind = EXCHANGE_TUNNEL;
	x->close = true;
	x->sent_all = false;
	c->state = CONN_TUNNEL;
	if (front_of(x)->flush(x))
		conn_process(c);
}

int
exchange_response(struct exchange *x, const struct traffic_response *m)
{
	int r;

	if (x->kind != EXCHANGE_FORWARD || x->answered)
		return ERR_FORMAT;
	x->body = (enum head_body)m->body;
	if ((r = put_response(x, m, true)) != 0)
		return r;
	x->answered = true;
	x->upgrade = false;
	x->left = x->body == HEAD_BODY_LENGTH ? m->length : 0;
	exchange_moved(x);
	if (m->status == 101) {
		become_socket(x);
		return 0;
	}
	(void)front_of(x)->flush(x); /* our last act on it */
	return 0;
}

static int
put_body(struct exchange *x, struct span bytes)
{
	if (x->kind == EXCHANGE_TUNNEL)
		return front_of(x)->put_body(x, bytes);
	if (!x->answered || x->body == HEAD_BODY_NONE || x->got_all)
		return ERR_FORMAT;
	if (x->body == HEAD_BODY_LENGTH) {
		if (bytes.n > x->left)
			return ERR_FORMAT;
		x->left -= bytes.n;
	}
	return front_of(x)->put_body(x, bytes);
}

int
exchange_bytes(struct exchange *x, struct span bytes)
{
	int r;

	if (bytes.n == 0 || bytes.n > x->granted)
		return ERR_FORMAT;
	x->granted -= (uint32_t)bytes.n;
	x->owed += (uint32_t)bytes.n;
	if ((r = put_body(x, bytes)) != 0)
		return r;
	exchange_moved(x);
	if (front_of(x)->flush(x))
		exchange_settle(x);
	return 0;
}

static int
put_end(struct exchange *x, struct span trailers)
{
	struct head t;
	int r;

	if (x->left != 0)
		return ERR_FORMAT;
	head_init(&t);
	if ((r = head_unpack(&t, trailers)) == 0)
		r = front_of(x)->put_end(x, &t);
	head_clear(&t);
	return r == ERR_ARGUMENT ? ERR_FORMAT : r;
}

int
exchange_ended(struct exchange *x, struct span trailers)
{
	int r;

	if (x->got_all)
		return ERR_FORMAT;
	if (x->kind == EXCHANGE_TUNNEL) {
		x->got_all = true;
		tunnel_ended(x->c);
		return 0;
	}
	if (!x->answered)
		return ERR_FORMAT;
	if ((r = put_end(x, trailers)) != 0)
		return r;
	x->got_all = true;
	if (!front_of(x)->flush(x))
		return 0;
	if (x->sent_all)
		next_one(x);
	else
		front_of(x)->early(x);
	return 0;
}

int
exchange_window(struct exchange *x, uint32_t credit)
{
	if (credit > TRAFFIC_WINDOW || x->credit + credit > TRAFFIC_WINDOW)
		return ERR_FORMAT;
	x->credit += credit;
	exchange_moved(x);
	front_of(x)->credit(x, credit);
	return 0;
}

/* The courier has forgotten the stream: so do we, without a reset. */
static void
answer_instead(struct exchange *x, const struct problem *p)
{
	bool whole = x->sent_all, close = x->close;
	/* By whoever may take things away, not by an upstream server. */
	bool cut = p->reason == REASON_REVOKED ||
		   p->reason == REASON_TOKEN_EXPIRED ||
		   p->reason == REASON_RETIRED_CONNECTION;
	bool half = x->answered || x->kind == EXCHANGE_TUNNEL;

	x->kind = EXCHANGE_ANSWERED;
	if (half) /* half an answer: only a reset says so */
		front_of(x)->broken(x, cut);
	else
		exchange_answer(x, p, !whole || close);
}

void
exchange_refused(struct exchange *x, const struct traffic_refused *m)
{
	struct problem p = {.reason = m->reason,
	    .grant = m->grant,
	    .detail = m->detail,
	    .retry_after = m->retry_after};

	answer_instead(x, &p);
}

void
exchange_reset(struct exchange *x, unsigned reason)
{
	struct problem p = {.reason = reason};

	answer_instead(x, &p);
}
