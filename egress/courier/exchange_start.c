/* SPDX-License-Identifier: ISC */
/* What for: from a request to its first byte upstream. Trusts: the decision,
 * made twice. At a bound: the exchange is refused. */
#include "egress/courier/exchange_inside.h"

#include "egress/courier/attach.h"
#include "egress/courier/clock.h"
#include "egress/courier/conn.h"

#include <stdlib.h>

#define WAIT_S 10.0 /* for a lease, of a credential or of requests */
#define TRIES 3
#define DIAL_S 25.0 /* beyond the pool's own deadlines */

void
exchange_judge(struct exchange *e, struct decision *d)
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
	e->no_ranges = d->echoes;
	if (d->jti != NULL)
		copy_name(e->jti, sizeof(e->jti), d->jti);
	if (d->grant != NULL)
		copy_name(e->grant, sizeof(e->grant), d->grant->name);
	if (d->lease != NULL) {
		copy_name(e->credential, sizeof(e->credential), d->lease->name);
		e->version = d->lease->version;
	}
}

static void on_call(void *ctx, enum call_event event, enum reason reason);
static void send_decided(struct exchange *e, const struct decision *d);

static int
new_call(struct exchange *e, const struct grant *g)
{
	struct upstream_key key = {.version = e->version,
	    .port = e->port,
	    .tunnel = e->m.way == WAY_TUNNEL,
	    .http1 = e->m.upgrade != 0};

	copy_name(key.grant, sizeof(key.grant), e->grant);
	copy_name(key.credential, sizeof(key.credential), e->credential);
	copy_name(key.host, sizeof(key.host), e->host.name);
	if (span_copy(e->m.family, key.family, sizeof(key.family)) != 0)
		return ERR_FORMAT;
	anchors_digest(g->ca_pem, e->trust);
	memcpy(key.trust, e->trust, sizeof(key.trust));
	return call_new(e->c->pool, &key, g->ca_pem, on_call, e, &e->call);
}

static int
log_request(struct exchange *e)
{
	struct audit_line l = exchange_audit_line(e, "request");
	int r;

	l.allow = true;
	if ((r = audit_put(e->c->audit, &l)) == 0)
		e->logged = true;
	return r;
}

static enum reason
reason_of_call(int err)
{
	return err == ERR_UNAVAILABLE ? REASON_NOT_READY : REASON_INTERNAL;
}

/* Allowed: count it, log it, find a way. */
static void
launch(struct exchange *e, const struct decision *d)
{
	struct limits_no no;
	enum reason why = limits_enter(
	    e->c->limits, &d->bill, clock_ms(), &e->usage, &no);
	int r;

	if (why != REASON_NONE) {
		exchange_give_up(e, why, "refused",
		    no.detail[0] == '\0' ? NULL : no.detail, no.retry_after);
		return;
	}
	if (e->usage == NULL) { /* leased soon */
		e->budget = true;
		if (!ev_is_active(&e->timer))
			exchange_arm(e, WAIT_S);
		return;
	}
	if (log_request(e) != 0) {
		why = audit_closed(e->c->audit);
		exchange_stop(
		    e, why != REASON_NONE ? why : REASON_AUDIT_FAILED);
		return;
	}
	e->state = DIALING;
	exchange_arm(e, DIAL_S);
	if ((r = new_call(e, d->grant)) != 0)
		exchange_stop(e, reason_of_call(r));
	else if (call_is_open(e->call))
		send_decided(e, d); /* nothing was heard since */
}

void
exchange_decide(struct exchange *e)
{
	struct decision d;

	exchange_judge(e, &d);
	if (d.wait && d.reason == REASON_NONE) {
		if (!ev_is_active(&e->timer))
			exchange_arm(e, WAIT_S);
		return;
	}
	keep_decision(e, &d);
	if (d.reason == REASON_NONE && e->m.upgrade != 0 &&
	    ws_open_request(e->m.method, e->m.headers, e->ws_key, &d.detail) !=
		0)
		d.reason = REASON_BAD_REQUEST;
	if (d.reason == REASON_NONE)
		d.reason = audit_closed(e->c->audit);
	if (d.reason != REASON_NONE)
		exchange_give_up(e, d.reason, "refused", d.detail, 0);
	else
		launch(e, &d);
}

/* Between the decision and now, anything may have changed. */
static bool
still_as_decided(const struct exchange *e, const struct decision *d)
{
	uint8_t trust[ANCHORS_DIGEST];

	anchors_digest(d->grant->ca_pem, trust);
	return memcmp(trust, e->trust, sizeof(trust)) == 0 &&
	       strcmp(d->grant->name, e->grant) == 0 &&
	       strcmp(d->lease == NULL ? "" : d->lease->name, e->credential) ==
		   0 &&
	       (d->lease == NULL ? 0 : d->lease->version) == e->version;
}

static int
send_head(struct exchange *e, const struct decision *d)
{
	const struct scrub_set *set = leases_scrub_set(e->c->leases);

	if (set == NULL)
		return ERR_NOMEM;
	e->inspect |= !scrub_set_empty(set);
	struct attach a = {.method = e->m.method,
	    .target = buf_span(e->clean),
	    .host = e->host.name,
	    .port = e->port,
	    .headers = e->m.headers,
	    .body = e->m.body,
	    .length = e->m.length,
	    .expect = e->m.expect != 0,
	    .upgrade = e->m.upgrade != 0,
	    .inspect = e->inspect,
	    .no_ranges = e->no_ranges,
	    .te = e->m.te != 0,
	    .slots = d->slots,
	    .n_slots = d->n_slots,
	    .slot = d->slot,
	    .secret = d->lease == NULL ? NULL : d->lease->secret};
	struct attached h;
	int r = attach_head(&a, &h);

	if (r == 0)
		r = call_send(e->call, &h.head, h.never);
	attach_clear(&h);
	return r;
}

/* With another value of the credential it is another request upstream. */
static int
log_again(struct exchange *e, const struct decision *d)
{
	if (!e->injected || d->lease == NULL ||
	    memcmp(d->lease->digest, e->used, sizeof(e->used)) == 0)
		return 0;
	keep_decision(e, d);
	return log_request(e);
}

/* The upstream surely did nothing with it, nor had any of its body: once
 * more, decided anew. A few times, for many requests may have been behind
 * its GOAWAY and meet again behind the next. */
void
exchange_again(struct exchange *e)
{
	struct decision d;
	int r;

	exchange_keep_address(e);
	call_free(e->call);
	e->call = NULL;
	if (++e->tries >= TRIES || e->answered || e->bytes_up > 0) {
		exchange_stop(e, REASON_RETIRED_CONNECTION);
		return;
	}
	e->state = DIALING;
	exchange_judge(e, &d);
	if (d.reason != REASON_NONE || d.wait) {
		exchange_stop(e, d.reason != REASON_NONE
				     ? d.reason
				     : REASON_RETIRED_CONNECTION);
		return;
	}
	if (log_again(e, &d) != 0) {
		exchange_stop(e, REASON_AUDIT_FAILED);
		return;
	}
	exchange_arm(e, DIAL_S);
	if ((r = new_call(e, d.grant)) != 0)
		exchange_stop(e, reason_of_call(r));
	else if (call_is_open(e->call))
		exchange_send(e);
}

static void
open_up(struct exchange *e)
{
	e->state = OPEN;
	exchange_progress(e);
	if (exchange_pump_up(e) && e->m.way == WAY_TUNNEL)
		(void)exchange_pump_down(e); /* nothing is done with e below */
}

/* By a decision of this turn of the loop. */
static void
send_decided(struct exchange *e, const struct decision *d)
{
	int r = 0;

	if (audit_failed(e->c->audit)) {
		exchange_stop(e, REASON_AUDIT_FAILED);
		return;
	}
	if (e->m.way != WAY_TUNNEL)
		r = send_head(e, d);
	exchange_used(e, d);
	if (r == ERR_UNAVAILABLE)
		exchange_again(e);
	else if (r != 0)
		exchange_stop(e,
		    r == ERR_ARGUMENT ? REASON_NO_CREDENTIAL : REASON_INTERNAL);
	else
		open_up(e);
}

/* The connection stands, after a while: decide once more, then the first
 * byte goes out. */
void
exchange_send(struct exchange *e)
{
	struct decision d;

	exchange_judge(e, &d);
	if (d.reason == REASON_NONE && d.wait)
		return; /* the lease ran out meanwhile */
	if (d.reason != REASON_NONE)
		exchange_stop(e, d.reason);
	else if (!still_as_decided(e, &d))
		exchange_stop(e, REASON_RETIRED_CONNECTION);
	else
		send_decided(e, &d);
}

static void
on_gone(struct exchange *e, enum reason reason)
{
	/* It may have answered before it went. */
	exchange_believe(e);
	if (e->state == OPEN && !exchange_pump_down(e))
		return;
	if (e->state == OPEN && !e->answered &&
	    reason == REASON_UPSTREAM_BROKEN)
		reason = REASON_RETIRED_CONNECTION;
	exchange_stop(e, reason);
}

static void
on_call(void *ctx, enum call_event event, enum reason reason)
{
	struct exchange *e = ctx;

	switch (event) {
	case CALL_OPEN:
		exchange_send(e);
		break;
	case CALL_INPUT:
		exchange_progress(e);
		(void)exchange_pump_down(e); /* nothing is done with e below */
		break;
	case CALL_DRAINED:
		if (e->state == OPEN)
			(void)exchange_pump_up(e); /* the same */
		break;
	case CALL_UNUSED:
		exchange_again(e);
		break;
	case CALL_BROKEN:
		on_gone(e, reason);
		break;
	}
}
