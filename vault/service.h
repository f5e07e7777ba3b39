/* SPDX-License-Identifier: ISC */
/*
 * The vault on its loop: links to supervisor, minter, couriers and gates,
 * and the CLI's socket. Decides who may have what; the worker fetches it.
 *
 * Supervisor and minter are siblings: what they garble is fatal. Couriers
 * and gates stand next to hostile bytes: what they garble costs them their
 * link, and nobody else anything.
 */
#ifndef VAULT_SERVICE_H
#define VAULT_SERVICE_H

#include "vault/house.h"

#include <ev.h>

struct service;

struct service_fds {
	int control; /* taken; link to the supervisor */
	int listen;  /* borrowed; vault.sock, or -1 */
	gid_t group; /* whose members may call, or UNIXSOCK_NO_GROUP */
};

/* on_end: the supervisor said stop or is gone, or a migration wants new
 * walls: leave the loop. */
MUST_USE int service_new(struct ev_loop *loop, struct house *h,
    const struct service_fds *fds, void (*on_end)(struct ev_loop *loop),
    struct service **out);
/* Say ready to the supervisor; the first jobs go out. */
MUST_USE int service_start(struct service *s);
void service_free(struct service *s);

#endif
