/* SPDX-License-Identifier: ISC */
/*
 * Unix stream sockets by directory fd and name (any path length), and who
 * is at the far end. No abstract sockets.
 */
#ifndef LIB_UNIXSOCK_H
#define LIB_UNIXSOCK_H

#include "lib/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* Bind and listen on dirfd/name with mode, replacing a dead socket file.
 * Close-on-exec, non-blocking; takes no descriptors where Linux knows that. */
MUST_USE int unixsock_listen(int dirfd, const char *name, mode_t mode, int *fd);
/* Connect, blocking; the result blocks. ERR_NOT_FOUND no file, ERR_DENIED,
 * ERR_UNAVAILABLE nobody listens, or for five seconds nobody accepted those
 * who came before. */
MUST_USE int unixsock_connect(const char *path, int *fd);
/* The peer's uid and pid (NULL: not asked). Checks that the family is
 * AF_UNIX first:
 * SO_PEERCRED "succeeds" on vsock with uid -1. */
MUST_USE int unixsock_peer(int fd, uid_t *uid, pid_t *pid);

/* Whether the peer may administer: uid 0, our own uid, or when it connected
 * a member (primary or supplementary) of group; UNIXSOCK_NO_GROUP: none. */
#define UNIXSOCK_NO_GROUP ((gid_t)-1)
bool unixsock_peer_admin(int fd, gid_t group);
/* A group id as --admin-gid gives it: decimal, neither 0 nor NO_GROUP. */
MUST_USE int unixsock_group_parse(const char *text, gid_t *out);

#endif
