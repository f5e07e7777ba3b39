/* SPDX-License-Identifier: ISC */
/*
 * A terminal of the command's own, relayed by us: what the guest does to
 * its terminal cannot reach the user's (no pushing of input, no changed
 * modes). The user's terminal is raw while the relay runs and restored by
 * pty_close(), whatever happened.
 */
#ifndef CLI_PTY_H
#define CLI_PTY_H

#include "lib/err.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

#define PTY_ROOM 16384

struct pty_flow {
	char buf[PTY_ROOM];
	size_t start, n;
};

struct pty {
	int screen; /* the user's terminal, -1 none: then nothing else counts */
	int keys;   /* standard input when that is it too, else -1 */
	int master; /* -1 once the far end closed */
	int slave;
	struct termios saved;
	bool raw;
	struct pty_flow in, out;
};

/* Finds a terminal among fds 0 to 2 and makes a pair of its size and
 * modes; none: screen is -1. */
MUST_USE int pty_open(struct pty *p);
/* In the child, after setsid(): the slave takes the place of each of 0 to 2
 * that is a terminal, and becomes the controlling terminal. */
MUST_USE int pty_enter(const struct pty *p);
/* In the parent: drop the slave, make the user's terminal raw. */
MUST_USE int pty_relay(struct pty *p);
/* The user's window changed. */
void pty_resize(const struct pty *p);

/* Fill three poll slots (fd -1: not now) and move what they say can be
 * moved. */
void pty_poll(const struct pty *p, struct pollfd slots[static 3]);
void pty_step(struct pty *p, const struct pollfd slots[static 3]);
/* The last output, then the user's modes again. */
void pty_close(struct pty *p);

#endif
