/* SPDX-License-Identifier: ISC */
/*
 * The dialer's sessions: each has one link to its courier, its exceptions,
 * and its dials under way. A courier that breaks its link, in either way,
 * loses it and its dials; nobody else is touched.
 */
#ifndef DIALER_DESK_H
#define DIALER_DESK_H

#include "egress/dialer/resolver.h"
#include "lib/link.h"
#include "messages/control.h"

#define DESK_DIALS_MAX 1024 /* under way at once, per session */

struct desk;

MUST_USE int desk_new(struct ev_loop *loop, resolver_fn *fn, struct desk **out);
/* Where dials that are no exceptions go from now on; none to begin with.
 * ERR_FORMAT: none of them goes anywhere. */
MUST_USE int desk_proxy(struct desk *d, const struct ctl_proxy *m);

/* Ends all sessions, lets lookups that still run in their threads run out,
 * and frees. */
void desk_free(struct desk *d);

/* A session's courier, new or again. Takes fd. ERR_FORMAT: the descriptor
 * is broken and the session is not served. */
MUST_USE int
desk_seat(struct desk *d, struct span session, struct span descriptor, int fd);
/* New exceptions for the dials to come. ERR_FORMAT: as above. */
MUST_USE int
desk_update(struct desk *d, struct span session, struct span descriptor);
void desk_dismiss(struct desk *d, struct span session);

#endif
