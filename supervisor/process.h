/* SPDX-License-Identifier: ISC */
/*
 * A child and its life: spawn, ready, death, again.
 *
 * What each program is called with (argv), and born with (spawn.h):
 *
 *	hatcheck-vault   --config DIR --state DIR   LISTEN_FD vault.sock
 *			 [--admin-gid N]
 *	hatcheck-minter  --state DIR --audit DIR    LISTEN_FD admin.sock
 *			 --child-depth N [--admin-gid N]
 *	hatcheck-dialer
 *	hatcheck-gate    --session ID               LISTEN_FD its channel
 *	hatcheck-courier --session ID               AUDIT_FD its chain,
 *			 [--closed BYTES]           AUDIT_BEFORE_FD
 *
 * or, the last two, without words and descriptors: they put up their walls
 * and wait to be told whose they are (spare.h).
 *
 * DIR is absolute: config/, state/vault, state/minter, log/audit. N is the
 * group whose members may use the two sockets (hatcheckd.yaml). The
 * environment is LANG=C.UTF-8 and TZ=UTC0 and nothing else; the vault alone
 * also gets DBUS_SESSION_BUS_ADDRESS (when it names a unix socket) and
 * CREDENTIALS_DIRECTORY (of systemd). Those two come from hatcheckd's own
 * environment, which whoever starts it decides: the user, or systemd.
 * BYTES: what the files before that one are long.
 *
 * Duties: link to CONTROL_FD as one's role with peer LINK_SUPERVISOR; after
 * jail_enter() send `ready`; take `peer`s as they come (a new one replaces
 * the old); exit 0 on `stop` and when the link breaks. A child whose link
 * ends is killed a second later, one that breaks the rules at once. vault,
 *minter and dialer are started again after 100 ms, doubling to 5 s; gate and
 *courier at once, until they die too often.
 */
#ifndef SUPERVISOR_PROCESS_H
#define SUPERVISOR_PROCESS_H

#include "lib/link.h"
#include "messages/bounds.h"

#include <sys/types.h>

struct daemon;
struct session;

enum process_state {
	PROCESS_STARTING = 0,
	PROCESS_READY = 1,
	PROCESS_DEAD = 2,
	PROCESS_BACKING_OFF = 3,
	PROCESS_WAITING = 4 /* for a session: spare.h */
};

struct process {
	struct daemon *daemon;
	/* NULL: one of the three singles, or a gate or courier that waits. */
	struct session *session;
	enum link_role role;
	enum process_state state;
	pid_t pid; /* 0: none lives */
	unsigned restarts;
	struct link *control; /* NULL once reaped */
	struct ev_child reaper;
	struct ev_timer again; /* dead: backing off; alive: link is gone */
	double delay;	       /* next backoff, seconds */
	double born;	       /* uptime() */
	bool retired;	       /* its death is our wish */
	uint64_t file_max;     /* a session's: how long a file of its log is */
};

void process_init(struct process *p, struct daemon *d, struct session *s,
    enum link_role role);
/* The same on the heap; NULL: no memory. */
struct process *
process_new(struct daemon *d, struct session *s, enum link_role role);
/* It must not live. NULL is fine. */
void process_free(struct process *p);
/* Fork it. A failure counts as a death: it is tried again like one. */
void process_start(struct process *p);
/* SIGKILL; its death is noticed by the loop. Nothing when none lives. */
void process_kill(struct process *p);
/* Ask it to finish. */
void process_ask_stop(struct process *p);
bool process_lives(const struct process *p);
/* Stop watching for good; it must not live. */
void process_close(struct process *p);

/* Send to a child; fd is taken over. A child that does not take its
 * messages is broken and killed. */
void process_send(
    struct process *p, const struct msg_type *t, const void *m, int fd);

/* It waited, and has a session now: what follows being ready. */
void process_serve(struct process *p);
/* The limits that it is told: no file of its log longer than the kernel lets
 * it be, which was said at its birth. */
void process_bounds(const struct process *p, struct bounds *out);
/* Tell p what the configuration says for it, if it is ready: its limits, or
 * the proxy. */
void process_configure(struct process *p);
/* Tell the minter about p, or about all. */
void process_report(struct process *p);

#endif
