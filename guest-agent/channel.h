/* SPDX-License-Identifier: ISC */
/*
 * The way to the host: a unix socket in a directory that the host mounted
 * here, or a port of the host over vsock. Only where it is is remembered,
 * never a socket: a restarted host binds a new one in the same place.
 */
#ifndef GUEST_CHANNEL_H
#define GUEST_CHANNEL_H

#include <stdbool.h>

#define CHANNEL_DEFAULT "/run/hatcheck"
#define CHANNEL_VSOCK "vsock:"
#define CHANNEL_PORT 8377 /* of the host */
#define CHANNEL_VARIABLE "HATCHECK_CHANNEL" /* `run` sets it */
#define CHANNEL_PATH 108		    /* of sockaddr_un */

struct channel {
	char path[CHANNEL_PATH]; /* as it was given, for people too */
	unsigned cid, port;	 /* vsock */
	int (*open)(const struct channel *c);
	bool (*gone)(const struct channel *c);
};

/* where: a directory (the socket in it is hatcheck.sock), a socket, or
 * vsock:CID[:PORT], the host being CID 2; NULL: what CHANNEL_VARIABLE says,
 * else CHANNEL_DEFAULT. It need not be there yet. Ends the program when where
 * is no path that a socket can have, or no CID or port. */
void channel_find(struct channel *c, const char *where);

/* A new connection: a close-on-exec, non-blocking fd; -1 with errno. Never
 * waits: it may be connecting still, until channel_join() says. */
int channel_open(const struct channel *c);
/* Whether fd is connected, waiting at most ms: 0, or -1 with errno,
 * EINPROGRESS when nobody knows yet. It is writable once that changes. */
int channel_join(int fd, int ms);

/* The session has ended for good: the host removed its directory, which a
 * restarted host does not. */
bool channel_gone(const struct channel *c);

#endif
