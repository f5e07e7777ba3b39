/* SPDX-License-Identifier: ISC */
/* What for: a guest's connection and its states.
 * Trusts: the kernel for the peer's uid; nothing that the peer sends.
 * At a bound: messages/bounds.h refuses, deadlines end. */
#include "egress/gate/conn.h"

#include "egress/gate/attach.h"
#include "egress/gate/guest_api.h"
#include "egress/http/h1_write.h"
#include "lib/unixsock.h"
#include "messages/channel.h"

#include <stdlib.h>
#include <unistd.h>

#define OUT_MAX (256 * 1024)
#define RECORD 16384 /* the most that one of TLS takes */

/* ---------------------------------------------------------------- life */

void
conn_deadline(struct conn *c, double seconds)
{
	c->deadline.repeat = seconds;
	ev_timer_again(c->g->loop, &c->deadline);
}

static void
on_deadline(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	conn_free(w->data);
}

static void
forget_conn(struct conn *c)
{
	struct traffic_conn_end m = {.conn = c->id};

	if (c->id != 0)
		(void)gate_tell(c->g->courier, &msg_traffic_conn_end, &m);
	c->id = 0;
}

void
conn_free(struct conn *c)
{
	c->front->drop(c);
	forget_conn(c);
	ev_timer_stop(c->g->loop, &c->deadline);
	ev_clear_pending(c->g->loop, &c->turn);
	c->g->conns[c->slot] = NULL;
	c->g->n_conns--;
	front_h2_free(c);
	stream_free(c->s);
	h1_free(c->h1);
	buf_free(c->out);
	buf_wipe(c, sizeof(*c));
	free(c);
}

void
conn_finish(struct conn *c)
{
	if (buf_len(c->out) > 0 && !conn_write_out(c))
		return;
	c->front->drop(c);
	forget_conn(c);
	c->state = CONN_ENDING;
	conn_deadline(
	    c, c->g->bounds.body_seconds); /* for what is still queued */
	stream_finish(c->s);
}

void
conn_retire(struct conn *c)
{
	if (c->state == CONN_HTTP)
		c->front->retire(c);
	else
		conn_free(c);
}

bool
conn_write_out(struct conn *c)
{
	if (!c->failed && stream_write_buf(c->s, c->out) == 0)
		return true;
	conn_free(c); /* full although it has credit, or TLS failed */
	return false;
}

static void
on_turn(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct conn *c = w->data;

	(void)loop;
	(void)events;
	if (buf_len(c->out) > 0)
		(void)conn_write_out(c); /* last act */
}

void
conn_write_long(struct conn *c, struct span bytes)
{
	c->failed = c->failed || stream_write_buf(c->s, c->out) != 0 ||
		    stream_write(c->s, bytes) != 0;
}

bool
conn_write_soon(struct conn *c)
{
	if (c->failed || buf_len(c->out) >= RECORD)
		return conn_write_out(c);
	ev_feed_event(c->g->loop, &c->turn, EV_TIMER);
	return true;
}

/* ------------------------------------------------------------ refusals */

static struct span
cut(struct span s, size_t max)
{
	return s.n > max ? span_of(s.p, max) : s;
}

void
conn_note(struct conn *c, unsigned reason, const struct head *h,
    const struct host *host, uint16_t port)
{
	struct traffic_note m = {
	    .reason = (uint16_t)reason, .family = span_str(c->family)};

	if (h != NULL) {
		m.method = cut(h->method, 32);
		m.target = cut(h->target, 512);
	}
	if (host != NULL) {
		m.host = span_str(host->name);
		m.port = port;
	}
	/* Without a courier there is no audit log, and nothing goes out. */
	if (!gate_congested(c->g))
		(void)gate_tell(c->g->courier, &msg_traffic_note, &m);
}

void
conn_refuse(struct exchange *x, const struct problem *p, const struct head *h)
{
	bool close = h == NULL || h->close || h->body != HEAD_BODY_NONE ||
		     x->c->attach_failed != REASON_NONE;

	exchange_clear(x);
	x->kind = EXCHANGE_ANSWERED;
	x->to_head = h != NULL && span_is(h->method, "HEAD");
	exchange_answer(x, p, close);
}

static void
refuse(struct exchange *x, enum reason why, const struct head *h,
    const struct way *w)
{
	struct problem p = {.reason = why};
	bool named = w->host.name[0] != '\0';

	conn_note(x->c, why, h, named ? &w->host : NULL, named ? w->port : 0);
	conn_refuse(x, &p, h);
}

void
conn_refuse_h2c(struct conn *c)
{
	bool named = c->state == CONN_HELLO;

	conn_note(
	    c, REASON_H2C, NULL, named ? &c->host : NULL, named ? c->port : 0);
	if (stream_write(c->s, h2c_refusal()) == 0)
		conn_finish(c);
	else
		conn_free(c);
}

/* ------------------------------------------------------------ requests */

static enum reason
check_token(struct conn *c, struct span token)
{
	struct gate *g = c->g;

	if (g->session == NULL)
		return REASON_NOT_READY;
	return tokens_check(
	    g->tokens, g->session, token, gate_now(), c->family);
}

static enum reason
token_of_request(struct conn *c, const struct head *h)
{
	char token[ATTACH_TOKEN_MAX + 1];
	enum reason why = REASON_BAD_TOKEN;
	struct span value;

	if (!head_get(h, "proxy-authorization", &value))
		return REASON_NO_TOKEN;
	if (head_count(h, "proxy-authorization") != 1)
		return REASON_BAD_REQUEST;
	if (attach_from_header(value, token) == 0)
		why = check_token(c, span_str(token));
	buf_wipe(token, sizeof(token));
	return why;
}

/* Under which family does this request run? */
static enum reason
authenticate(struct conn *c, const struct head *h)
{
	if (!c->bound)
		return token_of_request(c, h);
	if (tokens_alive(c->g->tokens, c->family, gate_now()))
		return REASON_NONE;
	return tokens_doubted(c->g->tokens, c->family) ? REASON_NOT_READY
						       : REASON_TOKEN_EXPIRED;
}

static enum reason
find_way(struct conn *c, const struct head *h, struct way *w)
{
	*w = (struct way){0};
	if (c->attach_failed != REASON_NONE)
		return c->attach_failed;
	if (!gate_ready(c->g))
		return REASON_NOT_READY;
	return c->intercepted ? way_intercepted(h, &c->host, c->port, w)
			      : way_plain(h, c->g->session, w);
}

void
conn_request(struct exchange *x, struct head *h)
{
	struct conn *c = x->c;
	struct way w;
	enum reason why = find_way(c, h, &w);

	if (why == REASON_NONE && w.kind == WAY_KIND_API) {
		guest_api_start(c, h, w.target);
		return;
	}
	if (why == REASON_NONE)
		why = authenticate(c, h);
	if (why == REASON_NONE)
		why = w.kind == WAY_KIND_CONNECT ? connect_start(c, &w)
						 : exchange_start(x, h, &w);
	if (why != REASON_NONE)
		refuse(x, why, h, &w);
}

/* --------------------------------------------------------- first bytes */

static bool
first_step(struct conn *c)
{
	struct span token;
	size_t used = 0;

	if (gate_starting(c->g))
		return false;
	int r = attach_parse(stream_input(c->s), &token, &used);

	if (r == ERR_TRUNCATED && !c->eof)
		return false;
	if (r == ERR_TOO_BIG || r == ERR_TRUNCATED) {
		conn_free(c);
		return false;
	}
	c->state = CONN_HTTP;
	if (r == ERR_NOT_FOUND)
		return true;
	c->attach_failed = r == 0 ? check_token(c, token) : REASON_BAD_TOKEN;
	c->attached = c->bound = c->attach_failed == REASON_NONE;
	stream_consume(c->s, used);
	return true;
}

static bool
step(struct conn *c)
{
	switch (c->state) {
	case CONN_FIRST:
		return first_step(c);
	case CONN_HTTP:
		return c->front->step(c);
	case CONN_HELLO:
		return connect_hello(c);
	case CONN_TUNNEL:
		return tunnel_step(c);
	case CONN_CONNECTING:
	case CONN_SHAKING:
	case CONN_ENDING:
		break;
	}
	return false;
}

void
conn_process(struct conn *c)
{
	struct gate *g = c->g;
	size_t slot = c->slot;

	/* A step may end the connection whatever it returns. */
	while (g->conns[slot] == c && step(c))
		;
}

/* -------------------------------------------------------------- events */

static void
on_eof(struct conn *c)
{
	c->eof = true;
	if (c->state == CONN_CONNECTING || c->state == CONN_SHAKING)
		conn_free(c);
	else
		conn_process(c);
}

static void
on_stream(void *ctx, struct stream *s, enum stream_event event, int err)
{
	struct conn *c = ctx;

	(void)s;
	(void)err;
	switch (event) {
	case STREAM_OPEN:
		intercept_open(c);
		break;
	case STREAM_INPUT:
		conn_process(c);
		break;
	case STREAM_DRAINED:
		c->front->drained(c);
		break;
	case STREAM_EOF:
		on_eof(c);
		break;
	case STREAM_CLOSED:
	case STREAM_BROKEN:
		conn_free(c);
		break;
	}
}

static int
free_slot(const struct gate *g, size_t *slot)
{
	for (*slot = 0; g->n_conns < g->bounds.connections; (*slot)++) {
		if (g->conns[*slot] == NULL)
			return 0;
	}
	return ERR_TOO_BIG;
}

static int
make(struct gate *g, int fd, size_t slot, uid_t uid)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		close(fd);
		return ERR_NOMEM;
	}
	c->g = g;
	c->slot = slot;
	c->uid = uid;
	c->front = &front_h1;
	c->x.c = c;
	ev_init(&c->deadline, on_deadline);
	c->deadline.data = c;
	ev_timer_init(&c->turn, on_turn, 0., 0.);
	/* Before streams write (EV_MINPRI). */
	ev_set_priority(&c->turn, EV_MINPRI + 1);
	c->turn.data = c;
	g->conns[slot] = c;
	g->n_conns++;
	c->out = buf_new(OUT_MAX);
	int r = stream_new(g->loop, fd, on_stream, c, &c->s);
	if (r == 0)
		r = h1_new(H1_REQUEST, &c->h1);
	if (r == 0)
		h1_bound(c->h1, g->bounds.head_bytes, g->bounds.head_fields);
	if (r != 0 || c->out == NULL) {
		conn_free(c);
		return ERR_NOMEM;
	}
	conn_deadline(c, c->g->bounds.head_seconds);
	return 0;
}

static int
put_too_many(struct buf *body, struct buf *out)
{
	struct problem p = {.reason = REASON_LIMIT_GUEST};
	struct head h;
	int r;

	head_init(&h);
	r = problem_make(&p, &h, body);
	h.close = true;
	h.body = HEAD_BODY_LENGTH;
	h.length = buf_len(body);
	(void)(r || (r = h1_put_head(&h, false, out)) ||
	       (r = buf_put_span(out, buf_span(body))));
	head_clear(&h);
	return r;
}

/* As good as it gets without a connection of our own. */
static void
too_many(int fd)
{
	struct buf *body = buf_new(8192), *out = buf_new(16 * 1024);

	if (body != NULL && out != NULL && put_too_many(body, out) == 0)
		(void)!write(fd, buf_span(out).p, buf_len(out)); /* best
								    effort */
	buf_free(body);
	buf_free(out);
	close(fd);
}

/* Until the session is known nobody gets more than a 503; then
 * gate_check_peers() looks again. */
static void
admit(struct gate *g, int fd, uid_t uid)
{
	size_t slot;
	int r;

	if (g->session != NULL && uid != g->session->uid) {
		log_event(LOG_WARN, "peer_refused",
		    LOG_INT("uid", uid == CHANNEL_NO_UID ? -1 : (int64_t)uid));
		close(fd);
		return;
	}
	if (free_slot(g, &slot) != 0) {
		too_many(fd);
		return;
	}
	if ((r = make(g, fd, slot, uid)) != 0)
		log_event(LOG_WARN, "conn_failed", LOG_ERR(r));
}

void
conn_accept(struct gate *g, int fd)
{
	uid_t uid;
	pid_t pid;

	if (unixsock_peer(fd, &uid, &pid) == 0) {
		admit(g, fd, uid);
		return;
	}
	log_event(LOG_WARN, "peer_refused", LOG_INT("uid", -1));
	close(fd);
}

void
conn_take(struct gate *g, int fd)
{
	admit(g, fd, CHANNEL_NO_UID);
}
