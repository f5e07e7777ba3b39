/* SPDX-License-Identifier: ISC */
/* What for: CONNECT, the courier's word on it, and the ClientHello after.
 * Trusts: the courier for intercept or tunnel; nothing of the guest's.
 * At a bound: deadlines of messages/bounds.h; refuses. */
#include "egress/gate/clienthello.h"
#include "egress/gate/conn.h"

#include "egress/http/h1_write.h"

#include <stdlib.h>

#define ALERT_HANDSHAKE_FAILURE 40
#define ALERT_UNRECOGNIZED_NAME 112

/* The parser still owes us the end of the CONNECT request, which has no
 * body. What follows it is for the parser of the next protocol. */
static void
take_end(struct conn *c)
{
	struct span none = {0}, body;
	enum h1_event e;

	if (h1_next(c->h1, &none, &e, &body) != 0 || e != H1_END)
		abort();
	h1_start(c->h1, false);
}

enum reason
connect_start(struct conn *c, const struct way *w)
{
	struct traffic_connect m = {.conn = gate_new_id(c->g, c->slot),
	    .family = span_str(c->family),
	    .host = span_str(w->host.name),
	    .port = w->port};

	if (!gate_tell(c->g->courier, &msg_traffic_connect, &m))
		return REASON_NOT_READY;
	take_end(c);
	c->id = m.conn;
	c->host = w->host;
	c->port = w->port;
	c->bound = true;
	c->state = CONN_CONNECTING;
	conn_deadline(c, LIMIT_CONNECT_S);
	return REASON_NONE;
}

/* Back to plain requests, with an answer to the CONNECT. */
static void
not_connected(struct conn *c, const struct problem *p)
{
	c->id = 0;
	c->bound = c->attached;
	c->state = CONN_HTTP;
	exchange_clear(&c->x);
	c->x.kind = EXCHANGE_ANSWERED;
	c->x.sent_all = true;
	exchange_answer(&c->x, p, false);
}

/* No leaf, no 200 (requirement 29). */
static bool
can_intercept(struct conn *c)
{
	struct problem p = {.reason = REASON_NOT_READY};
	struct traffic_conn_end m = {.conn = c->id};
	int r = intercept_check(c);

	if (r == 0)
		return true;
	log_event(
	    LOG_WARN, "no_leaf", LOG_STR("host", c->host.name), LOG_ERR(r));
	conn_note(c, p.reason, NULL, &c->host, c->port);
	(void)gate_tell(c->g->courier, &msg_traffic_conn_end, &m);
	not_connected(c, &p);
	return false;
}

int
connect_done(struct conn *c, uint8_t way)
{
	struct head h;
	int r;

	if (c->state != CONN_CONNECTING ||
	    (way != WAY_INTERCEPT && way != WAY_TUNNEL))
		return ERR_FORMAT;
	c->tunnel = way == WAY_TUNNEL;
	if (!c->tunnel && !can_intercept(c))
		return 0;
	c->state = CONN_HELLO;
	conn_deadline(c, c->g->bounds.head_seconds);
	head_init(&h);
	h.status = 200;
	r = h1_put_head(&h, true, c->out);
	head_clear(&h);
	if (r != 0)
		conn_free(c);
	else if (conn_write_out(c))
		conn_process(c);
	return 0;
}

void
connect_refused(struct conn *c, const struct traffic_refused *m)
{
	struct problem p = {.reason = m->reason,
	    .grant = m->grant,
	    .detail = m->detail,
	    .retry_after = m->retry_after};

	not_connected(c, &p);
}

/* A fatal alert: all that can be told to somebody who waits for TLS. */
static bool
hello_refused(struct conn *c, unsigned reason, uint8_t alert)
{
	uint8_t record[] = {21, 3, 3, 0, 2, 2, alert};

	conn_note(c, reason, NULL, &c->host, c->port);
	if (stream_write(c->s, span_of(record, sizeof(record))) == 0)
		conn_finish(c);
	else
		conn_free(c);
	return false;
}

bool
connect_hello(struct conn *c)
{
	struct clienthello hello;
	int h2c = h2c_look(stream_input(c->s));
	int r = h2c == ERR_TRUNCATED
		    ? h2c
		    : clienthello_parse(stream_input(c->s), &hello);

	if (h2c == 0) {
		conn_refuse_h2c(c);
		return false;
	}
	if (r == ERR_TRUNCATED) {
		if (c->eof)
			conn_free(c);
		return false;
	}
	if (r != 0)
		return hello_refused(
		    c, REASON_BAD_REQUEST, ALERT_HANDSHAKE_FAILURE);
	if (!hello.has_sni || strcmp(hello.sni.name, c->host.name) != 0)
		return hello_refused(
		    c, REASON_NAMES_DISAGREE, ALERT_UNRECOGNIZED_NAME);
	if (!c->tunnel)
		return intercept_start(c);
	/* We could not see whom it really asks for. */
	if (hello.ech)
		return hello_refused(
		    c, REASON_UNSUPPORTED, ALERT_HANDSHAKE_FAILURE);
	return tunnel_start(c, &hello.sni);
}
