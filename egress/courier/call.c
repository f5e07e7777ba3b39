/* SPDX-License-Identifier: ISC */
/* What for: what all protocols towards upstreams have in common. Trusts:
 * upstream.c for who is there. At a bound: the call is broken. */
#include "egress/courier/call_inside.h"

#include "lib/log.h"
#include "messages/traffic.h"

#include <stdlib.h>

int
call_refuse(const struct call *k, int err, const char *why)
{
	log_event(LOG_WARN, "upstream_broken", LOG_STR("host", k->key.host),
	    LOG_STR("why", why));
	return err;
}

/* Nothing is done with k by who calls this. */
void
call_tell(struct call *k, enum call_event event, enum reason reason)
{
	k->handler(k->ctx, event, reason);
}

static void
free_call(struct call *k)
{
	if (k->trailers != NULL)
		head_clear(k->trailers);
	free(k->trailers);
	buf_free(k->in);
	free(k->ca_pem);
	free(k);
}

/* What waits may have to find another connection, by itself. */
static int
keep_anchors(struct call *k, const char *ca_pem)
{
	k->ca_pem = NULL;
	if (k->open || ca_pem == NULL)
		return 0;
	return (k->ca_pem = strdup(ca_pem)) == NULL ? ERR_NOMEM : 0;
}

int
call_new(struct pool *p, const struct upstream_key *key, const char *ca_pem,
    call_handler *handler, void *ctx, struct call **out)
{
	struct call *k = calloc(1, sizeof(*k));
	int r;

	if (k == NULL)
		return ERR_NOMEM;
	k->pool = p;
	k->key = *key;
	k->handler = handler;
	k->ctx = ctx;
	k->ca_pem = (char *)(uintptr_t)ca_pem; /* borrowed for now */
	r = line_join(k);
	if (keep_anchors(k, ca_pem) != 0)
		r = ERR_NOMEM;
	if (r != 0) {
		call_free(k);
		return r;
	}
	*out = k;
	return 0;
}

bool
call_is_open(const struct call *k)
{
	return k->open;
}

struct span
call_address(const struct call *k)
{
	return span_str(k->address);
}

int
call_send(struct call *k, const struct head *h, size_t never)
{
	return k->type->send(k, h, never);
}

size_t
call_room(struct call *k)
{
	size_t n = k->type->room(k);

	return n < TRAFFIC_BODY_MAX ? n : TRAFFIC_BODY_MAX;
}

int
call_body(struct call *k, struct span bytes)
{
	return k->type->body(k, bytes);
}

int
call_end(struct call *k, const struct head *trailers)
{
	return k->ended ? 0 : k->type->end(k, trailers);
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

static void
leave(struct call *k, bool clean)
{
	if (k->line == NULL)
		return;
	if (k->type != NULL)
		k->type->leave(k, clean);
	else
		line_remove_waiting(k);
}

void
call_finish(struct call *k)
{
	leave(k, k->ended && k->over);
	free_call(k);
}

void
call_free(struct call *k)
{
	if (k == NULL)
		return;
	leave(k, false);
	free_call(k);
}

void
call_cut(struct call *k)
{
	if (k != NULL && k->line != NULL && k->type == &call_h2)
		call_h2_cut(k->line);
	call_free(k);
}
