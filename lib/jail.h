/* SPDX-License-Identifier: ISC */
/*
 * The walls of a process, in the order in which main() puts them up:
 *
 *	jail_begin("gate");           limits, no cores, no dump, close fds
 *	... open what must be open ...
 *	jail_enter(&profile);         no_new_privs, Landlock, seccomp
 *	... first byte of input ...
 *
 * Each step is checked after it was taken; a wall that does not stand is
 * fatal (exit 1 with a line that names it), except Landlock on a kernel
 * without it, which is logged once.
 *
 * A forbidden system call ends the process: a handler writes one line,
 * "seccomp_violation syscall=socket", and exits with status 159.
 */
#ifndef LIB_JAIL_H
#define LIB_JAIL_H

#include "lib/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A path that stays reachable. */
struct jail_path {
	const char *path;
	bool write; /* create, write, rename and remove below it too */
};

/* Sets of system calls, to be or-ed. Every profile has the base: read,
 * write, sendmsg, recvmsg, close, epoll, timers, memory without
 * PROT_EXEC, futex, getrandom, clock, exit, shutdown, getsockopt. */
enum jail_calls {
	JAIL_ACCEPT = 1 << 0,	   /* accept4 */
	JAIL_FILES_READ = 1 << 1,  /* openat O_RDONLY, stat, getdents */
	JAIL_FILES_WRITE = 1 << 2, /* and create, rename, unlink, fsync, locks */
	JAIL_SYNC = 1 << 3,	   /* fsync, fdatasync on open fds */
	JAIL_SOCKET_INET = 1 << 4, /* socket(AF_INET/6), connect, bind */
	JAIL_SOCKET_UNIX = 1 << 5, /* socket(AF_UNIX), connect (D-Bus, nscd) */
	JAIL_THREADS = 1 << 6,	   /* clone3/clone for threads */
	JAIL_OPTIONS = 1 << 7	   /* setsockopt; else it fails with EPERM */
};

struct jail_profile {
	const char *role;
	unsigned calls;
	const struct jail_path *paths;
	size_t n_paths;
	bool network; /* Landlock ABI 4+: leave TCP connect open */
};

/* role: for messages. keep: the highest fd to keep; all above are closed.
 * Sets RLIMIT_CORE 0, PR_SET_DUMPABLE 0, umask 077, no_new_privs, ignores
 * SIGPIPE and SIGXFSZ, and drops supplementary groups and capabilities if there are
 * any (root without a role user is refused by the supervisor, not here). */
void jail_begin(const char *role, int keep);
void jail_enter(const struct jail_profile *p);

/* For the supervisor, which must fork and exec and give its children other
 * uids: no cores, no dump, no_new_privs, and a filter that refuses (EPERM)
 * what neither it nor any child ever needs: ptrace, mounts, namespaces,
 * modules, bpf, keyrings, io_uring. */
void jail_parent(const char *role);

/* What this kernel offers, for `hatcheck doctor`. */
int jail_landlock_abi(void); /* 0: none */
bool jail_sanitized(void);   /* a build whose filter is looser */

#endif
