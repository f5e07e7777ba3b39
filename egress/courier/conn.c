/* SPDX-License-Identifier: ISC */
/* What for: answers to CONNECT. Trusts: nothing. At a bound: the CONNECT
 * is refused; a gate that reuses an id is broken. */
#include "egress/courier/conn.h"

#include "egress/courier/clock.h"

#include <stdlib.h>

#define WAIT_MS 10000 /* for a lease */

struct conn {
	struct conn *next;
	uint32_t id;
	char family[33];
	char host[HOST_MAX];
	uint16_t port;
	uint64_t began_ms;
	uint8_t way;  /* 0: not answered yet */
	bool refused; /* kept until the gate says that it ended */
};

static struct conn *
find(const struct courier *c, uint32_t id)
{
	struct conn *n = c->conns[id % COURIER_BUCKETS];

	while (n != NULL && n->id != id)
		n = n->next;
	return n;
}

static int
send_refused(struct courier *c, const struct conn *n, const struct decision *d)
{
	struct traffic_refused m = {.stream = n->id,
	    .reason = (uint16_t)d->reason,
	    .detail = span_str(d->detail)};

	return link_send(c->gate, &msg_traffic_refused, &m, -1);
}

static int
note(struct courier *c, const struct conn *n, const struct decision *d)
{
	return audit_put(c->audit, &(struct audit_line){.event = "refused",
				       .family = span_str(n->family),
				       .jti = span_str(d->jti),
				       .way = WAY_INTERCEPT,
				       .method = span_str("CONNECT"),
				       .host = span_str(n->host),
				       .port = n->port,
				       .rule = -1,
				       .reason = d->reason});
}

static void
forget(struct courier *c, struct conn *n)
{
	struct conn **p = &c->conns[n->id % COURIER_BUCKETS];

	while (*p != n)
		p = &(*p)->next;
	*p = n->next;
	c->n_conns--;
	free(n);
}

/* It is over with that: the gate forgets it as well. */
static int
refuse(struct courier *c, struct conn *n, struct decision *d)
{
	if (note(c, n, d) != 0)
		d->reason = REASON_AUDIT_FAILED;
	int r = send_refused(c, n, d);
	forget(c, n);
	return r;
}

static int
answer(struct courier *c, struct conn *n)
{
	struct traffic_connect m = {.conn = n->id,
	    .family = span_str(n->family),
	    .host = span_str(n->host),
	    .port = n->port};
	enum traffic_way way = WAY_INTERCEPT;
	struct decision d;

	decision_connect(c->rules, c->leases, &m, clock_ms(), &d, &way);
	if (d.reason == REASON_NONE && d.wait) {
		if (clock_ms() - n->began_ms < WAIT_MS)
			return 0;
		d.reason = REASON_NO_CREDENTIAL;
	}
	if (audit_closed(c->audit) != REASON_NONE)
		d.reason = audit_closed(c->audit);
	if (d.reason != REASON_NONE)
		return refuse(c, n, &d);
	n->way = (uint8_t)way;
	return link_send(c->gate, &msg_traffic_connect_done,
	    &(struct traffic_connect_done){.conn = n->id, .way = n->way}, -1);
}

int
conn_connect(struct courier *c, const struct traffic_connect *m)
{
	struct conn *n;
	int r;

	if (m->conn == 0 || find(c, m->conn) != NULL || c->n_conns == CONN_MAX)
		return ERR_FORMAT;
	if ((n = calloc(1, sizeof(*n))) == NULL)
		return ERR_NOMEM;
	n->id = m->conn;
	n->port = m->port;
	n->began_ms = clock_ms();
	if ((r = span_copy(m->family, n->family, sizeof(n->family))) != 0 ||
	    (r = span_copy(m->host, n->host, sizeof(n->host))) != 0) {
		free(n);
		return r;
	}
	n->next = c->conns[n->id % COURIER_BUCKETS];
	c->conns[n->id % COURIER_BUCKETS] = n;
	c->n_conns++;
	return answer(c, n);
}

void
conn_end(struct courier *c, const struct traffic_conn_end *m)
{
	struct conn *n = find(c, m->conn);

	if (n != NULL) /* else our refusal crossed it */
		forget(c, n);
}

/* An err: the gate's link is broken, which is told there. */
static int
retry_all(struct courier *c, struct conn *n)
{
	for (struct conn *next; n != NULL; n = next) {
		int r;

		next = n->next;
		if (n->way == 0 && (r = answer(c, n)) != 0)
			return r;
	}
	return 0;
}

void
conn_retry(struct courier *c)
{
	for (size_t i = 0; i < COURIER_BUCKETS; i++) {
		if (retry_all(c, c->conns[i]) != 0)
			return;
	}
}

void
conn_end_all(struct courier *c)
{
	for (size_t i = 0; i < COURIER_BUCKETS; i++) {
		for (struct conn *n = c->conns[i], *next; n != NULL; n = next) {
			next = n->next;
			forget(c, n);
		}
	}
}

bool
conn_find(const struct courier *c, uint32_t id, enum traffic_way way,
    struct decision_conn *out)
{
	const struct conn *n = find(c, id);

	if (n == NULL || n->way != way)
		return false;
	out->family = span_str(n->family);
	out->host = span_str(n->host);
	out->port = n->port;
	return true;
}
