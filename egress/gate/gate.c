/* SPDX-License-Identifier: ISC */
/* What for: the gate as a whole: its parts, its clock, its cuts.
 * Trusts: the supervisor for who its siblings are.
 * At a bound: limits.h, messages/bounds.h; not ready means refused. */
#include "egress/gate/links.h"

#include "egress/gate/conn.h"
#include "egress/http/tls.h"
#include "messages/ca.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TICK_S 1.0
#define ACCEPTS_PER_TURN 16
/* A new intermediate is asked for when the old one has this long left. */
#define CA_SPARE_S (12 * 3600)
#define CA_AGAIN_S 5.0
/* How long a new minter has to say which families still live. */
#define DOUBT_S 5.0

struct tokens_now
gate_now(void)
{
	struct timespec boot, wall;

	(void)clock_gettime(CLOCK_BOOTTIME, &boot); /* cannot fail */
	(void)clock_gettime(CLOCK_REALTIME, &wall);
	return (struct tokens_now){.boot_ms = (uint64_t)boot.tv_sec * 1000 +
					      (uint64_t)boot.tv_nsec / 1000000,
	    .wall_s = wall.tv_sec};
}

bool
gate_link_lives(const struct link *l)
{
	return l != NULL && !link_broken(l);
}

bool
gate_tell(struct link *l, const struct msg_type *t, const void *m)
{
	return gate_link_lives(l) && link_send(l, t, m, -1) == 0;
}

bool
gate_ready(const struct gate *g)
{
	return g->session != NULL && g->leaves != NULL &&
	       gate_link_lives(g->courier) && gate_link_lives(g->minter);
}

bool
gate_starting(const struct gate *g)
{
	return !gate_ready(g) && uptime() < g->patience;
}

void
gate_be_patient(struct gate *g)
{
	g->patience = uptime() + LIMIT_PATIENCE_S;
}

bool
gate_congested(const struct gate *g)
{
	return gate_link_lives(g->courier) &&
	       link_queued(g->courier) > LIMIT_COURIER_QUEUE;
}

uint32_t
gate_new_id(struct gate *g, size_t slot)
{
	if (++g->sequence > UINT32_MAX / LIMIT_CONNS)
		g->sequence = 1;
	return g->sequence * LIMIT_CONNS + (uint32_t)slot;
}

struct conn *
gate_slot(const struct gate *g, uint32_t id)
{
	return g->conns[id % LIMIT_CONNS];
}

/* --------------------------------------------------------- connections */

void
gate_cut(struct gate *g, struct span family)
{
	tokens_cut(g->tokens, family);
	for (size_t i = 0; i < LIMIT_CONNS; i++) {
		struct conn *c = g->conns[i];
		if (c != NULL && (family.n == 0 || span_is(family, c->family)))
			conn_retire(c);
	}
}

void
gate_retire(struct gate *g)
{
	for (size_t i = 0; i < LIMIT_CONNS; i++) {
		if (g->conns[i] != NULL)
			conn_retire(g->conns[i]);
	}
}

void
gate_check_peers(struct gate *g)
{
	for (size_t i = 0; i < LIMIT_CONNS; i++) {
		struct conn *c = g->conns[i];
		if (c != NULL && c->uid != g->session->uid)
			conn_free(c);
	}
}

void
gate_courier_lost(struct gate *g)
{
	for (size_t i = 0; i < LIMIT_CONNS; i++) {
		struct conn *c = g->conns[i];
		if (c == NULL)
			continue;
		if (c->x.kind == EXCHANGE_FORWARD && !c->x.answered &&
		    !c->intercepted)
			exchange_reset(&c->x, REASON_RETIRED_CONNECTION);
		else if (c->id != 0 || c->x.kind == EXCHANGE_FORWARD ||
			 c->x.kind == EXCHANGE_TUNNEL)
			conn_free(c);
	}
}

void
gate_resume(struct gate *g)
{
	for (size_t i = 0; i < LIMIT_CONNS; i++) {
		if (g->conns[i] != NULL)
			conn_process(g->conns[i]);
	}
}

/* Connections of families that have ended go with them. */
static void
expire(struct gate *g)
{
	struct tokens_now now = gate_now();

	for (size_t i = 0; i < LIMIT_CONNS; i++) {
		struct conn *c = g->conns[i];
		if (c == NULL || c->family[0] == '\0' ||
		    tokens_alive(g->tokens, c->family, now) ||
		    tokens_doubted(g->tokens, c->family))
			continue;
		if (c->bound || c->x.kind != EXCHANGE_NONE)
			conn_retire(c);
		else
			c->family[0] = '\0'; /* its next request brings one */
	}
	if (g->session != NULL && g->session->expires_ms <= now.boot_ms)
		gate_cut(g, (struct span){0});
}

/* ------------------------------------------------------------------ CA */

void
gate_ask_ca(struct gate *g)
{
	struct buf *spki = buf_new(1024);
	struct ca_ask m = {0};

	g->ca_next = uptime() + CA_AGAIN_S;
	if (spki != NULL && ca_key_spki(g->key, spki) == 0) {
		m.rid = ++g->ca_rid;
		m.spki = buf_span(spki);
		/* If the vault is away it is asked again at the next tick. */
		g->ca_waiting = gate_tell(g->vault, &msg_ca_ask, &m);
	}
	buf_free(spki);
}

static bool
wants_ca(const struct gate *g)
{
	if (g->leaves == NULL)
		return true;
	return ca_issuer_expires(leaf_cache_issuer(g->leaves)) -
		   gate_now().wall_s <
	       CA_SPARE_S;
}

static void
on_tick(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct gate *g = w->data;
	bool rest = false;

	(void)loop;
	(void)events;
	if (g->doubt_until != 0 && uptime() > g->doubt_until) {
		g->doubt_until = 0;
		tokens_settle(g->tokens);
	}
	expire(g);
	for (size_t i = 0; i < LIMIT_CONNS; i++) {
		if (g->conns[i] != NULL)
			g->conns[i]->front->tick(g->conns[i]);
		if (g->conns[i] != NULL)
			rest |= stream_rest(g->conns[i]->s);
	}
	if (rest)
		(void)malloc_trim(0); /* what idle guests do not need */
	if (!gate_ready(g))
		gate_resume(g); /* some have waited long enough */
	if (wants_ca(g) && uptime() >= g->ca_next)
		gate_ask_ca(g);
}

/* ---------------------------------------------------------------- life */

static void
on_accept(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct gate *g = w->data;

	(void)loop;
	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = accept4(
		    g->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			conn_accept(g, fd);
		else if (errno != EINTR && errno != ECONNABORTED)
			break;
	}
}

static struct link **
place(struct gate *g, enum link_role role)
{
	if (role == LINK_COURIER)
		return &g->courier;
	if (role == LINK_MINTER)
		return &g->minter;
	return role == LINK_VAULT ? &g->vault : NULL;
}

int
gate_adopt(struct gate *g, enum link_role role, int fd)
{
	struct link **at = place(g, role), *old;
	int r;

	if (at == NULL) {
		close(fd);
		return ERR_ARGUMENT;
	}
	old = *at;
	*at = NULL;
	if (role == LINK_COURIER && old != NULL)
		gate_courier_lost(g);
	link_free(old);
	if (role == LINK_MINTER && old != NULL) {
		tokens_doubt(g->tokens);
		g->doubt_until = uptime() + DOUBT_S;
	}
	if ((r = links_open(g, role, fd, at)) != 0)
		return r;
	if (role == LINK_VAULT && wants_ca(g))
		gate_ask_ca(g);
	gate_resume(g);
	return 0;
}

void
gate_begin(struct gate *g, int listen_fd)
{
	gate_be_patient(g);
	ev_timer_start(g->loop, &g->tick);
	g->listen_fd = listen_fd;
	if (listen_fd >= 0)
		ev_io_set(&g->listener, listen_fd, EV_READ);
}

void
gate_bound(struct gate *g, const struct bounds *b)
{
	g->bounds = *b;
	if (g->listen_fd >= 0)
		ev_io_start(g->loop, &g->listener);
}

int
gate_new(struct ev_loop *loop, struct gate **out)
{
	struct gate *g = calloc(1, sizeof(*g));
	int r;

	if (g == NULL)
		return ERR_NOMEM;
	g->loop = loop;
	g->listen_fd = -1;
	ev_timer_init(&g->tick, on_tick, TICK_S, TICK_S);
	ev_init(&g->listener, on_accept);
	g->tick.data = g->listener.data = g;
	g->bounds = bounds_default();
	(void)((r = tls_init()) || (r = tls_server_context(&g->tls)) ||
	       (r = ca_key_new(&g->key)) || (r = tokens_new(&g->tokens)));
	if (r != 0) {
		gate_free(g);
		return r;
	}
	*out = g;
	return 0;
}

void
gate_free(struct gate *g)
{
	if (g == NULL)
		return;
	for (size_t i = 0; i < LIMIT_CONNS; i++) {
		if (g->conns[i] != NULL)
			conn_free(g->conns[i]);
	}
	ev_timer_stop(g->loop, &g->tick);
	ev_io_stop(g->loop, &g->listener);
	link_free(g->courier);
	link_free(g->minter);
	link_free(g->vault);
	leaf_cache_free(g->leaves);
	tokens_free(g->tokens);
	session_free(g->session);
	SSL_CTX_free(g->tls);
	EVP_PKEY_free(g->key);
	free(g);
}
