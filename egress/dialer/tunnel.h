/* SPDX-License-Identifier: ISC */
/*
 * A connected socket to the proxy becomes one to a host: talk.h over a
 * non-blocking fd. Not a byte of what comes after the proxy's answer is
 * read.
 */
#ifndef DIALER_TUNNEL_H
#define DIALER_TUNNEL_H

#include "egress/dialer/talk.h"

#include <ev.h>

#define TUNNEL_DEADLINE_S 8.0 /* the proxy resolves and connects */

struct tunnel;

/* Once, from the loop; the tunnel is still its owner's to free. 0: fd is the
 * owner's. ERR_IO: the proxy did not open the way, and it is logged why. */
typedef void tunnel_done(void *ctx, int err, int fd);

/* Takes fd, on failure too. */
MUST_USE int tunnel_new(struct ev_loop *loop, int fd, enum ctl_proxy_kind kind,
    const struct host *host, uint16_t port, tunnel_done *done, void *ctx,
    struct tunnel **out);
void tunnel_free(struct tunnel *t); /* NULL is fine */

#endif
