/* SPDX-License-Identifier: ISC */
/*
 * The loopback bridge: a listener on 127.0.0.1; for each connection a
 * channel connection that begins with "ATTACH <token>\r\n" (docs/attach.md)
 * and then carries the bytes. At most BRIDGE_PAIRS at once, more wait in
 * the backlog. While the host or a token is away, connections are held for
 * BRIDGE_HOLD ms, then reset; at once when the session is over.
 */
#ifndef GUEST_BRIDGE_H
#define GUEST_BRIDGE_H

#include "guest-agent/keeper.h"

#define BRIDGE_PAIRS 240   /* the gate takes 256 connections of a guest */
#define BRIDGE_HOLD 20000  /* ms: a daemon restart passes within it */
#define BRIDGE_LINGER 5000 /* ms for a client to take its last answer */

struct bridge;

/* Listens at port (0: any). NULL with errno. first: as keeper_start(). */
struct bridge *
bridge_open(const struct channel *c, int port, const struct api_token *first);
/* The same on a listener that is there already, with a sub-agent's token,
 * which is renewed but never replaced by another family's. */
struct bridge *bridge_over(const struct channel *c, int listener, int port,
    const struct api_token *first);
int bridge_port(const struct bridge *b);

/* Serve until ready(arg), called whenever fd is readable, says false. */
void bridge_serve(struct bridge *b, int fd, bool (*ready)(void *), void *arg);

/* The present token, or NULL. */
const char *bridge_token(const struct bridge *b);
/* Resets what is open. */
void bridge_close(struct bridge *b);

#endif
