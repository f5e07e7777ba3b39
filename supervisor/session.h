/* SPDX-License-Identifier: ISC */
/*
 * A session as the supervisor sees it: a channel, an audit file, and a pair
 * of processes. What it may do is none of our business: the
 * minter says that it runs, and with which descriptors.
 *
 * A unix socket is bound once and kept, so that a new gate listens on the same
 * one; after a restart of the daemon it is bound again in the same place.
 */
#ifndef SUPERVISOR_SESSION_H
#define SUPERVISOR_SESSION_H

#include "messages/control.h"
#include "supervisor/config.h"
#include "supervisor/process.h"
#include "supervisor/trail.h"
#include "supervisor/queue.h"
#include "supervisor/watch.h"

enum session_end {
	SESSION_RUNS,
	SESSION_KILLED, /* both die, then both are started again */
	SESSION_ENDS,	/* both die, then it is forgotten */
	SESSION_LOST	/* the same, and the minter is told */
};

struct session {
	struct session *next;
	struct daemon *daemon;
	char id[SESSION_ID_MAX + 1];
	struct channel channel; /* the socket is channel.name in channel.dir */
	int dir_fd;
	bool dir_ours;
	bool admitted; /* vsock: guests with its CID are its guests */
	struct queue queue;
	int listen;
	struct watch watch;
	struct trail trail;
	struct process *gate, *courier;
	char *for_vault, *for_dialer;	       /* JSON, opaque */
	double deaths[CONFIG_CRASHES_MAX + 1]; /* uptime(), a ring */
	unsigned n_deaths;
	enum session_end end;
	struct owed *owed;	  /* what the minter waits for */
	struct ev_timer patience; /* then SIGKILL */
};

struct session *session_find(struct daemon *d, struct span id);
/* The minter's three wishes, and what to answer: 0 with a reply sent or to
 * come, or ERR_FORMAT: the minter is broken. */
MUST_USE int session_start(struct daemon *d, const struct ctl_session_start *m);
MUST_USE int
session_update(struct daemon *d, const struct ctl_session_update *m);
MUST_USE int session_finish(struct daemon *d, const struct ctl_session_end *m);
MUST_USE int session_kill(struct daemon *d, const struct ctl_session_kill *m);
/* One of the pair died (and was reaped). */
void session_process_died(struct session *s, struct process *p);
/* The descriptor of s that role gets, or the empty span. */
struct span session_descriptor(const struct session *s, enum link_role role);

#endif
