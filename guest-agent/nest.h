/* SPDX-License-Identifier: ISC */
/*
 * A sub-agent's own namespaces. Who shares our network could use our bridge,
 * who sees our processes could look into them, and who reaches the channel
 * could ask for the whole session: so the command of `run --allow` gets a
 * user, mount, network, PID and IPC namespace of its own, in which
 *
 *	the channel is covered wherever it is mounted,
 *	/proc is its own,
 *	the one listener is ours, made inside and handed out to the bridge,
 *	there is no capability, no new privilege, no vsock, no io_uring, no
 *	typing into terminals, and no descriptor but 0 to 2.
 *
 * It shares the file system otherwise, and its uid. Where a part of this
 * cannot be had, nothing is run.
 */
#ifndef GUEST_NEST_H
#define GUEST_NEST_H

#include "guest-agent/channel.h"

#include <sys/types.h>

struct nest {
	pid_t pid;    /* its first process; with it all of them end */
	int listener; /* on 127.0.0.1 in there: for bridge_over() */
	int port;
	int go; /* to nest_go() */
};

/* In the new namespaces a child calls inside(arg, port) once nest_go() was
 * called here; what it returns is its exit status. Ends the program with
 * status, saying what could not be had and what to do. */
void nest_start(struct nest *n, const struct channel *c,
    int (*inside)(void *arg, int port), void *arg, int status);
void nest_go(struct nest *n);

/* The last step before the command runs: without any privilege, for good.
 * 0, or -1 with errno. */
int nest_seal(void);

#endif
