/* SPDX-License-Identifier: ISC */
/* The gate's core with the rest of the house played by the test: minter,
 * vault and courier on real links, guests on socketpairs. What reaches the
 * courier is written down as text. */
#ifndef TESTS_UNIT_GATE_DRIVER_H
#define TESTS_UNIT_GATE_DRIVER_H

#include "egress/gate/conn.h"
#include "egress/http/tls.h"
#include "keys/jwt.h"
#include "messages/channel.h"
#include "messages/ca.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define SESSION "s-test"
#define CHANNEL "unix:s-test"
#define ISSUER "http://hatcheck.internal"
#define FAMILY "f-one"

struct house {
	struct ev_loop *loop;
	struct gate *gate;
	struct link *courier, *minter, *vault;
	struct signing *keys;
	struct keep *root_key;
	struct buf *root;
	struct buf *trace; /* what the courier got, as text */
	struct buf *body;  /* request bodies and tunnels */
	bool refuse_ca;
	uint32_t stream, conn; /* the newest */
	uint32_t streams[TRAFFIC_STREAMS_MAX]; /* of requests, in order */
	uint32_t n_streams;
	uint32_t cut_done, asked, revoked;
	uint64_t window;
	char subject[64];
	char token[JWT_MAX + 1];
};

struct guest {
	struct house *house;
	int fd;
	char got[300000];
	size_t n;
	bool end;
};

static inline void
turn(struct house *h)
{
	for (int i = 0; i < 60; i++)
		ev_run(h->loop, EVRUN_NOWAIT);
}

static inline const char *
trace(struct house *h)
{
	static char text[1 << 16];

	assert_int_equal(span_copy(buf_span(h->trace), text, sizeof(text)), 0);
	return text;
}

static inline void
forget_trace(struct house *h)
{
	buf_reset(h->trace);
	buf_reset(h->body);
}

#define WRITE(h, ...) assert_int_equal(buf_printf((h)->trace, __VA_ARGS__), 0)
#define S(s) (int)(s).n, (const char *)(s).p

static inline int
on_connect(void *ctx, struct link *l, const void *m, int fd)
{
	const struct traffic_connect *t = m;
	struct house *h = ctx;

	(void)l;
	(void)fd;
	h->conn = t->conn;
	WRITE(h, "connect %.*s:%u %.*s\n", S(t->host), t->port, S(t->family));
	return 0;
}

static inline int
on_conn_end(void *ctx, struct link *l, const void *m, int fd)
{
	(void)l;
	(void)m;
	(void)fd;
	WRITE((struct house *)ctx, "conn_end\n");
	return 0;
}

static inline int
on_tunnel(void *ctx, struct link *l, const void *m, int fd)
{
	const struct traffic_tunnel *t = m;
	struct house *h = ctx;

	(void)l;
	(void)fd;
	h->stream = t->stream;
	WRITE(h, "tunnel %.*s\n", S(t->sni));
	return t->conn == h->conn ? 0 : ERR_FORMAT;
}

static inline int
on_request(void *ctx, struct link *l, const void *m, int fd)
{
	const struct traffic_request *t = m;
	struct span list = t->headers, name, value;
	struct house *h = ctx;

	(void)l;
	(void)fd;
	h->stream = t->stream;
	if (h->n_streams < TRAFFIC_STREAMS_MAX)
		h->streams[h->n_streams++] = t->stream;
	WRITE(h,
	    "request way=%u %.*s %.*s host=%.*s:%u sni=%.*s said=%.*s "
	    "grant=%.*s fam=%.*s body=%u/%llu ex=%u\n",
	    t->way, S(t->method), S(t->target), S(t->host), t->port, S(t->sni),
	    S(t->header_host), S(t->grant), S(t->family), t->body,
	    (unsigned long long)t->length, t->expect);
	while (headers_next(&list, &name, &value) == 0)
		WRITE(h, "[%.*s=%.*s]", S(name), S(value));
	return 0;
}

static inline int
on_body_frame(void *ctx, struct link *l, const void *m, int fd)
{
	const struct traffic_bytes *t = m;
	struct house *h = ctx;

	(void)l;
	(void)fd;
	assert_int_equal(buf_put_span(h->body, t->bytes), 0);
	return t->stream == h->stream ? 0 : ERR_FORMAT;
}

static inline int
on_end_frame(void *ctx, struct link *l, const void *m, int fd)
{
	const struct traffic_end *t = m;
	struct span list = t->trailers, name, value;
	struct house *h = ctx;

	(void)l;
	(void)fd;
	while (headers_next(&list, &name, &value) == 0)
		WRITE(h, "{%.*s=%.*s}", S(name), S(value));
	WRITE(h, "end\n");
	return 0;
}

static inline int
on_window_frame(void *ctx, struct link *l, const void *m, int fd)
{
	const struct traffic_window *t = m;

	(void)l;
	(void)fd;
	((struct house *)ctx)->window += t->credit;
	return 0;
}

static inline int
on_reset_frame(void *ctx, struct link *l, const void *m, int fd)
{
	(void)l;
	(void)m;
	(void)fd;
	WRITE((struct house *)ctx, "reset\n");
	return 0;
}

static inline int
on_note(void *ctx, struct link *l, const void *m, int fd)
{
	const struct traffic_note *t = m;

	(void)l;
	(void)fd;
	WRITE((struct house *)ctx, "note %s\n", reason_row(t->reason)->word);
	return 0;
}

static const struct link_rule courier_rules[] = {
    {&msg_traffic_connect, on_connect},
    {&msg_traffic_conn_end, on_conn_end},
    {&msg_traffic_tunnel, on_tunnel},
    {&msg_traffic_request, on_request},
    {&msg_traffic_bytes, on_body_frame},
    {&msg_traffic_end, on_end_frame},
    {&msg_traffic_window, on_window_frame},
    {&msg_traffic_reset, on_reset_frame},
    {&msg_traffic_note, on_note},
};

static inline int
on_cut_done(void *ctx, struct link *l, const void *m, int fd)
{
	const struct guest_cut_done *d = m;

	(void)l;
	(void)fd;
	((struct house *)ctx)->cut_done = d->serial;
	return 0;
}

static inline int
on_token_ask(void *ctx, struct link *l, const void *m, int fd)
{
	const struct guest_token_ask *a = m;
	struct house *h = ctx;

	(void)l;
	(void)fd;
	h->asked = a->rid;
	snprintf(h->subject, sizeof(h->subject), "%.*s/%.*s", S(a->grant_type),
	    S(a->subject_token));
	return 0;
}

static inline int
on_token_revoke(void *ctx, struct link *l, const void *m, int fd)
{
	const struct guest_token_revoke *a = m;

	(void)l;
	(void)fd;
	((struct house *)ctx)->revoked = a->rid;
	return 0;
}

static const struct link_rule minter_rules[] = {
    {&msg_guest_cut_done, on_cut_done},
    {&msg_guest_token_ask, on_token_ask},
    {&msg_guest_token_revoke, on_token_revoke},
};

static inline int
on_ca_ask(void *ctx, struct link *l, const void *m, int fd)
{
	static const char *const names[] = {"api.demo.test", "b.test"};
	const struct ca_ask *a = m;
	struct house *h = ctx;
	struct buf *cert = buf_new(CA_DER_MAX);
	struct ca_given g = {.rid = a->rid, .root = buf_span(h->root)};

	(void)fd;
	if (h->refuse_ca)
		g.err = ERR_LOCKED;
	else
		assert_int_equal(
		    ca_root_sign(buf_span(h->root), keep_reveal(h->root_key),
			a->spki, names, 2, time(NULL), cert),
		    0);
	g.intermediate = buf_span(cert);
	assert_int_equal(link_send(l, &msg_ca_given, &g, -1), 0);
	buf_free(cert);
	return 0;
}

static const struct link_rule vault_rules[] = {{&msg_ca_ask, on_ca_ask}};

static inline struct link *
join(struct house *h, enum link_role role, const struct link_rule *rules,
    size_t n)
{
	struct link_options o = {.self = role,
	    .peer = LINK_GATE,
	    .rules = rules,
	    .n_rules = n,
	    .ctx = h,
	    .queue_max = 8 * 1024 * 1024};
	struct link *l;
	int fd[2];

	assert_int_equal(link_pair(fd), 0);
	assert_int_equal(link_new(h->loop, fd[0], &o, &l), 0);
	assert_int_equal(gate_adopt(h->gate, role, fd[1]), 0);
	return l;
}

static inline struct link *
join_courier(struct house *h)
{
	return join(h, LINK_COURIER, courier_rules,
	    sizeof(courier_rules) / sizeof(courier_rules[0]));
}

static inline struct link *
join_minter(struct house *h)
{
	return join(h, LINK_MINTER, minter_rules, 3);
}

static inline void
say_session(struct house *h, uint32_t uid)
{
	struct buf *jwks = buf_new(JWKS_JSON_MAX);
	struct jwks set;
	struct guest_session m = {.session = span_str(SESSION),
	    .guest = span_str("tester"),
	    .issuer = span_str(ISSUER),
	    .channel = span_str(CHANNEL),
	    .channel_uid = uid,
	    .expires_ms = gate_now().boot_ms + 3600000,
	    .base_random = span_str("RaNdOm"),
	    .environment = span_str("{\"session\":\"s-test\"}"),
	    .routes = span_str("{\"hosts\":[\"api.demo.test:443\"],"
			       "\"tunnels\":[],\"bases\":"
			       "{\"demo-read\":\"api.demo.test:443\"}}")};

	signing_public(h->keys, time(NULL), &set);
	assert_int_equal(jwks_encode(&set, jwks), 0);
	m.jwks = buf_span(jwks);
	assert_int_equal(link_send(h->minter, &msg_guest_session, &m, -1), 0);
	buf_free(jwks);
}

static inline void
say_family(struct house *h, const char *family, uint64_t ms)
{
	struct guest_family m = {
	    .family = span_str(family), .expires_ms = gate_now().boot_ms + ms};

	assert_int_equal(link_send(h->minter, &msg_guest_family, &m, -1), 0);
}

static inline void
mint(struct house *h, const char *channel, const char *family, int64_t life,
    char out[static JWT_MAX + 1])
{
	struct jwt_claims c = {.iss = ISSUER,
	    .aud = TOKENS_AUDIENCE,
	    .sub = SESSION,
	    .client_id = "tester",
	    .jti = "j-1",
	    .iat = time(NULL) - (life < 0 ? 100 : 0),
	    .n_grants = 1,
	    .grants = {"demo-read"}};
	struct buf *b = buf_new(JWT_MAX);

	c.exp = c.iat + (life < 0 ? 50 : life);
	snprintf(c.channel, sizeof(c.channel), "%s", channel);
	snprintf(c.fam, sizeof(c.fam), "%s", family);
	assert_int_equal(jwt_sign(&c, h->keys, b), 0);
	assert_int_equal(span_copy(buf_span(b), out, JWT_MAX + 1), 0);
	buf_free(b);
}

static inline int
make_house(void **state)
{
	struct house *h = calloc(1, sizeof(*h));

	h->loop = ev_loop_new(EVFLAG_AUTO);
	h->trace = buf_new(1 << 20);
	h->body = buf_new(1 << 24);
	h->root = buf_new(CA_DER_MAX);
	assert_int_equal(signing_new(time(NULL), &h->keys), 0);
	assert_int_equal(
	    ca_root_new(SESSION, time(NULL), 86400, &h->root_key, h->root), 0);
	assert_int_equal(gate_new(h->loop, &h->gate), 0);
	gate_begin(h->gate, -1);
	*state = h;
	return 0;
}

static inline int
make_ready(void **state)
{
	make_house(state);
	struct house *h = *state;

	h->courier = join_courier(h);
	h->minter = join_minter(h);
	h->vault = join(h, LINK_VAULT, vault_rules, 1);
	say_session(h, getuid());
	say_family(h, FAMILY, 600000);
	mint(h, CHANNEL, FAMILY, 300, h->token);
	turn(h);
	assert_true(gate_ready(h->gate));
	return 0;
}

static inline int
drop_house(void **state)
{
	struct house *h = *state;

	gate_free(h->gate);
	link_free(h->courier);
	link_free(h->minter);
	link_free(h->vault);
	signing_free(h->keys);
	keep_free(h->root_key);
	buf_free(h->root);
	buf_free(h->trace);
	buf_free(h->body);
	ev_loop_destroy(h->loop);
	free(h);
	return 0;
}

/* -------------------------------------------------------------- guests */

static inline void
arrive(struct house *h, struct guest *g, void (*way)(struct gate *, int))
{
	int fd[2];

	memset(g, 0, sizeof(*g));
	assert_int_equal(socketpair(AF_UNIX,
			     SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd),
	    0);
	g->house = h;
	g->fd = fd[0];
	way(h->gate, fd[1]);
}

static inline void
come(struct house *h, struct guest *g)
{
	arrive(h, g, conn_accept);
}

/* By the supervisor, over vsock. */
static inline void
bring(struct house *h, struct guest *g)
{
	arrive(h, g, conn_take);
}

static inline void
take(struct guest *g)
{
	ssize_t n;

	turn(g->house);
	while ((n = recv(g->fd, g->got + g->n, sizeof(g->got) - 1 - g->n,
		    MSG_DONTWAIT)) > 0) {
		g->n += (size_t)n;
		turn(g->house);
	}
	g->got[g->n] = '\0';
	g->end = n == 0 || (n < 0 && errno == ECONNRESET);
}

static inline void
say_bytes(struct guest *g, const void *p, size_t n)
{
	const uint8_t *b = p;

	while (n > 0) {
		ssize_t w = send(g->fd, b, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (w > 0) {
			b += w;
			n -= (size_t)w;
		}
		turn(g->house);
		if (w < 0 && errno != EAGAIN)
			break;
	}
}

static inline void
say(struct guest *g, const char *fmt, ...)
{
	static char text[16384];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	assert_true(n > 0 && (size_t)n < sizeof(text));
	say_bytes(g, text, (size_t)n);
	take(g);
}

static inline void
leave(struct guest *g)
{
	close(g->fd);
	turn(g->house);
}

/* As if what is missing had been missing for long. */
static inline void
lose_patience(struct house *h)
{
	turn(h);
	h->gate->patience = 0;
	gate_resume(h->gate);
}

static inline void
hush(struct guest *g)
{
	g->n = 0;
	g->got[0] = '\0';
}

#define has(g, text)                                          \
	do {                                                  \
		if (strstr((g)->got, (text)) == NULL)         \
			print_message("got: %s\n", (g)->got); \
		assert_non_null(strstr((g)->got, (text)));    \
	} while (0)
#define traced(h, text)                                         \
	do {                                                    \
		if (strstr(trace(h), (text)) == NULL)           \
			print_message("trace: %s\n", trace(h)); \
		assert_non_null(strstr(trace(h), (text)));      \
	} while (0)
#define untraced(h, text) assert_null(strstr(trace(h), (text)))

/* The courier answers m, a head with that one field more; an interim one
 * below 200. */
static inline void
respond_head(struct house *h, struct traffic_response m, const char *name,
    struct span value)
{
	struct buf *b = buf_new(TRAFFIC_HEAD_MAX);

	assert_int_equal(headers_put(b, span_str(name), value), 0);
	m.headers = buf_span(b);
	assert_int_equal(
	    link_send(h->courier,
		m.status < 200 ? &msg_traffic_interim : &msg_traffic_response,
		&m, -1),
	    0);
	buf_free(b);
}

static inline void
respond(struct house *h, uint16_t status, uint8_t body, uint64_t length)
{
	respond_head(h,
	    (struct traffic_response){.stream = h->stream,
		.status = status,
		.body = body,
		.length = length},
	    "x-from", span_str("upstream"));
}

static inline void
respond_bytes(struct house *h, const void *p, size_t n)
{
	struct traffic_bytes m = {.stream = h->stream, .bytes = span_of(p, n)};

	assert_int_equal(link_send(h->courier, &msg_traffic_bytes, &m, -1), 0);
}

static inline void
respond_end(struct house *h)
{
	struct traffic_end m = {.stream = h->stream};

	assert_int_equal(link_send(h->courier, &msg_traffic_end, &m, -1), 0);
	turn(h);
}

static inline void
give_window(struct house *h, uint32_t credit)
{
	struct traffic_window m = {.stream = h->stream, .credit = credit};

	assert_int_equal(link_send(h->courier, &msg_traffic_window, &m, -1), 0);
	turn(h);
}

static inline void
allow_connect(struct house *h, uint8_t way)
{
	struct traffic_connect_done m = {.conn = h->conn, .way = way};

	assert_int_equal(
	    link_send(h->courier, &msg_traffic_connect_done, &m, -1), 0);
	turn(h);
}

static inline void
refuse_stream(struct house *h, uint32_t stream, enum reason why)
{
	struct traffic_refused m = {.stream = stream,
	    .reason = (uint16_t)why,
	    .grant = span_str("demo-read"),
	    .detail = span_str("a \"quoted\" detail")};

	assert_int_equal(
	    link_send(h->courier, &msg_traffic_refused, &m, -1), 0);
	turn(h);
}

#define GET_ABSOLUTE                                        \
	"GET http://api.demo.test/v1/x?a=b HTTP/1.1\r\n" \
	"Host: api.demo.test\r\n"

static inline void
attached(struct house *h, struct guest *g)
{
	come(h, g);
	say(g, "ATTACH %s\r\n", h->token);
	assert_int_equal(g->n, 0); /* success says nothing */
	assert_false(g->end);
}

#endif
