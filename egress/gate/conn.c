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
	exchange_drop(c);
	forget_conn(c);
	ev_timer_stop(c->g->loop, &c->deadline);
	c->g->conns[c->slot] = NULL;
	c->g->n_conns--;
	stream_free(c->s);
	h1_free(c->h1);
	buf_free(c->out);
	buf_wipe(c, sizeof(*c));
	free(c);
}

void
conn_finish(struct conn *c)
{
	exchange_drop(c);
	forget_conn(c);
	c->state = CONN_ENDING;
	conn_deadline(
	    c, c->g->bounds.body_seconds); /* for what is still queued */
	stream_finish(c->s);
}

bool
conn_write_out(struct conn *c)
{
	if (stream_write_buf(c->s, c->out) == 0)
		return true;
	conn_free(c); /* full although it has credit, or TLS failed */
	return false;
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
conn_answer(struct conn *c, const struct problem *p, bool close)
{
	struct answer_frame f = {.no_body = c->x.to_head, .close = close};

	if (problem_put(p, f, c->out) != 0) {
		conn_free(c);
		return;
	}
	if (!conn_write_out(c))
		return;
	if (close) {
		conn_finish(c);
	} else if (c->x.sent_all) {
		exchange_over(c);
		conn_process(c);
	}
}

void
conn_refuse(struct conn *c, const struct problem *p, struct head *h)
{
	bool close = h == NULL || h->close || h->body != HEAD_BODY_NONE ||
		     c->attach_failed != REASON_NONE;

	c->x = (struct exchange){.kind = EXCHANGE_ANSWERED,
	    .to_head = h != NULL && span_is(h->method, "HEAD")};
	conn_answer(c, p, close);
}

static void
refuse(struct conn *c, enum reason why, struct head *h, const struct way *w)
{
	struct problem p = {.reason = why};
	bool named = w != NULL && w->host.name[0] != '\0';

	conn_note(c, why, h, named ? &w->host : NULL, named ? w->port : 0);
	conn_refuse(c, &p, h);
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

static void
on_head(struct conn *c)
{
	struct head *h = h1_head(c->h1);
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
						 : exchange_start(c, h, &w);
	if (why != REASON_NONE)
		refuse(c, why, h, &w);
}

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
	conn_refuse(c, &p, NULL);
}

static bool
on_body(struct conn *c, struct span body)
{
	switch (c->x.kind) {
	case EXCHANGE_FORWARD:
		conn_deadline(c, c->g->bounds.body_seconds);
		return exchange_body(c, body);
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
		return exchange_end(c, h1_trailers(c->h1));
	case EXCHANGE_API:
		return guest_api_end(c);
	case EXCHANGE_ANSWERED:
		c->x.sent_all = true;
		exchange_over(c);
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
		on_head(c);
		return g->conns[slot] == c;
	}
	return e == H1_END ? on_end(c) : true;
}

static bool
http_step(struct conn *c)
{
	struct span in = stream_input(c->s), body;
	enum h1_event e;
	size_t had;

	if (!may_read(c))
		return false;
	if (c->x.kind == EXCHANGE_FORWARD && in.n > c->x.credit)
		in.n = c->x.credit;
	if (in.n > 0 && c->x.kind == EXCHANGE_NONE && h1_idle(c->h1))
		conn_deadline(c, c->g->bounds.head_seconds);
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
		return http_step(c);
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
		exchange_settle(c);
		conn_process(c);
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
	ev_init(&c->deadline, on_deadline);
	c->deadline.data = c;
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

/* As good as it gets without a connection of our own. */
static void
too_many(int fd)
{
	struct problem p = {.reason = REASON_LIMIT_GUEST};
	struct answer_frame f = {.close = true};
	struct buf *b = buf_new(16 * 1024);

	if (b != NULL && problem_put(&p, f, b) == 0)
		(void)!write(fd, buf_span(b).p, buf_len(b)); /* best effort */
	buf_free(b);
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
