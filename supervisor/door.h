/* SPDX-License-Identifier: ISC */
/*
 * The one door for guests over vsock: a listener, open while there is a
 * session that wants one; each connection goes to the gate of the session
 * to which the peer's CID belongs. The kernel says the CID; not a byte of
 * the guest's is read here.
 *
 * No guest gets in another's way: each has a queue of its own (queue.h), with
 * an allowance of connections per second. What is beyond is closed and
 * counted; refusals are reported to the log and the
 * minter at once, then less and less often while they go on.
 */
#ifndef SUPERVISOR_DOOR_H
#define SUPERVISOR_DOOR_H

#include "supervisor/session.h"

#define DOOR_ALL_WAITING 1024 /* of all sessions */
#define DOOR_REFUSALS 16      /* kinds, between two reports */

struct refusal {
	struct vsock_peer peer;
	uint32_t count;
	char session[SESSION_ID_MAX + 1];
	const char *why;
};

struct door {
	int listener; /* -1: closed */
	size_t waiting;
	struct ev_io io;
	struct ev_timer again;	/* out of descriptors: accepts then */
	struct ev_timer report; /* active: no report before */
	double pause;
	struct refusal refusals[DOOR_REFUSALS];
	size_t n_refusals;
};

void door_init(struct daemon *d);
/* s has a vsock channel: let its guest in from now on. why: a sentence.
 * ERR_EXISTS: the CID or the port is another's. */
MUST_USE int door_admit(struct session *s, const char **why);
/* s ends: close what waits, and the door behind the last. */
void door_leave(struct session *s);
/* Its gate can take connections, has taken one (ERR_FORMAT: it was sent
 * none), is dead. */
void door_gate_ready(struct session *s);
MUST_USE int door_taken(struct session *s);
void door_gate_dead(struct session *s);

#endif
