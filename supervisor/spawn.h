/* SPDX-License-Identifier: ISC */
/*
 * fork and exec of one helper, in the order: descriptors, identity, death
 * with the parent, exec. What a child is born with and nothing else:
 *
 *	0, 1   /dev/null        3 CONTROL_FD  its link to us
 *	2      our stderr       4 LISTEN_FD   vault, minter, gate
 *	                        5 AUDIT_FD    courier
 *	                        6 AUDIT_BEFORE_FD
 */
#ifndef SUPERVISOR_SPAWN_H
#define SUPERVISOR_SPAWN_H

#include "lib/err.h"

#include <stdint.h>
#include <sys/types.h>

struct spawn {
	int program; /* to be executed */
	int control; /* the child's end */
	int listen;  /* or -1 */
	int file;    /* at AUDIT_FD or CREDENTIAL_FD, or -1 */
	int before;  /* at AUDIT_BEFORE_FD, or -1 */
	uint64_t file_max; /* how long it may make a file; 0: as it likes */
	uid_t uid;   /* used when apart is true */
	gid_t gid;
	int apart;
	char *const *argv;
	char *const *envp;
};

/* Close a listening socket that guests could reach. What they put there and
 * nobody took out may have descriptors with it, and whoever drops the last one
 * of a TCP socket with SO_LINGER waits in close() for as long as they like,
 * unless it exits: so, where there is any, a process that does nothing else
 * is the last. */
void spawn_unlisten(int fd);

/* Keeps all descriptors the caller's. ERR_IO with errno. */
MUST_USE int spawn_child(const struct spawn *s, pid_t *pid);

#endif
