/* SPDX-License-Identifier: ISC */
/* What for: bytes of a plain tunnel or a WebSocket, to and from the courier.
 * Trusts: nothing; the courier checks host and name again, and frames.
 * At a bound: waits for credit. */
#include "egress/gate/conn.h"

bool
tunnel_start(struct conn *c, const struct host *sni)
{
	c->state = CONN_TUNNEL;
	if (exchange_start_tunnel(&c->x, sni))
		return true;
	conn_free(c);
	return false;
}

static bool
tunnel_eof(struct conn *c)
{
	struct head none;

	if (!c->eof || c->x.sent_all)
		return false;
	head_init(&none);
	(void)exchange_end(&c->x, &none); /* either way there is no more to do */
	return false;
}

bool
tunnel_step(struct conn *c)
{
	struct span in = stream_input(c->s);

	if (in.n == 0)
		return tunnel_eof(c);
	if (c->x.credit == 0 || gate_congested(c->g))
		return false;
	if (in.n > c->x.credit)
		in.n = c->x.credit;
	if (in.n > TRAFFIC_BODY_MAX)
		in.n = TRAFFIC_BODY_MAX;
	if (!exchange_body(&c->x, in))
		return false;
	stream_consume(c->s, in.n);
	return true;
}

void
tunnel_ended(struct conn *c)
{
	if (c->x.sent_all)
		conn_finish(c);
	else
		stream_shutdown(c->s);
}
