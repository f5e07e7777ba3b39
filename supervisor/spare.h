/* SPDX-License-Identifier: ISC */
/*
 * A gate and a courier that wait, behind their walls, for the next session:
 * to start a program and its libraries takes longer than the rest of a
 * session's beginning. They are what all others are, but for this:
 *
 * - They know no session and have no descriptor but the link to us: no
 *   channel, no audit file, no sibling. They hold nothing, and nobody can
 *   reach them.
 * - What is theirs comes as one message (messages/control.h `given`), once.
 *   From then on they are that session's like one that was started for it,
 *   and end with it.
 * - Who died meanwhile is started again, backing off like the singles.
 * - Who started before the configuration was read anew (a limit is the
 *   kernel's), or before a library or a directory of trust anchors was
 *   exchanged, is not used, but replaced.
 *
 * A gate that waits may accept(), so it is not for a session over vsock,
 * whose gate may not. A courier that waits is not for a session of which
 * there are audit lines: it takes one descriptor, not two, and may not cut
 * off a torn line, as one does before its walls stand.
 */
#ifndef SUPERVISOR_SPARE_H
#define SUPERVISOR_SPARE_H

#include "supervisor/process.h"

#include <sys/stat.h>

#define SPARES 2	  /* a gate, a courier */
#define SPARE_LOOKED_AT 4 /* spare.c has the paths */

/* Which inode a path was, and since when it is as it is. */
struct spare_sight {
	dev_t dev;
	ino_t ino;
	struct timespec changed;
};

struct spare {
	struct {
		struct process *p; /* NULL: none yet */
		struct spare_sight saw[SPARE_LOOKED_AT];
	} of[SPARES];
	struct ev_timer refill;
};

void spare_init(struct daemon *d);
/* A moment later, when the session that was just made is at work: start
 * what is missing, one after the other. */
void spare_soon(struct daemon *d);
/* One of them starts, is jailed. */
void spare_born(struct process *p);
void spare_ready(struct process *p);

/* Start *at, which is of s, for the first time; or put the one that waited in
 * its place, if it fits. */
void spare_or_start(struct session *s, struct process **at);

/* It is not good any more: another is started in its place. */
void spare_retire(struct process *p);
void spare_each(struct daemon *d, void (*act)(struct process *p));
bool spare_lives(const struct daemon *d);

#endif
