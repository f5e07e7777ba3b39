/* SPDX-License-Identifier: ISC */
/* What for: what all protocols towards upstreams have in common. Trusts:
 * upstream.c for who is there. At a bound: the call is broken. */
#include "egress/courier/call_inside.h"

#include "lib/log.h"

#include <stdlib.h>

int
call_refuse(const struct call *k, int err, const char *why)
{
	log_event(LOG_WARN, "upstream_broken", LOG_STR("host", k->host),
	    LOG_STR("why", why));
	return err;
}

static void
on_upstream(void *ctx, struct upstream *u, enum upstream_event event,
    enum reason reason)
{
	static const enum call_event events[] = {[UPSTREAM_OPEN] = CALL_OPEN,
	    [UPSTREAM_INPUT] = CALL_INPUT,
	    [UPSTREAM_EOF] = CALL_INPUT,
	    [UPSTREAM_DRAINED] = CALL_DRAINED,
	    [UPSTREAM_BROKEN] = CALL_BROKEN};
	struct call *k = ctx;

	(void)u;
	if (event == UPSTREAM_EOF) {
		k->eof = true;
		k->eof_broken = reason != REASON_NONE;
	}
	k->handler(k->ctx, events[event], reason);
}

int
call_new(struct pool *p, const struct upstream_key *key, const char *ca_pem,
    call_handler *handler, void *ctx, struct call **out)
{
	struct call *k = calloc(1, sizeof(*k));
	int r;

	if (k == NULL)
		return ERR_NOMEM;
	k->type = key->tunnel ? &call_plain : &call_h1;
	k->handler = handler;
	k->ctx = ctx;
	if ((r = span_copy(span_str(key->host), k->host, sizeof(k->host))) !=
		0 ||
	    (r = upstream_get(p, key, ca_pem, on_upstream, k, &k->up)) != 0) {
		free(k);
		return r;
	}
	*out = k;
	return 0;
}

bool
call_is_open(const struct call *k)
{
	return upstream_open(k->up);
}

struct span
call_address(const struct call *k)
{
	return upstream_address(k->up);
}

int
call_send(struct call *k, const struct head *h, size_t never)
{
	return k->type->send(k, h, never);
}

size_t
call_room(const struct call *k)
{
	return k->type->room(k);
}

int
call_body(struct call *k, struct span bytes)
{
	return k->type->body(k, bytes);
}

int
call_end(struct call *k)
{
	return k->ended ? 0 : k->type->end(k);
}

int
call_next(struct call *k, size_t room, struct call_piece *out)
{
	*out = (struct call_piece){.kind = CALL_NOTHING};
	return k->over ? 0 : k->type->next(k, room, out);
}

void
call_took(struct call *k)
{
	k->type->took(k);
}

void
call_finish(struct call *k)
{
	struct upstream *u = k->up;

	if (k->ended && k->over && k->type->reusable(k)) {
		k->up = NULL;
		upstream_release(u);
	}
	call_free(k);
}

void
call_free(struct call *k)
{
	if (k == NULL)
		return;
	upstream_free(k->up);
	free(k);
}
