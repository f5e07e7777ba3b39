/* SPDX-License-Identifier: ISC */
/*
 * Connections to upstream servers: dialled by the dialer, verified TLS on
 * top (a tunnel stays plain), kept for reuse within this session and one
 * grant, credential version, host and port.
 *
 * The owner of an upstream gets its events; released ones are the pool's.
 * A reused connection is looked at right before it is handed out: one that
 * the server has closed is dropped while nothing was written. Once written
 * to, nothing is ever sent again.
 */
#ifndef COURIER_UPSTREAM_H
#define COURIER_UPSTREAM_H

#include "egress/http/h1_parse.h"
#include "egress/http/stream.h"
#include "lib/link.h"
#include "messages/bounds.h"
#include "messages/dial.h"
#include "scope/grant.h"
#include "scope/reason.h"

#define UPSTREAM_CONNECT_S 10.0 /* dial, then TLS: each */

struct upstream_key {
	char grant[GRANT_NAME_MAX];
	char credential[GRANT_NAME_MAX];
	uint32_t version;
	char host[HOST_MAX];
	uint16_t port;
	bool tunnel; /* plain, never reused */
	bool http1;  /* nothing newer will do */
};

enum upstream_event {
	UPSTREAM_OPEN,	/* may be written to */
	UPSTREAM_INPUT, /* see upstream_stream() */
	UPSTREAM_EOF,
	UPSTREAM_DRAINED,
	UPSTREAM_BROKEN /* reason; nothing follows; still to be freed */
};

struct pool;
struct upstream;

typedef void upstream_handler(void *ctx, struct upstream *u,
    enum upstream_event event, enum reason reason);

/* Before the jail. */
MUST_USE int pool_new(struct ev_loop *loop, struct pool **out);
/* For every connection's stream_before_send(). */
void pool_before_send(struct pool *p, int (*check)(void *ctx), void *ctx);
void pool_free(struct pool *p);
/* upstream_idle and upstream_idle_seconds, for what is released from now on. */
void pool_bound(struct pool *p, const struct bounds *b);
/* The dialer's link, or NULL: dials under way fail. */
void pool_use(struct pool *p, struct link *dialer);
MUST_USE int pool_dialed(struct pool *p, const struct dial_done *m, int fd);
/* Close all that idles, and forget trust anchors: rules changed, or
 * something was cut. */
void pool_drop(struct pool *p);

/* One for key, verified against the system's trust anchors and those in ca_pem
 * (NULL: none). Events come later from the loop; upstream_open() may be true
 * already. ERR_UNAVAILABLE: no dialer. ERR_FORMAT: bad ca_pem. */
MUST_USE int
upstream_get(struct pool *p, const struct upstream_key *key, const char *ca_pem,
    upstream_handler *handler, void *ctx, struct upstream **out);
bool upstream_open(const struct upstream *u);
struct stream *upstream_stream(struct upstream *u);
struct h1 *upstream_parser(struct upstream *u);
struct span upstream_address(const struct upstream *u); /* as dialled */

/* Give back for reuse: between messages, both sides done. */
void upstream_release(struct upstream *u);
/* Reset and free; when it returns nothing is written any more. NULL is
 * fine. */
void upstream_free(struct upstream *u);

#endif
