/* SPDX-License-Identifier: ISC */
/*
 * Connecting to one of several addresses: in order, the next one 250 ms
 * after the last or as soon as it failed, earlier ones going on meanwhile;
 * the first that connects wins (RFC 8305, section 5; the order is
 * resolver.h's). Every sockaddr passes the address rule right
 * before its connect(), unless the race is of an exception's addresses.
 *
 * The winner's socket is non-blocking, close-on-exec, TCP_NODELAY, with
 * keepalive, a small send queue, and SO_LINGER {1,0}: closing it drops
 * what was not sent and resets, which is how revocation cuts.
 */
#ifndef DIALER_RACE_H
#define DIALER_RACE_H

#include "egress/dialer/address.h"

#include <ev.h>

#define RACE_STAGGER_S 0.25
#define RACE_DEADLINE_S 5.0

struct race;

/* Once, from the loop; the race is still its owner's to free. 0: fd is the
 * owner's. ERR_DENIED: no address was allowed. ERR_UNAVAILABLE. */
typedef void race_done(void *ctx, int err, int fd, const union address *winner);

MUST_USE int race_new(struct ev_loop *loop, const struct address_list *list,
    bool exception, race_done *done, void *ctx, struct race **out);
void race_free(struct race *r); /* NULL is fine */

#endif
