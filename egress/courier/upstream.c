/* SPDX-License-Identifier: ISC */
/* What for: verified connections and their reuse. Trusts: the dialer for
 * the address, OpenSSL and the trust anchors for who is there. At a bound:
 * the connection is dropped. */
#include "egress/courier/upstream.h"

#include "egress/courier/h1_hosts.h"
#include "egress/http/tls.h"
#include "lib/log.h"

#include <malloc.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <unistd.h>

enum state { DIALING, HANDSHAKE, OPEN, IDLE, BROKEN };

struct upstream {
	/* What a walk through all of them looks at comes first. */
	struct upstream *next;
	struct pool *pool;
	enum state state;
	enum upstream_protocol protocol;
	bool parked;
	struct upstream_key key;
	uint32_t rid; /* of the dial */
	SSL_CTX *trust;
	struct stream *stream;
	struct h1 *parser;
	struct ev_timer timer; /* connecting, or idling */
	upstream_handler *handler;
	void *ctx;
	char address[65];
};

struct pool {
	struct ev_loop *loop;
	struct link *dialer;
	int (*check)(void *ctx); /* before each send */
	void *check_ctx;
	struct anchors *anchors;
	struct upstream *first;
	struct h1_hosts h1;
	size_t n_idle, n_h2;
	uint64_t idle_max, idle_seconds;
	uint32_t next_rid;
};

static void
report(struct upstream *u, enum upstream_event event, enum reason reason)
{
	if (u->handler != NULL)
		u->handler(u->ctx, u, event, reason);
}

static void
fail(struct upstream *u, enum reason reason)
{
	if (u->handler == NULL) { /* the pool's own */
		upstream_free(u);
		return;
	}
	ev_timer_stop(u->pool->loop, &u->timer);
	u->state = BROKEN;
	report(u, UPSTREAM_BROKEN, reason);
}

static void
log_tls(const struct upstream *u)
{
	SSL *ssl = u->stream == NULL ? NULL : stream_ssl(u->stream);
	long e = ssl == NULL ? X509_V_OK : SSL_get_verify_result(ssl);

	log_event(LOG_WARN, "upstream_tls_refused",
	    LOG_STR("host", u->key.host), LOG_INT("port", u->key.port),
	    LOG_STR("why",
		e != X509_V_OK ? X509_verify_cert_error_string(e) : tls_why()));
}

static void
on_broken(struct upstream *u, int err)
{
	if (u->state == HANDSHAKE && err == ERR_CRYPTO) {
		log_tls(u);
		fail(u, REASON_UPSTREAM_TLS);
	} else if (u->state == HANDSHAKE) {
		fail(u, REASON_CONNECT_FAILED);
	} else {
		fail(u, REASON_UPSTREAM_BROKEN);
	}
}

static void
on_open(struct upstream *u)
{
	SSL *ssl = stream_ssl(u->stream);
	bool h2 = false;

	if (ssl != NULL && tls_chosen(ssl, !u->key.http1, &h2) != 0) {
		log_event(LOG_WARN, "upstream_tls_refused",
		    LOG_STR("host", u->key.host), LOG_INT("port", u->key.port),
		    LOG_STR("why", "it chose a protocol that was not offered"));
		fail(u, REASON_UPSTREAM_TLS);
		return;
	}
	ev_timer_stop(u->pool->loop, &u->timer);
	u->state = OPEN;
	u->protocol = h2	      ? UPSTREAM_H2
		      : u->key.tunnel ? UPSTREAM_PLAIN
				      : UPSTREAM_H1;
	u->pool->n_h2 += h2;
	if (!u->key.tunnel && !u->key.http1)
		h1_hosts_note(&u->pool->h1, u->key.host, u->key.port, h2);
	report(u, UPSTREAM_OPEN, REASON_NONE);
}

static void
on_stream(void *ctx, struct stream *s, enum stream_event event, int err)
{
	struct upstream *u = ctx;

	(void)s;
	if (event == STREAM_BROKEN)
		on_broken(u, err);
	else if (event == STREAM_OPEN)
		on_open(u);
	else if (u->state == HANDSHAKE && event == STREAM_EOF)
		fail(u, REASON_CONNECT_FAILED);
	else if (u->state == IDLE)
		upstream_free(u); /* an idle server has nothing to say */
	else if (u->state != OPEN)
		return;
	else if (event == STREAM_INPUT)
		report(u, UPSTREAM_INPUT, REASON_NONE);
	else if (event == STREAM_EOF)
		report(u, UPSTREAM_EOF,
		    err == 0 ? REASON_NONE : REASON_UPSTREAM_BROKEN);
	else if (event == STREAM_DRAINED)
		report(u, UPSTREAM_DRAINED, REASON_NONE);
}

static void
on_timer(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct upstream *u = w->data;

	(void)loop;
	(void)events;
	if (u->state == IDLE)
		upstream_free(u);
	else if (u->state == OPEN) /* parked */
		report(u, UPSTREAM_RETIRED, REASON_NONE);
	else
		fail(u, REASON_CONNECT_FAILED);
}

static void
arm(struct upstream *u, double seconds)
{
	ev_timer_stop(u->pool->loop, &u->timer);
	ev_timer_set(&u->timer, seconds, 0.);
	ev_timer_start(u->pool->loop, &u->timer);
}

int
pool_new(struct ev_loop *loop, struct pool **out)
{
	struct bounds usual = bounds_default();
	struct pool *p = calloc(1, sizeof(*p));
	int r = p == NULL ? ERR_NOMEM : anchors_new(&p->anchors);

	if (r != 0) {
		free(p);
		return r;
	}
	p->loop = loop;
	pool_bound(p, &usual);
	*out = p;
	return 0;
}

void
pool_before_send(struct pool *p, int (*check)(void *ctx), void *ctx)
{
	p->check = check;
	p->check_ctx = ctx;
}

struct ev_loop *
pool_loop(const struct pool *p)
{
	return p->loop;
}

void
pool_bound(struct pool *p, const struct bounds *b)
{
	p->idle_max = b->upstream_idle;
	p->idle_seconds = b->upstream_idle_seconds;
}

void
pool_use(struct pool *p, struct link *dialer)
{
	struct upstream *u;

	p->dialer = dialer;
again: /* a handler may free any of them */
	for (u = p->first; u != NULL; u = u->next) {
		if (u->state == DIALING) {
			fail(u, REASON_NOT_READY);
			goto again;
		}
	}
}

void
pool_drop(struct pool *p)
{
	for (struct upstream *u = p->first, *next; u != NULL; u = next) {
		next = u->next; /* each may free itself, and no other */
		if (u->state == IDLE)
			upstream_free(u);
		else
			report(u, UPSTREAM_RETIRED, REASON_NONE);
	}
	anchors_forget(p->anchors);
}

void
pool_rest(struct pool *p)
{
	bool rest = false;

	for (struct upstream *u = p->first; u != NULL; u = u->next) {
		if (u->stream != NULL)
			rest |= stream_rest(u->stream);
	}
	if (rest)
		(void)malloc_trim(0);
}

static bool
same_key(const struct upstream_key *a, const struct upstream_key *b)
{
	return !a->tunnel && !b->tunnel && strcmp(a->family, b->family) == 0 &&
	       strcmp(a->grant, b->grant) == 0 &&
	       strcmp(a->credential, b->credential) == 0 &&
	       a->version == b->version && a->http1 == b->http1 &&
	       strcmp(a->host, b->host) == 0 && a->port == b->port &&
	       memcmp(a->trust, b->trust, sizeof(a->trust)) == 0;
}

struct upstream *
upstream_like(
    struct pool *p, const struct upstream_key *key, struct upstream *after)
{
	struct upstream *u = after == NULL ? p->first : after->next;

	while (u != NULL && (u->handler == NULL || u->state == BROKEN ||
				!same_key(&u->key, key)))
		u = u->next;
	return u;
}

bool
pool_shares(const struct pool *p)
{
	return p->n_h2 > 0;
}

bool
pool_waits(const struct pool *p, const struct upstream_key *key)
{
	return !key->http1 && !h1_hosts_has(&p->h1, key->host, key->port);
}

static struct upstream *
take_idle(struct pool *p, const struct upstream_key *key)
{
	for (struct upstream *u = p->first, *next; u != NULL; u = next) {
		next = u->next;
		if (u->state != IDLE || !same_key(&u->key, key))
			continue;
		if (!stream_quiet(u->stream)) {
			upstream_free(u);
			continue;
		}
		ev_timer_stop(p->loop, &u->timer);
		p->n_idle--;
		u->state = OPEN;
		return u;
	}
	return NULL;
}

static int
dial(struct upstream *u)
{
	struct pool *p = u->pool;
	struct dial_ask m = {
	    .rid = u->rid, .host = span_str(u->key.host), .port = u->key.port};

	if (p->dialer == NULL || link_broken(p->dialer))
		return ERR_UNAVAILABLE;
	return link_send(p->dialer, &msg_dial_ask, &m, -1);
}

static int
make(struct pool *p, const struct upstream_key *key, const char *ca_pem,
    struct upstream **out)
{
	struct upstream *u = calloc(1, sizeof(*u));
	int r;

	if (u == NULL)
		return ERR_NOMEM;
	u->pool = p;
	u->key = *key;
	u->rid = ++p->next_rid;
	ev_timer_init(&u->timer, on_timer, 0., 0.);
	u->timer.data = u;
	if ((r = anchors_context(p->anchors, ca_pem, &u->trust)) != 0 ||
	    (r = h1_new(H1_RESPONSE, &u->parser)) != 0 || (r = dial(u)) != 0) {
		h1_free(u->parser);
		free(u);
		return r;
	}
	SSL_CTX_up_ref(u->trust);
	u->next = p->first;
	p->first = u;
	arm(u, UPSTREAM_CONNECT_S);
	*out = u;
	return 0;
}

int
upstream_get(struct pool *p, const struct upstream_key *key, const char *ca_pem,
    upstream_handler *handler, void *ctx, struct upstream **out)
{
	struct upstream *u = take_idle(p, key);
	int r = u == NULL ? make(p, key, ca_pem, &u) : 0;

	if (r != 0)
		return r;
	u->handler = handler;
	u->ctx = ctx;
	*out = u;
	return 0;
}

static struct upstream *
find_dial(const struct pool *p, uint32_t rid)
{
	struct upstream *u = p->first;

	while (u != NULL && (u->state != DIALING || u->rid != rid))
		u = u->next;
	return u;
}

static enum reason
reason_of_dial(int err)
{
	switch (err) {
	case ERR_DENIED:
		return REASON_ADDRESS_FORBIDDEN;
	case ERR_NOT_FOUND:
		return REASON_DNS_FAILED;
	case ERR_EXPIRED:
		return REASON_DNS_SILENT;
	case ERR_IO:
		return REASON_PROXY_FAILED;
	default:
		return REASON_CONNECT_FAILED;
	}
}

static int
start_tls(struct upstream *u)
{
	SSL *ssl = NULL;
	int r = tls_client(u->trust, u->key.host, !u->key.http1, &ssl);

	return r != 0 ? r : stream_start_tls(u->stream, ssl);
}

static int
connected(struct upstream *u, int fd)
{
	int r = stream_new(u->pool->loop, fd, on_stream, u, &u->stream);

	if (r != 0)
		return r;
	stream_before_send(u->stream, u->pool->check, u->pool->check_ctx);
	if (u->key.tunnel) {
		on_open(u);
		return 0;
	}
	u->state = HANDSHAKE;
	arm(u, UPSTREAM_CONNECT_S);
	return start_tls(u);
}

int
pool_dialed(struct pool *p, const struct dial_done *m, int fd)
{
	struct upstream *u = find_dial(p, m->rid);

	if ((m->err == 0) != (fd >= 0) || m->rid == 0 || m->rid > p->next_rid) {
		if (fd >= 0)
			close(fd);
		return ERR_FORMAT;
	}
	if (u == NULL) { /* given up meanwhile */
		if (fd >= 0)
			close(fd);
		return 0;
	}
	if (m->err != 0) {
		fail(u, reason_of_dial(m->err));
		return 0;
	}
	int r = span_copy(m->address, u->address, sizeof(u->address));
	if (r != 0) {
		close(fd);
		return r;
	}
	if (connected(u, fd) != 0)
		fail(u, REASON_INTERNAL);
	return 0;
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
	return span_str(u->address);
}

void
upstream_release(struct upstream *u)
{
	if (u->state != OPEN || u->key.tunnel || u->pool->dialer == NULL ||
	    u->pool->n_idle >= u->pool->idle_max || !stream_empty(u->stream)) {
		upstream_free(u);
		return;
	}
	h1_start(u->parser, false);
	u->handler = NULL;
	u->state = IDLE;
	u->pool->n_idle++;
	arm(u, u->pool->idle_seconds);
}

bool
upstream_park(struct upstream *u)
{
	struct pool *p = u->pool;

	if (u->parked)
		return true;
	if (u->state != OPEN || p->dialer == NULL || p->n_idle >= p->idle_max)
		return false;
	p->n_idle++;
	u->parked = true;
	arm(u, (double)p->idle_seconds);
	return true;
}

void
upstream_unpark(struct upstream *u)
{
	if (u->parked)
		u->pool->n_idle--;
	u->parked = false;
	ev_timer_stop(u->pool->loop, &u->timer);
}

static void
cancel_dial(struct upstream *u)
{
	struct pool *p = u->pool;

	if (u->state == DIALING && p->dialer != NULL &&
	    !link_broken(p->dialer)) {
		struct dial_cancel m = {.rid = u->rid};
		if (link_send(p->dialer, &msg_dial_cancel, &m, -1) != 0)
			log_event(LOG_WARN, "dial_cancel_lost",
			    LOG_INT("rid", u->rid));
	}
}

void
upstream_free(struct upstream *u)
{
	if (u == NULL)
		return;
	struct upstream **p = &u->pool->first;
	while (*p != u)
		p = &(*p)->next;
	*p = u->next;
	cancel_dial(u);
	if (u->state == IDLE || u->parked)
		u->pool->n_idle--;
	u->pool->n_h2 -= u->protocol == UPSTREAM_H2;
	ev_timer_stop(u->pool->loop, &u->timer);
	stream_free(u->stream);
	h1_free(u->parser);
	SSL_CTX_free(u->trust);
	free(u);
}
