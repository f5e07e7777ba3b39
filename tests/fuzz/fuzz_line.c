/* SPDX-License-Identifier: ISC */
/* The courier's way out, line.c and call*.c, under a hostile upstream and an
 * owner that opens, ends and resets calls at any moment. upstream.c is played
 * here: connections are socketpairs without TLS, whose far ends the input
 * writes to. Nothing may be told twice, or without end. */
#include "egress/courier/call.h"
#include "tests/fuzz/fuzz.h"

#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALLS 8
#define UPSTREAMS 12
#define LOOKS_MAX 10000 /* of one step, at connections */

enum state { CONNECTING, OPEN, IDLE, BROKEN };

struct pool {
	struct ev_loop *loop;
	struct upstream *first;
	size_t n_idle, n_h2, n, looks;
	bool h1; /* known to speak that */
};

struct upstream {
	struct upstream *next;
	struct pool *pool;
	enum state state;
	enum upstream_protocol protocol;
	struct upstream_key key;
	struct stream *stream;
	struct h1 *parser;
	upstream_handler *handler;
	void *ctx;
	int far; /* the server's end */
	bool parked;
};

/* ------------------------------------------------------ upstream.c's part */

static void
report(struct upstream *u, enum upstream_event event, enum reason reason)
{
	if (u->handler != NULL)
		u->handler(u->ctx, u, event, reason);
}

static void
on_stream(void *ctx, struct stream *s, enum stream_event event, int err)
{
	struct upstream *u = ctx;

	(void)s;
	if (event == STREAM_BROKEN && u->handler != NULL) {
		u->state = BROKEN;
		report(u, UPSTREAM_BROKEN, REASON_UPSTREAM_BROKEN);
	} else if (event == STREAM_BROKEN || u->state == IDLE) {
		upstream_free(u);
	} else if (event == STREAM_INPUT) {
		report(u, UPSTREAM_INPUT, REASON_NONE);
	} else if (event == STREAM_EOF) {
		report(u, UPSTREAM_EOF,
		    err == 0 ? REASON_NONE : REASON_UPSTREAM_BROKEN);
	} else if (event == STREAM_DRAINED) {
		report(u, UPSTREAM_DRAINED, REASON_NONE);
	}
}

struct ev_loop *
pool_loop(const struct pool *p)
{
	return p->loop;
}

bool
pool_waits(const struct pool *p, const struct upstream_key *key)
{
	return !key->http1 && !p->h1;
}

bool
pool_shares(const struct pool *p)
{
	return p->n_h2 > 0;
}

static bool
same_key(const struct upstream_key *a, const struct upstream_key *b)
{
	return !a->tunnel && !b->tunnel && a->version == b->version &&
	       a->http1 == b->http1;
}

struct upstream *
upstream_like(
    struct pool *p, const struct upstream_key *key, struct upstream *after)
{
	struct upstream *u = after == NULL ? p->first : after->next;

	MUST(++p->looks < LOOKS_MAX);
	while (u != NULL && (u->handler == NULL || u->state == BROKEN ||
				!same_key(&u->key, key)))
		u = u->next;
	return u;
}

static struct upstream *
take_idle(struct pool *p, const struct upstream_key *key)
{
	struct upstream *u = p->first;

	while (u != NULL && (u->state != IDLE || !same_key(&u->key, key)))
		u = u->next;
	if (u == NULL)
		return NULL;
	if (!stream_quiet(u->stream)) {
		upstream_free(u);
		return NULL;
	}
	p->n_idle--;
	u->state = OPEN;
	return u;
}

int
upstream_get(struct pool *p, const struct upstream_key *key, const char *ca_pem,
    upstream_handler *handler, void *ctx, struct upstream **out)
{
	struct upstream *u = take_idle(p, key);

	(void)ca_pem;
	if (u == NULL && p->n == UPSTREAMS)
		return ERR_UNAVAILABLE;
	if (u == NULL) {
		u = calloc(1, sizeof(*u));
		MUST(u != NULL);
		MUST(h1_new(H1_RESPONSE, &u->parser) == 0);
		u->pool = p;
		u->key = *key;
		u->far = -1;
		u->next = p->first;
		p->first = u;
		p->n++;
	}
	u->handler = handler;
	u->ctx = ctx;
	*out = u;
	return 0;
}

const struct upstream_key *
upstream_key(const struct upstream *u)
{
	return &u->key;
}

void *
upstream_owner(const struct upstream *u)
{
	return u->ctx;
}

bool
upstream_open(const struct upstream *u)
{
	return u->state == OPEN;
}

enum upstream_protocol
upstream_protocol(const struct upstream *u)
{
	return u->protocol;
}

struct stream *
upstream_stream(struct upstream *u)
{
	return u->stream;
}

struct h1 *
upstream_parser(struct upstream *u)
{
	return u->parser;
}

struct span
upstream_address(const struct upstream *u)
{
	(void)u;
	return span_str("127.0.0.1:1");
}

void
upstream_release(struct upstream *u)
{
	if (u->state != OPEN || u->key.tunnel || !stream_empty(u->stream)) {
		upstream_free(u);
		return;
	}
	h1_start(u->parser, false);
	u->handler = NULL;
	u->state = IDLE;
	u->pool->n_idle++;
}

bool
upstream_park(struct upstream *u)
{
	if (u->parked)
		return true;
	if (u->state != OPEN || u->pool->n_idle >= 2)
		return false;
	u->pool->n_idle++;
	return u->parked = true;
}

void
upstream_unpark(struct upstream *u)
{
	MUST(u->state != CONNECTING); /* it would lose its deadline */
	if (u->parked)
		u->pool->n_idle--;
	u->parked = false;
}

void
upstream_free(struct upstream *u)
{
	struct upstream **at;

	if (u == NULL)
		return;
	for (at = &u->pool->first; *at != u; at = &(*at)->next)
		;
	*at = u->next;
	u->pool->n--;
	if (u->state == IDLE || u->parked)
		u->pool->n_idle--;
	u->pool->n_h2 -= u->protocol == UPSTREAM_H2;
	stream_free(u->stream);
	h1_free(u->parser);
	if (u->far >= 0)
		close(u->far);
	free(u);
}

static void
connected(struct upstream *u, bool h2)
{
	int fd[2], type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

	if (u->state != CONNECTING)
		return;
	MUST(socketpair(AF_UNIX, type, 0, fd) == 0);
	MUST(stream_new(u->pool->loop, fd[0], on_stream, u, &u->stream) == 0);
	u->far = fd[1];
	u->state = OPEN;
	u->protocol = u->key.tunnel	    ? UPSTREAM_PLAIN
		      : h2 && !u->key.http1 ? UPSTREAM_H2
					    : UPSTREAM_H1;
	u->pool->n_h2 += u->protocol == UPSTREAM_H2;
	u->pool->h1 = u->protocol == UPSTREAM_H1;
	report(u, UPSTREAM_OPEN, REASON_NONE);
}

/* --------------------------------------------------- the owner's, exchanges */

struct owner {
	struct world *w;
	struct call *k; /* NULL: none */
	struct upstream_key key;
	uint8_t mood; /* when it gives up, what it asks, how slow it reads */
	unsigned tries;
	bool sent, ended, over;
};

struct world {
	struct pool pool;
	struct owner owners[CALLS];
};

enum {
	WITH_BODY = 1,
	TO_HEAD = 2,
	UPGRADE = 4,
	SLOW = 8,
	LEAVE_AT_OPEN = 16,
	LEAVE_AT_HEAD = 32,
	LEAVE_AT_BYTES = 64
};

static void on_call(void *ctx, enum call_event event, enum reason reason);

static void
leave(struct owner *o)
{
	call_free(o->k);
	o->k = NULL;
}

static void
send_head(struct owner *o)
{
	struct head h;
	int r;

	o->sent = true;
	if (o->key.tunnel)
		return;
	head_init(&h);
	h.method = span_str(o->mood & TO_HEAD ? "HEAD" : "POST");
	h.target = span_str("/");
	h.upgrade = o->key.http1;
	h.body = o->mood & WITH_BODY && !h.upgrade ? HEAD_BODY_CHUNKED
						   : HEAD_BODY_NONE;
	o->ended = h.body == HEAD_BODY_NONE;
	MUST(head_add(&h, span_str("host"), span_str("a")) == 0);
	r = call_send(o->k, &h, 1);
	head_clear(&h);
	MUST(r == 0 || r == ERR_UNAVAILABLE);
	if (r != 0)
		on_call(o, CALL_UNUSED, REASON_NONE);
}

static void
begin(struct owner *o)
{
	o->sent = o->ended = o->over = false;
	if (call_new(&o->w->pool, &o->key, NULL, on_call, o, &o->k) != 0)
		o->k = NULL;
	else if (call_is_open(o->k))
		send_head(o);
}

/* False: it is over, one way or another. */
static bool
take_piece(struct owner *o, bool *more)
{
	struct call_piece p;

	*more = false;
	if (call_next(o->k, o->mood & SLOW ? 1 : 65536, &p) != 0) {
		leave(o);
		return false;
	}
	*more = p.kind != CALL_NOTHING;
	if ((p.kind == CALL_HEAD && o->mood & LEAVE_AT_HEAD) ||
	    (p.kind == CALL_BYTES && o->mood & LEAVE_AT_BYTES)) {
		leave(o);
		return false;
	}
	if (p.kind == CALL_HEAD && p.head->status == 101)
		o->ended = false;
	if (p.kind == CALL_BYTES)
		call_took(o->k);
	if (p.kind != CALL_END)
		return true;
	o->over = true;
	if (o->ended)
		call_finish(o->k);
	else
		call_free(o->k);
	o->k = NULL;
	return false;
}

static bool
take(struct owner *o)
{
	bool more = true;

	if (!o->sent)
		return true;
	while (more && take_piece(o, &more)) {
		if (o->mood & SLOW)
			return true;
	}
	return o->k != NULL;
}

static void
on_call(void *ctx, enum call_event event, enum reason reason)
{
	struct owner *o = ctx;

	(void)reason;
	MUST(o->k != NULL && !o->over);
	switch (event) {
	case CALL_OPEN:
		MUST(!o->sent);
		if (o->mood & LEAVE_AT_OPEN)
			leave(o);
		else
			send_head(o);
		break;
	case CALL_INPUT:
	case CALL_DRAINED:
		(void)take(o);
		break;
	case CALL_UNUSED:
		leave(o);
		if (++o->tries < 3)
			begin(o);
		break;
	case CALL_BROKEN:
		if (take(o))
			leave(o);
		break;
	}
}

static void
body(struct owner *o, size_t n)
{
	static const uint8_t bytes[65536];

	if (o->k == NULL || !o->sent || o->ended || call_room(o->k) == 0)
		return;
	n = n < call_room(o->k) ? n : call_room(o->k);
	if (n > 0 && call_body(o->k, span_of(bytes, n)) != 0)
		leave(o);
}

static void
end(struct owner *o)
{
	if (o->k == NULL || !o->sent || o->ended)
		return;
	o->ended = true;
	if (call_end(o->k, NULL) != 0)
		leave(o);
}

/* ------------------------------------------------------------- the input */

static uint8_t
byte(struct span *in)
{
	uint8_t b = in->n > 0 ? in->p[0] : 0;

	*in = span_from(*in, 1);
	return b;
}

static struct upstream *
pick(struct world *w, uint8_t which)
{
	struct upstream *u = w->pool.first;

	for (which %= UPSTREAMS; u != NULL && which > 0; which--)
		u = u->next;
	return u;
}

static void
turn(struct world *w)
{
	for (int i = 0; i < 3; i++) {
		w->pool.looks = 0;
		ev_run(w->pool.loop, EVRUN_NOWAIT);
	}
}

static void
serve(struct upstream *u, struct span bytes)
{
	if (u != NULL && u->far >= 0 && bytes.n > 0)
		(void)!send(u->far, bytes.p, bytes.n, MSG_NOSIGNAL);
}

/* A frame that is well formed, of one of the first streams. */
static void
serve_frame(struct upstream *u, struct span *in)
{
	uint8_t type = byte(in), flags = byte(in), id = byte(in);
	struct span load = span_of(in->p, in->n < 4 ? in->n : 4);
	uint8_t frame[9 + 4];
	size_t n = load.n;

	type %= 10;
	if (type == 4)
		n = 0;
	else if (n > 0)
		memcpy(frame + 9, load.p, n);
	if (type == 1 && n > 0)
		frame[9] = 0x88 + flags / 64; /* a status of the table */
	if (type == 1)
		n = n > 0;
	frame[0] = frame[1] = frame[5] = frame[6] = frame[7] = 0;
	frame[2] = (uint8_t)n;
	frame[3] = type;
	frame[4] = type == 1 ? 4 | (flags & 1) : flags & 1;
	frame[8] = type == 4 || type == 6 || type == 7 ? 0 : id % 16;
	*in = span_from(*in, load.n);
	serve(u, span_of(frame, 9 + n));
}

static void
drain(struct upstream *u)
{
	uint8_t raw[4096];

	while (u != NULL && u->far >= 0 &&
	       recv(u->far, raw, sizeof(raw), MSG_DONTWAIT) > 0)
		;
}

static void
start(struct world *w, struct owner *o, uint8_t how)
{
	if (o->k != NULL)
		return;
	*o = (struct owner){.w = w,
	    .mood = how,
	    .key = {.version = how & 1,
		.tunnel = (how & 0xc0) == 0xc0,
		.http1 = (how & UPGRADE) != 0}};
	begin(o);
}

static void
step(struct world *w, struct span *in)
{
	uint8_t op = byte(in), arg = byte(in);
	struct owner *o = &w->owners[arg % CALLS];
	struct upstream *u = pick(w, arg);
	struct span some = span_of(in->p, in->n < arg ? in->n : arg);

	switch (op % 12) {
	case 0:
	case 1:
		start(w, o, byte(in));
		break;
	case 2:
		leave(o);
		break;
	case 3:
		call_cut(o->k);
		o->k = NULL;
		break;
	case 4:
		body(o, (size_t)byte(in) << 8);
		break;
	case 5:
		end(o);
		break;
	case 6:
		if (u != NULL)
			connected(u, op & 0x80);
		break;
	case 7:
		if (u != NULL && u->handler != NULL && u->state < IDLE &&
		    op & 0x80)
			report(u, UPSTREAM_RETIRED, REASON_NONE);
		else if (u != NULL && u->state == CONNECTING) {
			u->state = BROKEN;
			report(u, UPSTREAM_BROKEN, REASON_CONNECT_FAILED);
		}
		break;
	case 8:
		serve(u, some);
		*in = span_from(*in, some.n);
		break;
	case 9:
		serve_frame(u, in);
		break;
	case 10:
		if (u != NULL && u->far >= 0)
			(void)shutdown(u->far, op & 0x80 ? SHUT_RDWR : SHUT_WR);
		break;
	case 11:
		drain(u);
		if (o->k != NULL)
			(void)take(o);
		break;
	}
	if (op & 0x40)
		turn(w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = {0};
	struct span in = span_of(data, size);

	MUST(sodium_init() >= 0);
	w.pool.loop = ev_loop_new(EVBACKEND_POLL);
	MUST(w.pool.loop != NULL);
	while (in.n > 0)
		step(&w, &in);
	turn(&w);
	for (size_t i = 0; i < CALLS; i++)
		leave(&w.owners[i]);
	turn(&w);
	/* What nobody uses is idle or parked, at most. */
	for (struct upstream *u = w.pool.first; u != NULL; u = u->next)
		MUST(u->state == IDLE || u->parked);
	while (w.pool.first != NULL) {
		struct upstream *u = w.pool.first;
		if (u->handler != NULL)
			report(u, UPSTREAM_RETIRED, REASON_NONE);
		else
			upstream_free(u);
	}
	ev_loop_destroy(w.pool.loop);
	return 0;
}
