/* SPDX-License-Identifier: ISC */
/* What for: who waits for which answer. Trusts: nothing but its own ids. At
 * a bound: ERR_UNAVAILABLE to whoever waits. */
#include "minter/rpc.h"

#include <stdlib.h>

struct rpc {
	struct rpc *next;
	enum link_role peer;
	uint32_t rid;
	int64_t deadline_ms;
	rpc_done *done;
	void *ctx;
};

struct rpcs {
	struct rpc *first;
	uint32_t last_rid;
};

struct rpcs *
rpcs_new(void)
{
	return calloc(1, sizeof(struct rpcs));
}

void
rpcs_free(struct rpcs *t)
{
	if (t == NULL)
		return;
	for (struct rpc *c = t->first, *next; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
	free(t);
}

uint32_t
rpc_add(struct rpcs *t, enum link_role peer, int64_t deadline_ms,
    rpc_done *done, void *ctx)
{
	struct rpc *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return 0;
	if (++t->last_rid == 0)
		t->last_rid = 1;
	*c = (struct rpc){.next = t->first,
	    .peer = peer,
	    .rid = t->last_rid,
	    .deadline_ms = deadline_ms,
	    .done = done,
	    .ctx = ctx};
	t->first = c;
	return c->rid;
}

static void
finish(struct rpc **at, int err, const void *m)
{
	struct rpc *c = *at;

	*at = c->next;
	c->done(c->ctx, err, m);
	free(c);
}

void
rpc_answer(
    struct rpcs *t, enum link_role peer, uint32_t rid, int err, const void *m)
{
	for (struct rpc **at = &t->first; *at != NULL; at = &(*at)->next) {
		if ((*at)->rid == rid && (*at)->peer == peer) {
			finish(at, err, m);
			return;
		}
	}
}

/* A callback may add to the list: start over after each. */
void
rpc_fail(struct rpcs *t, enum link_role peer)
{
	uint32_t upto = t->last_rid;
	struct rpc **at = &t->first;

	while (*at != NULL) {
		if ((*at)->peer == peer && (*at)->rid <= upto) {
			finish(at, ERR_UNAVAILABLE, NULL);
			at = &t->first;
		} else {
			at = &(*at)->next;
		}
	}
}

void
rpc_sweep(struct rpcs *t, int64_t now_ms)
{
	struct rpc **at = &t->first;

	while (*at != NULL) {
		if ((*at)->deadline_ms <= now_ms) {
			finish(at, ERR_UNAVAILABLE, NULL);
			at = &t->first;
		} else {
			at = &(*at)->next;
		}
	}
}
