/* SPDX-License-Identifier: ISC */
/*
 * AF_VSOCK stream sockets, host side: one listener for all guests, and what
 * the kernel says of who connects. A vsock peer has a CID and a port and no
 * credentials: SO_PEERCRED would "succeed" and answer uid -1.
 */
#ifndef LIB_VSOCK_H
#define LIB_VSOCK_H

#include "lib/err.h"

#include <stdint.h>

struct vsock_peer {
	uint32_t cid, port;
};

/* Listens for every peer. Close-on-exec, non-blocking. ERR_UNAVAILABLE: this
 * kernel has no vsock, ERR_EXISTS: the port is taken, ERR_DENIED. */
MUST_USE int vsock_listen(uint32_t port, int *fd);
/* The next connection, close-on-exec and non-blocking, and its peer.
 * ERR_NOT_FOUND: none waits; ERR_DENIED: it was no vsock peer and is closed;
 * ERR_NOMEM: out of descriptors or memory: wait a little. */
MUST_USE int vsock_accept(int listener, struct vsock_peer *peer, int *fd);

#endif
