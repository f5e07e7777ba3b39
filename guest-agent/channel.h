/* SPDX-License-Identifier: ISC */
/*
 * The way to the host: a unix socket in a directory that the host mounted
 * here. Only the directory is remembered, never the socket: a restarted
 * host binds a new one at the same name.
 */
#ifndef GUEST_CHANNEL_H
#define GUEST_CHANNEL_H

#include <stdbool.h>

#define CHANNEL_DEFAULT "/run/hatcheck"
#define CHANNEL_VARIABLE "HATCHECK_CHANNEL" /* `run` sets it */
#define CHANNEL_PATH 108		    /* of sockaddr_un */

/* Another kind of channel (vsock) is another open function. */
struct channel {
	char path[CHANNEL_PATH];
	int (*open)(const struct channel *c);
	bool (*gone)(const struct channel *c);
};

/* where: a directory (the socket in it is hatcheck.sock) or a socket; NULL:
 * what CHANNEL_VARIABLE says, else CHANNEL_DEFAULT. It need not exist yet. Ends
 * the program when where is no path that a socket can have. */
void channel_find(struct channel *c, const char *where);

/* A new connection: a close-on-exec, non-blocking fd; -1 with errno.
 * Never waits. */
int channel_open(const struct channel *c);

/* The session has ended for good: the host removed its directory, which a
 * restarted host does not. */
bool channel_gone(const struct channel *c);

#endif
