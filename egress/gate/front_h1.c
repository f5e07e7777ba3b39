/* SPDX-License-Identifier: ISC */
/* What for: HTTP/1.1 with the guest: one exchange at a time (front.h), and
 * the bytes of tunnels, which look the same from here.
 * Trusts: nothing that the guest sends.
 * At a bound: waits for credit, or for the guest to read. */
#include "egress/gate/conn.h"

#include "egress/gate/guest_api.h"
#include "egress/http/h1_write.h"

#include <stdlib.h>

#define LONG 4096 /* bytes of a body that are not worth a copy */

/* ------------------------------------------------------------- requests */

static void
on_bad_http(struct conn *c)
{
	struct problem p = {
	    .reason = REASON_BAD_REQUEST, .detail = span_str(h1_why(c->h1))};

	if (c->x.kind != EXCHANGE_NONE) {
		conn_note(c, REASON_BAD_REQUEST, NULL, NULL, 0);
		conn_free(c);
		return;
	}
	conn_note(c, REASON_BAD_REQUEST, NULL, NULL, 0);
	conn_refuse(&c->x, &p, NULL);
}

static bool
on_body(struct conn *c, struct span body)
{
	switch (c->x.kind) {
	case EXCHANGE_FORWARD:
		return exchange_body(&c->x, body);
	case EXCHANGE_API:
		return guest_api_body(c, body);
	case EXCHANGE_NONE:
	case EXCHANGE_TUNNEL:
	case EXCHANGE_ANSWERED:
		break;
	}
	abort(); /* a refused request with a body was closed */
}

static bool
on_end(struct conn *c)
{
	switch (c->x.kind) {
	case EXCHANGE_FORWARD:
		return exchange_end(&c->x, h1_trailers(c->h1));
	case EXCHANGE_API:
		return guest_api_end(c);
	case EXCHANGE_ANSWERED:
		front_h1.over(&c->x);
		return true;
	case EXCHANGE_NONE:
	case EXCHANGE_TUNNEL:
		break;
	}
	abort();
}

/* May this connection's next bytes be read now? */
static bool
may_read(const struct conn *c)
{
	if (c->x.sent_all)
		return false; /* one at a time */
	if (c->x.kind == EXCHANGE_NONE && stream_queued(c->s) >= STREAM_HIGH)
		return false; /* who does not read asks for no more */
	if (c->x.kind == EXCHANGE_NONE && gate_starting(c->g))
		return false;
	/* Without credit too: the end of a body costs none. */
	return (c->x.kind != EXCHANGE_NONE && c->x.kind != EXCHANGE_FORWARD) ||
	       !gate_congested(c->g);
}

/* Nothing more will come. */
static void
on_drained_dry(struct conn *c)
{
	if (c->x.kind == EXCHANGE_NONE && h1_idle(c->h1))
		conn_finish(c);
	else if (!c->x.sent_all)
		conn_free(c); /* in the middle of a request */
}

static bool
http_event(struct conn *c, enum h1_event e, struct span body, size_t used)
{
	bool live = true;

	if (e == H1_BODY)
		live = on_body(c, body);
	if (!live)
		return false;
	stream_consume(c->s, used);
	if (e == H1_HEAD) {
		size_t slot = c->slot;
		struct gate *g = c->g;
		conn_request(&c->x, h1_head(c->h1));
		return g->conns[slot] == c;
	}
	return e == H1_END ? on_end(c) : true;
}

/* False: no more can be done with it now. */
static bool
not_h2c(struct conn *c, struct span in)
{
	int r = h2c_look(in);

	if (r == ERR_NOT_FOUND || (r == ERR_TRUNCATED && c->eof))
		return true;
	if (r == 0)
		conn_refuse_h2c(c);
	return false;
}

static bool
http_step(struct conn *c)
{
	struct span in = stream_input(c->s), body;
	bool fresh = c->x.kind == EXCHANGE_NONE && h1_idle(c->h1);
	enum h1_event e;
	size_t had;

	if (!may_read(c))
		return false;
	if (c->x.kind == EXCHANGE_FORWARD && in.n > c->x.credit)
		in.n = c->x.credit;
	if (in.n > 0 && fresh)
		conn_deadline(c, c->g->bounds.head_seconds);
	if (fresh && !not_h2c(c, in))
		return false;
	had = in.n;
	if (h1_next(c->h1, &in, &e, &body) != 0) {
		on_bad_http(c);
		return false;
	}
	if (e == H1_MORE && in.n == had) {
		if (c->eof && stream_input(c->s).n == 0)
			on_drained_dry(c);
		return false;
	}
	return http_event(c, e, body, had - in.n);
}

static struct exchange *
find_it(struct conn *c, uint32_t id)
{
	return c->x.id == id ? &c->x : NULL;
}

static void
drop_it(struct conn *c)
{
	exchange_drop(&c->x);
}

static void
on_drained(struct conn *c)
{
	exchange_settle(&c->x);
	conn_process(c);
}

/* Deadlines do for one. */
static void
on_tick(struct conn *c)
{
	(void)c;
}

/* -------------------------------------------------------------- answers */

static int
put_head(struct exchange *x, const struct head *h, bool final)
{
	return h1_put_head(h, !final || x->to_head, x->c->out);
}

static int
put_body(struct exchange *x, struct span bytes)
{
	if (x->kind != EXCHANGE_TUNNEL && x->body == HEAD_BODY_CHUNKED)
		return h1_put_chunk(bytes, x->c->out);
	if (bytes.n < LONG)
		return buf_put_span(x->c->out, bytes);
	conn_write_long(x->c, bytes);
	return 0;
}

static int
put_end(struct exchange *x, const struct head *trailers)
{
	return x->body == HEAD_BODY_CHUNKED
		   ? h1_put_last_chunk(trailers, x->c->out)
		   : 0;
}

static bool
flush(struct exchange *x)
{
	return x->kind == EXCHANGE_FORWARD ? conn_write_soon(x->c)
					   : conn_write_out(x->c);
}

static uint32_t
passed(const struct exchange *x)
{
	return stream_queued(x->c->s) >= STREAM_HIGH ? 0 : x->owed;
}

static void
on_credit(struct exchange *x, uint32_t n)
{
	(void)n;
	conn_process(x->c);
}

static void
over(struct exchange *x)
{
	struct conn *c = x->c;
	bool close = x->close;

	exchange_drop(x);
	if (close) {
		conn_finish(c);
		return;
	}
	h1_start(c->h1, false);
	conn_deadline(c, c->g->bounds.idle_seconds);
}

static void
early(struct exchange *x)
{
	conn_finish(x->c);
}

static void
broken(struct exchange *x, bool cut)
{
	(void)cut;
	conn_free(x->c);
}

const struct front front_h1 = {.step = http_step,
    .find = find_it,
    .drop = drop_it,
    .drained = on_drained,
    .tick = on_tick,
    .retire = conn_free,
    .put_head = put_head,
    .put_body = put_body,
    .put_end = put_end,
    .flush = flush,
    .passed = passed,
    .credit = on_credit,
    .over = over,
    .early = early,
    .broken = broken};
