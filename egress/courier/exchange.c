/* SPDX-License-Identifier: ISC */
/* What for: requests and tunnels as the gate asks for them. Trusts: the gate
 * for nothing: it is checked again. At a bound: a gate that breaks the rules of
 * flow is fatal. */
#include "egress/courier/exchange_inside.h"

#include "egress/courier/clock.h"
#include "egress/courier/conn.h"
#include "lib/log.h"

#include <stdlib.h>

#define PENDING_MAX TRAFFIC_WINDOW

static struct exchange *
find(const struct courier *c, uint32_t id)
{
	struct exchange *e = c->by_id[id % COURIER_BUCKETS];

	while (e != NULL && e->id != id)
		e = e->same;
	return e;
}

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
	if (e->doubt) { /* the vault is silent */
		exchange_believe(e);
		(void)exchange_pump_down(e); /* nothing is done with e below */
		return;
	}
	exchange_stop(e, e->state == WAITING && e->budget ? REASON_NOT_READY
							  : reasons[e->state]);
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

static void
enter(struct courier *c, struct exchange *e)
{
	struct exchange **same = &c->by_id[e->id % COURIER_BUCKETS];

	e->next = c->exchanges;
	e->same = *same;
	if (e->next != NULL)
		e->next->before = e;
	c->exchanges = *same = e;
	c->n_exchanges++;
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
	ev_timer_init(&e->tail, exchange_on_tail, TAIL_S, 0.);
	e->timer.data = e;
	e->tail.data = e;
	enter(c, e);
	e->pending = buf_new(PENDING_MAX);
	e->late = buf_new(CODED_HOLD_MAX + BODY_BULKY_STEP);
	e->clean = buf_new(HEAD_TARGET_MAX);
	r = e->pending == NULL || e->clean == NULL || e->late == NULL
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
	exchange_decide(e);
	return 0;
}

int
exchange_request(struct courier *c, const struct traffic_request *m)
{
	if (m->way < WAY_INTERCEPT || m->way > WAY_BASE ||
	    m->body > BODY_CHUNKED || m->expect > 1 || m->te > 1 ||
	    m->upgrade > 1 ||
	    (m->upgrade != 0 && (m->body != BODY_NONE || m->expect != 0)) ||
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
		exchange_give_credit(e, n);
		return 0;
	}
	if ((r = buf_put_span(e->pending, m->bytes)) != 0)
		return r;
	if (e->state == OPEN)
		(void)exchange_pump_up(e); /* nothing is done with e below */
	return 0;
}

static int
keep_trailers(struct exchange *e, struct span packed)
{
	if ((e->up_trailers = buf_new(packed.n)) == NULL)
		return ERR_NOMEM;
	return buf_put_span(e->up_trailers, packed);
}

int
exchange_end(struct courier *c, const struct traffic_end *m)
{
	struct exchange *e = find(c, m->stream);
	int r;

	if (e == NULL)
		return 0; /* crossed our end */
	if (e->m.way != WAY_TUNNEL && e->m.body == BODY_NONE && !e->ws_open)
		return m->trailers.n == 0 ? 0 : ERR_FORMAT;
	if (e->up_ended || (e->m.body == BODY_LENGTH && e->body_left != 0) ||
	    (e->m.body != BODY_CHUNKED && m->trailers.n != 0))
		return ERR_FORMAT;
	if (m->trailers.n > 0 && (r = keep_trailers(e, m->trailers)) != 0)
		return r;
	e->up_ended = true;
	if (e->state == DRAINING)
		exchange_finish(e, "early");
	else if (e->state == OPEN && exchange_pump_up(e) && e->down_ended)
		exchange_finish(e, "complete");
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
	(void)exchange_pump_down(e); /* nothing is done with e below */
	return 0;
}

void
exchange_reset(struct courier *c, const struct traffic_reset *m)
{
	struct exchange *e = find(c, m->stream);

	if (e == NULL)
		return;
	exchange_keep_address(e);
	if (exchange_audit_end(e, e->logged ? "done" : "refused", "guest-reset",
		REASON_NONE) != 0)
		log_event(LOG_WARN, "done_not_logged");
	exchange_free(e);
}

/* Its answer may wait for a lease, and its trailers. */
static void
retry_open(struct exchange *e)
{
	if (e->doubt && !exchange_resolve(e))
		return;
	if (e->up_trailers != NULL && !e->up_sent)
		(void)exchange_pump_up(e); /* nothing is done with e below */
}

void
exchange_retry(struct courier *c)
{
	for (struct exchange *e = c->exchanges, *next; e != NULL; e = next) {
		next = e->next;
		if (e->state == WAITING)
			exchange_decide(e);
		else if (e->state == DIALING && e->call != NULL &&
			 call_is_open(e->call))
			exchange_send(e);
		else if (e->state == OPEN)
			retry_open(e);
	}
}

/* What was allowed may not be any more; a credential that cannot be asked
 * for again just now, or is rejected by now, is no reason to cut. */
static enum reason
verdict(struct exchange *e)
{
	struct decision d;
	enum reason why = rules_check_cut(e->c->rules, e->grant, e->credential);

	if (why != REASON_NONE || e->state == WAITING)
		return why;
	exchange_judge(e, &d);
	if (d.wait || d.reason == REASON_NO_CREDENTIAL ||
	    d.reason == REASON_NOT_READY ||
	    d.reason == REASON_CREDENTIAL_REJECTED)
		return REASON_NONE;
	if (d.reason == REASON_NONE && strcmp(d.grant->name, e->grant) == 0)
		return REASON_NONE;
	return d.reason == REASON_TOKEN_EXPIRED ? d.reason : REASON_REVOKED;
}

static void
cut(struct exchange *e, enum reason why)
{
	exchange_keep_address(e);
	call_cut(e->call);
	e->call = NULL;
	exchange_give_up(e, why, e->logged ? "cut" : "refused", NULL, 0);
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
		(void)exchange_pump_down(e); /* nothing is done with e below */
	}
}
