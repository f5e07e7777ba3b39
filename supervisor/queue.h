/* SPDX-License-Identifier: ISC */
/*
 * One guest's connections over vsock on their way to its gate: whether one
 * may come in, and which is next. No I/O: descriptors pass through, and are
 * closed by whoever takes them out.
 */
#ifndef SUPERVISOR_QUEUE_H
#define SUPERVISOR_QUEUE_H

#include "lib/vsock.h"
#include "messages/channel.h"

#define QUEUE_WAITING 64 /* as a unix socket has its backlog */
#define QUEUE_ON_WAY 8	 /* given to the gate, but not taken by it */
/* Connections of one guest: generous for a fast loop without keep-alive,
 * some 5 % of a core. */
#define QUEUE_PER_SECOND 2000.

struct queue {
	int fd[QUEUE_WAITING]; /* a ring */
	size_t first, n;
	unsigned on_way;
	double allowance, since;
};

/* May this peer connect now? NULL, or why not, a literal of at most 64
 * bytes. c and q: of the session whose CID it is; c is NULL when there is
 * none. now: seconds of any steady clock. Takes from the allowance. */
const char *queue_judge(struct queue *q, const struct channel *c,
    const struct vsock_peer *peer, double now);
/* Only after queue_judge() let it in. */
void queue_put(struct queue *q, int fd);
/* The oldest that waits; -1: none. */
int queue_get(struct queue *q);
/* The next for the gate, counted as on its way; -1: none, or enough are. */
int queue_next(struct queue *q);
/* The gate took one. ERR_FORMAT: none was on its way. */
MUST_USE int queue_taken(struct queue *q);

#endif
