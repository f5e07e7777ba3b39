/* SPDX-License-Identifier: ISC */
/* What for: HTTP/2 with the guest: each stream is an exchange (front.h).
 * Trusts: nothing that the guest sends; egress/http/h2.h for its framing.
 * At a bound: h2.h's and messages/bounds.h's: the stream or the connection
 * ends. Bodies wait in the windows of both sides, which are the same size:
 * what the courier takes, the guest may send, and the other way round.
 *
 * Nothing here may free the connection from within h2_recv() or h2_send(),
 * which call us; what that leads to is done by pump(), once a turn. */
#include "egress/gate/conn.h"

#include "egress/http/h2.h"

#include <stdlib.h>

/* NOLINTNEXTLINE(misc-redundant-expression): two names that must agree */
_Static_assert(H2_WINDOW == TRAFFIC_WINDOW, "one window is the other");

#define CODE_INTERNAL 2 /* RFC 9113, section 7 */
#define CODE_REFUSED 7
#define CODE_CANCEL 8
#define PIECE (16 * 1024) /* read before others have their turn */
#define OUT_MAX (32 * 1024)
#define UNKNOWN UINT64_MAX /* exchange.mark: its head is not out yet */

struct mux {
	struct h2 *h2;
	struct buf *out;
	struct exchange *list;
	struct ev_timer pump; /* only ever fed: runs when a turn ends */
	uint64_t written;     /* bytes given to the queue of c->s */
	uint64_t head;	      /* the one under way, by h2_open_head() */
	double head_since;    /* uptime() */
	bool begun;	      /* the guest has said something */
};

static void
pump_later(struct conn *c)
{
	ev_feed_event(c->g->loop, &c->mux->pump, EV_TIMER);
}

static struct exchange *
by_stream(struct conn *c, int32_t id)
{
	struct exchange *x = c->mux->list;

	while (x != NULL && x->h2 != id)
		x = x->next;
	return x;
}

/* x is gone after it. */
static void
forget(struct exchange *x)
{
	struct conn *c = x->c;
	struct exchange **at = &c->mux->list;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	exchange_drop(x);
	free(x);
	pump_later(c);
	if (c->mux->list == NULL)
		conn_deadline(c, c->g->bounds.idle_seconds);
}

/* Answered; but it counts as one of the session's as long as its answer
 * takes memory, else a guest that shuts its windows could have any number. */
static void
over(struct exchange *x)
{
	x->kind = EXCHANGE_ANSWERED;
	x->lingers = h2_holds(x->c->mux->h2, x->h2);
	if (!x->lingers)
		forget(x);
	else
		pump_later(x->c);
}

/* An err of h2.h's that only a lack of memory brings: there is nothing
 * better then than the end of all. */
static void
must(int r)
{
	if (r != 0)
		log_fatal("no_memory", err_text(r));
}

static void
reset(struct exchange *x, uint32_t code)
{
	struct conn *c = x->c;

	must(h2_reset(c->mux->h2, x->h2, code));
	forget(x);
}

/* ------------------------------------------------------ from the guest */

static void
on_head(void *arg, int32_t id, struct head *h)
{
	struct conn *c = arg;
	struct exchange *x = calloc(1, sizeof(*x));

	if (x == NULL) {
		must(h2_reset(c->mux->h2, id, CODE_REFUSED));
		return;
	}
	x->c = c;
	x->h2 = id;
	x->next = c->mux->list;
	c->mux->list = x;
	exchange_moved(x);
	conn_request(x, h);
}

static void
on_body(void *arg, int32_t id, struct span bytes)
{
	struct conn *c = arg;
	struct exchange *x = by_stream(c, id);

	if (x == NULL || x->kind != EXCHANGE_FORWARD) {
		/* Not wanted; its reset is on its way. */
		must(h2_credit(c->mux->h2, id, bytes.n));
		return;
	}
	if (bytes.n > x->credit || bytes.n > TRAFFIC_BODY_MAX)
		abort(); /* h2.h holds the guest to its window */
	if (bytes.n > 0)
		(void)exchange_body(x, bytes);
}

static void
on_end(void *arg, int32_t id, struct head *trailers)
{
	struct conn *c = arg;
	struct exchange *x = by_stream(c, id);

	if (x == NULL)
		return;
	if (x->kind == EXCHANGE_ANSWERED) {
		x->sent_all = true;
		over(x);
		return;
	}
	/* HTTP/1.1 has no place for them behind a known length, and whoever
	 * forwards may leave trailers out (RFC 9110, 6.5.1). */
	if (!x->chunked)
		head_clear(trailers);
	(void)exchange_end(x, trailers);
}

static void
on_reset(void *arg, int32_t id, uint32_t code)
{
	struct exchange *x = by_stream(arg, id);

	(void)code;
	if (x != NULL)
		forget(x);
}

static void
on_malformed(void *arg, int32_t id, const char *why)
{
	struct conn *c = arg;

	(void)id;
	log_event(LOG_INFO, "bad_head", LOG_STR("why", why));
	conn_note(c, REASON_BAD_REQUEST, NULL, &c->host, c->port);
}

static const struct h2_events events = {.head = on_head,
    .body = on_body,
    .end = on_end,
    .reset = on_reset,
    .malformed = on_malformed};

/* ---------------------------------------------------------- connection */

static uint32_t
kept(const struct exchange *x)
{
	return (uint32_t)(H2_WINDOW - h2_room(x->c->mux->h2, x->h2));
}

/* What of each answer has been written by now. */
static void
take_stock(struct conn *c, bool all)
{
	struct mux *m = c->mux;

	for (struct exchange *x = m->list, *next; x != NULL; x = next) {
		next = x->next;
		if (x->lingers && !h2_holds(m->h2, x->h2)) {
			forget(x);
			continue;
		}
		uint64_t gone = x->got_all ? x->put : x->put - kept(x);

		if (gone != x->gone || (all && x->mark == UNKNOWN))
			x->mark = m->written;
		x->gone = gone;
		exchange_settle(x);
	}
}

/* False: c is gone. */
static bool
write_out(struct conn *c, bool *all)
{
	struct mux *m = c->mux;

	*all = false;
	while (!*all && stream_queued(c->s) < STREAM_HIGH) {
		size_t before = stream_queued(c->s);

		if (h2_send(m->h2, m->out) != 0) {
			conn_free(c);
			return false;
		}
		*all = buf_len(m->out) == 0;
		if (!*all && stream_write_buf(c->s, m->out) != 0) {
			conn_free(c);
			return false;
		}
		m->written += stream_queued(c->s) - before;
	}
	return true;
}

/* May end c. */
static void
pump(struct conn *c)
{
	bool all;

	if (c->state != CONN_HTTP || !write_out(c, &all))
		return;
	take_stock(c, all);
	if (h2_done(c->mux->h2) || (c->eof && c->mux->list == NULL && all))
		conn_finish(c);
}

static void
on_pump(struct ev_loop *loop, struct ev_timer *w, int what)
{
	(void)loop;
	(void)what;
	pump(w->data);
}

/* The guest sends no more: requests that have not ended never will. */
static void
on_silence(struct conn *c)
{
	for (struct exchange *x = c->mux->list, *next; x != NULL; x = next) {
		next = x->next;
		if (!x->sent_all)
			reset(x, CODE_CANCEL);
	}
	pump_later(c);
}

/* Only now, so that GOAWAY is the last word. */
static void
on_broken(struct conn *c)
{
	bool flood = h2_flooded(c->mux->h2), all;
	const char *why = h2_why(c->mux->h2);

	log_event(LOG_WARN, flood ? "flood" : "bad_http2", LOG_STR("why", why),
	    LOG_STR("host", c->host.name));
	conn_note(c, flood ? REASON_FLOOD : REASON_BAD_REQUEST, NULL, &c->host,
	    c->port);
	if (write_out(c, &all))
		conn_finish(c);
}

static void
look_at_head(struct conn *c)
{
	uint64_t head = h2_open_head(c->mux->h2);

	if (head != c->mux->head)
		c->mux->head_since = uptime();
	c->mux->head = head;
}

/* Who does not read asks for no more, nor takes back what it asked for:
 * nghttp2 would keep each answer's head. */
static bool
unread(const struct conn *c)
{
	return stream_queued(c->s) >= STREAM_HIGH;
}

static bool
h2_step(struct conn *c)
{
	struct span in = stream_input(c->s);
	struct mux *m = c->mux;
	int r;

	if (in.n == 0 && c->eof)
		on_silence(c);
	if (in.n == 0 || unread(c) || gate_congested(c->g) ||
	    gate_starting(c->g))
		return false;
	if (!m->begun) /* it may wait with its first request */
		conn_deadline(c, c->g->bounds.idle_seconds);
	m->begun = true;
	if (in.n > PIECE)
		in.n = PIECE;
	r = h2_recv(m->h2, in);
	stream_consume(c->s, in.n);
	if (r != 0) {
		on_broken(c);
		return false;
	}
	look_at_head(c);
	pump_later(c);
	return true;
}

static struct exchange *
find_it(struct conn *c, uint32_t id)
{
	struct exchange *x = c->mux->list;

	while (x != NULL && x->id != id)
		x = x->next;
	return x;
}

static void
drop_all(struct conn *c)
{
	while (c->mux->list != NULL)
		forget(c->mux->list);
}

/* First what the guest has said meanwhile, for pump() may fill the queue. */
static void
on_drained(struct conn *c)
{
	struct gate *g = c->g;
	size_t slot = c->slot;

	conn_process(c);
	if (g->conns[slot] == c)
		pump(c);
}

static void
on_tick(struct conn *c)
{
	double now = uptime();

	if (c->state != CONN_HTTP)
		return;
	if (unread(c))
		c->mux->head_since = now; /* it is we who do not read */
	if (c->mux->head != 0 &&
	    now - c->mux->head_since > (double)c->g->bounds.head_seconds) {
		conn_free(c);
		return;
	}
	for (struct exchange *x = c->mux->list, *next; x != NULL; x = next) {
		next = x->next;
		if (now - x->moved > (double)c->g->bounds.body_seconds)
			reset(x, CODE_CANCEL);
	}
}

/* A GOAWAY is for whoever has read all there was: else something of an
 * answer might be among what goes out before it. */
static void
retire(struct conn *c)
{
	bool all;

	if (stream_queued(c->s) > 0 || ev_is_pending(&c->mux->pump) ||
	    h2_abandon(c->mux->h2, CODE_CANCEL) != 0) {
		conn_free(c);
		return;
	}
	drop_all(c);
	if (write_out(c, &all))
		conn_finish(c);
}

int
front_h2_begin(struct conn *c)
{
	struct mux *m = calloc(1, sizeof(*m));
	int r;

	if (m == NULL)
		return ERR_NOMEM;
	c->mux = m;
	ev_timer_init(&m->pump, on_pump, 0., 0.);
	ev_set_priority(&m->pump, EV_MINPRI + 1); /* before stream.c's */
	m->pump.data = c;
	if ((m->out = buf_new(OUT_MAX)) == NULL)
		return ERR_NOMEM;
	if ((r = h2_new(H2_SERVER, &events, c, &m->h2)) != 0 ||
	    (r = h2_bound(m->h2, &c->g->bounds)) != 0)
		return r;
	c->front = &front_h2;
	pump_later(c);
	return 0;
}

void
front_h2_free(struct conn *c)
{
	struct mux *m = c->mux;

	if (m == NULL)
		return;
	ev_clear_pending(c->g->loop, &m->pump);
	h2_free(m->h2);
	buf_free(m->out);
	free(m);
	c->mux = NULL;
}

/* -------------------------------------------------------------- answers */

/* The guest has reset it: nobody is to blame, on_reset() comes. */
static int
unless_gone(int r)
{
	return r == ERR_NOT_FOUND ? 0 : r;
}

static int
put_head(struct exchange *x, const struct head *h, bool final)
{
	x->mark = UNKNOWN;
	return unless_gone(h2_response(
	    x->c->mux->h2, x->h2, h, final && x->body == HEAD_BODY_NONE));
}

static int
put_body(struct exchange *x, struct span bytes)
{
	x->put += bytes.n;
	return unless_gone(h2_body(x->c->mux->h2, x->h2, bytes));
}

static int
put_end(struct exchange *x, const struct head *trailers)
{
	if (x->body == HEAD_BODY_NONE)
		return 0;
	return unless_gone(h2_end(x->c->mux->h2, x->h2, trailers));
}

static bool
flush(struct exchange *x)
{
	pump_later(x->c);
	return true;
}

static uint32_t
passed(const struct exchange *x)
{
	uint32_t n = kept(x);

	return n < x->owed ? x->owed - n : 0;
}

static void
on_credit(struct exchange *x, uint32_t n)
{
	must(h2_credit(x->c->mux->h2, x->h2, n));
	pump_later(x->c);
}

static void
broken(struct exchange *x, bool cut)
{
	struct conn *c = x->c;

	/* What is queued cannot be taken back, unless all of it is. */
	if (cut && (x->mark == UNKNOWN ||
		       c->mux->written < x->mark + stream_queued(c->s)))
		conn_free(c);
	else
		reset(x, cut ? CODE_CANCEL : CODE_INTERNAL);
}

const struct front front_h2 = {.step = h2_step,
    .find = find_it,
    .drop = drop_all,
    .drained = on_drained,
    .tick = on_tick,
    .retire = retire,
    .put_head = put_head,
    .put_body = put_body,
    .put_end = put_end,
    .flush = flush,
    .passed = passed,
    .credit = on_credit,
    .over = over,
    .early = over,
    .broken = broken};
