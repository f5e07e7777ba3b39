/* SPDX-License-Identifier: ISC */
/*
 * Supervisor and child, over the fd that every child is born with
 * (CONTROL_FD). Ids 0x01xx.
 *
 * A child jails itself, then sends `ready`. The supervisor sends `peer`
 * with an fd for each sibling that the child is wired to, again whenever
 * that sibling was restarted: the new link replaces the old one.
 */
#ifndef MESSAGES_CONTROL_H
#define MESSAGES_CONTROL_H

#include "lib/msg.h"

/* Fixed fds at birth. Everything else above 2 is closed before exec. */
#define CONTROL_FD 3  /* link to the supervisor */
#define LISTEN_FD 4   /* gate: its channel; minter: admin; vault: CLI */
#define AUDIT_FD 5    /* courier: its session's audit file, O_RDWR|O_APPEND */
/* courier: the file before that one, for reading; absent: it is the first */
#define AUDIT_BEFORE_FD 6
/* vault of a system service: the systemd credential "hatcheck", which root
 * alone can open; absent where the vault's user can do that itself. */
#define CREDENTIAL_FD 5
#define CREDENTIAL_NAME "hatcheck"

#define SESSION_ID_MAX 32
#define NAME_MAX_ 64 /* credential, grant and guest names */
#define DESCRIPTOR_MAX (128 * 1024)

/* child -> supervisor: jailed and able to serve. */
extern const struct msg_type msg_ready;

/* supervisor -> child: your link to a sibling. */
struct ctl_peer {
	uint8_t role;	     /* enum link_role of the far end */
	struct span session; /* of a gate or courier; empty for others */
	/* What this child must know about that session, as the minter wrote
	 * it (JSON, see docs/ARCHITECTURE.md): for the vault and dialer. */
	struct span descriptor;
};
extern const struct msg_type msg_peer; /* with fd */

/* supervisor -> vault, dialer: a running session's descriptor changed. */
struct ctl_descriptor {
	struct span session;
	struct span descriptor;
};
extern const struct msg_type msg_descriptor;

/* supervisor -> vault, dialer: the session ended for good: forget it (the
 * vault deletes its root CA). */
struct ctl_session_gone {
	struct span session;
};
extern const struct msg_type msg_session_gone;

/* supervisor -> dialer: the corporate proxy, after `ready` and before the
 * first `peer`, and again when the configuration was read anew. */
enum ctl_proxy_kind { CTL_PROXY_NONE, CTL_PROXY_HTTP, CTL_PROXY_SOCKS5 };
#define CTL_NO_PROXY_MAX 8192
struct ctl_proxy {
	uint8_t kind;
	struct span host;
	uint16_t port;
	struct span no_proxy; /* patterns (dialer/proxy.h), a line each */
};
extern const struct msg_type msg_proxy;

/* supervisor -> a gate or courier that was born without a session: you are
 * this one's from now on; here is its channel's listening socket, or its
 * audit file, the first of its chain. Once, before `bounds` and `peer`. */
struct ctl_given {
	struct span session;
};
extern const struct msg_type msg_given; /* with fd */

/* supervisor -> child: finish and exit 0. */
extern const struct msg_type msg_stop;

/* minter -> supervisor: make sure that this session runs (idempotent: a
 * running one keeps its processes and gets fresh links to the minter). */
struct ctl_session_start {
	uint32_t rid;
	struct span session;
	struct span guest;	 /* name, for people */
	struct span channel;	 /* its place: messages/channel.h */
	uint32_t channel_uid;	 /* who may connect, or CHANNEL_NO_UID */
	uint32_t pid;		 /* it ends with this process; 0: none */
	uint64_t pid_started;	 /* lib/procid.h */
	struct span for_vault;	 /* descriptor JSON */
	struct span for_dialer;	 /* descriptor JSON */
};
extern const struct msg_type msg_session_start;

/* minter -> supervisor: relay new descriptors. */
struct ctl_session_update {
	uint32_t rid;
	struct span session;
	struct span for_vault, for_dialer;
};
extern const struct msg_type msg_session_update;

/* minter -> supervisor: end it for good (socket directory removed), or
 * kill its two processes now and start new ones (revocation that was not
 * confirmed in time). The reply comes when both are reaped. */
enum ctl_end_kind { CTL_END = 1, CTL_KILL = 2 };
struct ctl_session_end {
	uint32_t rid;
	uint8_t kind; /* enum ctl_end_kind */
	struct span session;
};
extern const struct msg_type msg_session_end;

/* vault -> supervisor: kill that session's two processes now and start new
 * ones: its courier does not give back what it must. */
struct ctl_session_kill {
	struct span session;
};
extern const struct msg_type msg_session_kill;

/* supervisor -> minter: the answer to start, update and end. */
struct ctl_done {
	uint32_t rid;
	int32_t err; /* enum err */
	struct span session;
	struct span channel_dir; /* start: where the socket directory is */
	struct span detail;	 /* a sentence when err is not 0 */
};
extern const struct msg_type msg_done;

/* supervisor -> minter: a session's processes died too often, or its guest
 * is gone: it ends. Maybe more than once. */
struct ctl_session_lost {
	struct span session;
	struct span why;
};
extern const struct msg_type msg_session_lost;

/* supervisor -> minter: the process table, a row each, for `status`. */
struct ctl_process {
	uint8_t role;
#define CTL_PROCESS_DEAD 2
	/* 0 starting, 1 ready, 2 dead, 3 backing off, 4 waiting for a session.
	 * A gate or courier that is dead and no session's is no more. */
	uint8_t state;
	uint32_t pid;
	uint32_t restarts;
	struct span session;
};
extern const struct msg_type msg_process;

/* supervisor -> gate: a guest's connection, when no listener of the gate's
 * own brings them. The supervisor has read no byte of it; the kernel said
 * who it is from. The gate answers each with `taken`, so that few are on
 * their way. */
extern const struct msg_type msg_conn; /* with fd */
extern const struct msg_type msg_taken;

/* supervisor -> minter: connections that no gate got, for the audit log. */
struct ctl_refused {
	uint32_t cid;	     /* of the peer */
	uint32_t port;	     /* of the newest of them */
	uint32_t count;
	struct span session; /* whose CID it is, or empty */
	struct span why;
};
extern const struct msg_type msg_refused;

/* courier -> supervisor: the audit file is as long as audit_segment_bytes.
 * Told again a minute later if nothing came. */
extern const struct msg_type msg_audit_long;

/* supervisor -> courier: the file with which the chain goes on, empty. */
struct ctl_audit_next {
	uint64_t closed; /* bytes of the files before it */
};
extern const struct msg_type msg_audit_next; /* with fd */

/* minter -> supervisor: stop the whole daemon. */
extern const struct msg_type msg_shutdown;

#endif
