/* SPDX-License-Identifier: ISC */
/*
 * Connections to upstream servers: dialled by the dialer, verified TLS on
 * top (a tunnel stays plain), kept for reuse within this session and one
 * family, grant, credential version, host, port and set of trust anchors.
 *
 * The owner of an upstream gets its events; released ones are the pool's.
 * A reused connection is looked at right before it is handed out: one that
 * the server has closed is dropped while nothing was written. Once written
 * to, nothing is ever sent again.
 */
#ifndef COURIER_UPSTREAM_H
#define COURIER_UPSTREAM_H

#include "egress/courier/anchors.h"
#include "egress/http/h1_parse.h"
#include "egress/http/stream.h"
#include "lib/link.h"
#include "messages/bounds.h"
#include "messages/dial.h"
#include "messages/guest.h"
#include "scope/grant.h"
#include "scope/reason.h"

#define UPSTREAM_CONNECT_S 10.0 /* dial, then TLS: each */

struct upstream_key {
	char grant[GRANT_NAME_MAX];
	char credential[GRANT_NAME_MAX];
	uint32_t version;
	char host[HOST_MAX];
	uint16_t port;
	bool tunnel;		     /* plain, never reused */
	bool http1;		     /* nothing newer will do */
	char family[FAMILY_MAX + 1]; /* a cut of one meets no other */
	uint8_t trust[ANCHORS_DIGEST];
};

enum upstream_protocol { UPSTREAM_PLAIN, UPSTREAM_H1, UPSTREAM_H2 };

enum upstream_event {
	UPSTREAM_OPEN,	/* may be written to */
	UPSTREAM_INPUT, /* see upstream_stream() */
	UPSTREAM_EOF,
	UPSTREAM_DRAINED,
	UPSTREAM_RETIRED, /* rules changed, or parked for too long: nothing
			     new may begin on it */
	UPSTREAM_BROKEN	  /* reason; nothing follows; still to be freed */
};

struct pool;
struct upstream;

typedef void upstream_handler(void *ctx, struct upstream *u,
    enum upstream_event event, enum reason reason);

/* Before the jail. */
MUST_USE int pool_new(struct ev_loop *loop, struct pool **out);
/* For every connection's stream_before_send(). */
void pool_before_send(struct pool *p, int (*check)(void *ctx), void *ctx);
struct ev_loop *pool_loop(const struct pool *p);
/* upstream_idle and upstream_idle_seconds, for what is released from now on. */
void pool_bound(struct pool *p, const struct bounds *b);
/* The dialer's link, or NULL: dials under way fail. */
void pool_use(struct pool *p, struct link *dialer);
MUST_USE int pool_dialed(struct pool *p, const struct dial_done *m, int fd);
/* Close all that idles, retire the rest, and forget trust anchors: rules
 * changed, or something was cut. */
void pool_drop(struct pool *p);
/* Once a second: stream_rest() for each. */
void pool_rest(struct pool *p);
/* May requests to this place wait for each other's connection, since it may
 * turn out to be one of HTTP/2, which they share? */
bool pool_waits(const struct pool *p, const struct upstream_key *key);

/* Is any connection one of HTTP/2? */
bool pool_shares(const struct pool *p);

/* One for key, verified against the system's trust anchors and those in ca_pem
 * (NULL: none). Events come later from the loop; upstream_open() may be true
 * already. ERR_UNAVAILABLE: no dialer. ERR_FORMAT: bad ca_pem. */
MUST_USE int
upstream_get(struct pool *p, const struct upstream_key *key, const char *ca_pem,
    upstream_handler *handler, void *ctx, struct upstream **out);
/* One of that key which has an owner, connecting or open; after: the next.
 * NULL: no more. */
struct upstream *upstream_like(
    struct pool *p, const struct upstream_key *key, struct upstream *after);
const struct upstream_key *upstream_key(const struct upstream *u);
void *upstream_owner(const struct upstream *u); /* ctx */
bool upstream_open(const struct upstream *u);
enum upstream_protocol upstream_protocol(const struct upstream *u);
struct stream *upstream_stream(struct upstream *u);
struct h1 *upstream_parser(struct upstream *u);
struct span upstream_address(const struct upstream *u); /* as dialled */

/* Give back for reuse: between messages, both sides done. */
void upstream_release(struct upstream *u);
/* Its owner has nothing to do on it for now, and keeps it: it counts as
 * idle, and is retired in time. False: there are too many of those. */
MUST_USE bool upstream_park(struct upstream *u);
void upstream_unpark(struct upstream *u);
/* Reset and free; when it returns nothing is written any more. NULL is
 * fine. */
void upstream_free(struct upstream *u);

#endif
