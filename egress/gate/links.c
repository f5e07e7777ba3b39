/* SPDX-License-Identifier: ISC */
/* What for: messages of minter, vault and courier, as tables.
 * Trusts: that a sibling is who the supervisor says; not its manners: what
 * breaks the protocol is fatal to this process.
 * At a bound: the link breaks. */
#include "egress/gate/links.h"

#include "egress/gate/conn.h"
#include "egress/gate/guest_api.h"
#include "messages/ca.h"

#define CA_AGAIN_S 5.0
#define LOW_WATER (256 * 1024)

/* -------------------------------------------------------------- minter */

static int
on_session(void *ctx, struct link *l, const void *m, int fd)
{
	struct gate *g = ctx;
	struct session *s;
	int r = session_new(m, &s);

	(void)l;
	(void)fd;
	if (r != 0)
		return r;
	session_free(g->session);
	g->session = s;
	tokens_forget(g->tokens);
	gate_check_peers(g);
	gate_resume(g);
	return 0;
}

static int
on_family(void *ctx, struct link *l, const void *m, int fd)
{
	const struct guest_family *f = m;
	struct gate *g = ctx;

	(void)l;
	(void)fd;
	return tokens_family(g->tokens, f->family, gate_now(), f->expires_ms);
}

static int
on_cut(void *ctx, struct link *l, const void *m, int fd)
{
	const struct guest_cut *cut = m;
	struct guest_cut_done done = {.serial = cut->serial};

	(void)fd;
	gate_cut(ctx, cut->family);
	return link_send(l, &msg_guest_cut_done, &done, -1);
}

static int
on_token_given(void *ctx, struct link *l, const void *m, int fd)
{
	const struct guest_token_given *given = m;
	struct conn *c = gate_slot(ctx, given->rid);

	(void)l;
	(void)fd;
	if (c != NULL && c->x.id == given->rid)
		guest_api_given(c, given);
	return 0;
}

static const struct link_rule from_minter[] = {
    {&msg_guest_session, on_session},
    {&msg_guest_family, on_family},
    {&msg_guest_cut, on_cut},
    {&msg_guest_token_given, on_token_given},
};

/* --------------------------------------------------------------- vault */

static int
on_ca_given(void *ctx, struct link *l, const void *m, int fd)
{
	const struct ca_given *given = m;
	struct gate *g = ctx;
	struct leaf_cache *leaves;

	(void)l;
	(void)fd;
	if (given->rid != g->ca_rid || !g->ca_waiting)
		return 0; /* an older question */
	g->ca_waiting = false;
	g->ca_next = uptime() + CA_AGAIN_S;
	if (given->err != 0) {
		log_event(LOG_WARN, "no_intermediate", LOG_ERR(given->err));
		return 0;
	}
	int r = leaf_cache_new(given->intermediate, given->root, g->key,
	    gate_now().wall_s, &leaves);
	if (r != 0)
		return r;
	leaf_cache_free(g->leaves);
	g->leaves = leaves;
	g->ca_next = 0;
	gate_resume(g);
	return 0;
}

static int
on_ca_stale(void *ctx, struct link *l, const void *m, int fd)
{
	(void)l;
	(void)m;
	(void)fd;
	gate_ask_ca(ctx);
	return 0;
}

static const struct link_rule from_vault[] = {
    {&msg_ca_given, on_ca_given},
    {&msg_ca_stale, on_ca_stale},
};

/* ------------------------------------------------------------- courier */

/* NULL: it has ended here, and what was under way is dropped. */
static struct exchange *
of_stream(const struct gate *g, uint32_t stream)
{
	struct conn *c = gate_slot(g, stream);
	struct exchange *x;

	if (c == NULL || stream == 0 ||
	    (x = c->front->find(c, stream)) == NULL ||
	    (x->kind != EXCHANGE_FORWARD && x->kind != EXCHANGE_TUNNEL))
		return NULL;
	return x;
}

static struct conn *
of_connect(const struct gate *g, uint32_t id)
{
	struct conn *c = gate_slot(g, id);

	return c != NULL && c->id == id && id != 0 &&
		       c->state == CONN_CONNECTING
		   ? c
		   : NULL;
}

static int
on_connect_done(void *ctx, struct link *l, const void *m, int fd)
{
	const struct traffic_connect_done *d = m;
	struct conn *c = of_connect(ctx, d->conn);

	(void)l;
	(void)fd;
	return c == NULL ? 0 : connect_done(c, d->way);
}

static int
on_interim(void *ctx, struct link *l, const void *m, int fd)
{
	const struct traffic_response *t = m;
	struct exchange *x = of_stream(ctx, t->stream);

	(void)l;
	(void)fd;
	return x == NULL ? 0 : exchange_interim(x, t);
}

static int
on_response(void *ctx, struct link *l, const void *m, int fd)
{
	const struct traffic_response *t = m;
	struct exchange *x = of_stream(ctx, t->stream);

	(void)l;
	(void)fd;
	return x == NULL ? 0 : exchange_response(x, t);
}

static int
on_bytes(void *ctx, struct link *l, const void *m, int fd)
{
	const struct traffic_bytes *t = m;
	struct exchange *x = of_stream(ctx, t->stream);

	(void)l;
	(void)fd;
	return x == NULL ? 0 : exchange_bytes(x, t->bytes);
}

static int
on_end(void *ctx, struct link *l, const void *m, int fd)
{
	const struct traffic_end *t = m;
	struct exchange *x = of_stream(ctx, t->stream);

	(void)l;
	(void)fd;
	return x == NULL ? 0 : exchange_ended(x, t->trailers);
}

static int
on_window(void *ctx, struct link *l, const void *m, int fd)
{
	const struct traffic_window *t = m;
	struct exchange *x = of_stream(ctx, t->stream);

	(void)l;
	(void)fd;
	return x == NULL ? 0 : exchange_window(x, t->credit);
}

static int
on_reset(void *ctx, struct link *l, const void *m, int fd)
{
	const struct traffic_reset *t = m;
	struct exchange *x = of_stream(ctx, t->stream);

	(void)l;
	(void)fd;
	if (x != NULL)
		exchange_reset(x, t->reason);
	return 0;
}

static int
on_refused(void *ctx, struct link *l, const void *m, int fd)
{
	const struct traffic_refused *t = m;
	struct exchange *x = of_stream(ctx, t->stream);
	struct conn *c;

	(void)l;
	(void)fd;
	if (x != NULL)
		exchange_refused(x, t);
	else if ((c = of_connect(ctx, t->stream)) != NULL)
		connect_refused(c, t);
	return 0;
}

/* The resets of this cut came before it. Without a minter nobody waits. */
static int
on_courier_cut(void *ctx, struct link *l, const void *m, int fd)
{
	const struct traffic_cut *cut = m;
	struct guest_cut_done done = {.serial = cut->serial};
	struct gate *g = ctx;

	(void)l;
	(void)fd;
	(void)gate_tell(g->minter, &msg_guest_cut_done, &done);
	return 0;
}

static const struct link_rule from_courier[] = {
    {&msg_traffic_cut, on_courier_cut},
    {&msg_traffic_connect_done, on_connect_done},
    {&msg_traffic_interim, on_interim},
    {&msg_traffic_response, on_response},
    {&msg_traffic_bytes, on_bytes},
    {&msg_traffic_end, on_end},
    {&msg_traffic_window, on_window},
    {&msg_traffic_reset, on_reset},
    {&msg_traffic_refused, on_refused},
};

/* ---------------------------------------------------------------- all */

static void
on_break(void *ctx, struct link *l, int err)
{
	struct gate *g = ctx;

	if (err != ERR_UNAVAILABLE)
		log_fatal("sibling_misbehaves", err_text(err));
	gate_be_patient(g);
	if (l == g->courier)
		gate_courier_lost(g);
}

static void
on_drain(void *ctx, struct link *l)
{
	struct gate *g = ctx;

	if (l == g->courier)
		gate_resume(g);
}

static const struct {
	enum link_role role;
	const struct link_rule *rules;
	size_t n;
} tables[] = {
    {LINK_MINTER, from_minter, sizeof(from_minter) / sizeof(from_minter[0])},
    {LINK_VAULT, from_vault, sizeof(from_vault) / sizeof(from_vault[0])},
    {LINK_COURIER, from_courier,
	sizeof(from_courier) / sizeof(from_courier[0])},
};

int
links_open(struct gate *g, enum link_role role, int fd, struct link **out)
{
	struct link_options o = {.self = LINK_GATE,
	    .peer = role,
	    .ctx = g,
	    .on_break = on_break,
	    .on_drain = on_drain,
	    .low_water = LOW_WATER,
	    .queue_max = LIMIT_COURIER_QUEUE_MAX};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		if (tables[i].role != role)
			continue;
		o.rules = tables[i].rules;
		o.n_rules = tables[i].n;
		return link_new(g->loop, fd, &o, out);
	}
	return ERR_ARGUMENT;
}
