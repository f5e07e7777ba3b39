/* SPDX-License-Identifier: ISC */
/*
 * The minter, as its parts see it: one struct that main() makes, and the
 * few things that every part needs. Parts: links.h (siblings), keyring.h
 * (keys), token.h, cut.h (revocation), change.h (what a session may do),
 * open.h and finish.h (its life), admin.h and api.h (HTTP).
 */
#ifndef MINTER_MINTER_H
#define MINTER_MINTER_H

#include "keys/signing.h"
#include "lib/link.h"
#include "messages/bounds.h"
#include "messages/control.h"
#include "minter/audit.h"
#include "minter/clock.h"
#include "minter/metrics.h"
#include "minter/rpc.h"
#include "minter/session.h"
#include "minter/state.h"

#define MINTER_ISSUER "http://hatcheck.internal"
#define MINTER_AUDIENCE "hatcheck-egress"
#define MINTER_PROCESSES_MAX 4096
#define MINTER_SESSIONS_MAX 1024
#define MINTER_RPC_MS 10000

struct cut;
struct admin;

struct process_row {
	uint8_t role, state;
	uint32_t pid, restarts;
	char session[STATE_ID_MAX];
};

struct minter {
	struct ev_loop *loop;
	struct clock clock;
	char boot_id[CLOCK_BOOT_ID];
	struct state *state;
	struct audit *audit;
	const char *audit_dir; /* for suggest and audit.paths */
	const char *failed;    /* storage failed: nothing passes; or NULL */
	struct rpcs *rpcs;
	struct link *supervisor, *vault;
	uint8_t vault_state; /* 0: no vault */
	char vault_why[256];
	struct signing *token_keys, *audit_keys;
	bool keys_asked, rotating;
	size_t n_public_keys; /* that gates were told of */
	struct session *sessions;
	size_t n_sessions;
	unsigned child_depth; /* how deep narrower families may stand */
	struct cut *cuts;
	uint32_t last_serial;
	struct process_row *processes;
	size_t n_processes;
	struct admin *admin;
	uint32_t vsock_port; /* where the supervisor listens for guests */
	struct metrics metrics;
	struct bounds bounds; /* those of the audit log */
	bool retain;	      /* at the next tick */
	ev_timer tick, sync;
	unsigned ticks;
	bool stopping;
};

/* A live session by id or guest name; NULL. Not one that is finishing. */
struct session *minter_session(const struct minter *m, const char *key);
/* By id, whatever its state, as long as it is in memory. */
struct session *minter_session_id(const struct minter *m, struct span id);

/* Of ctl_process: a word, "unknown" beyond the table. */
#define MINTER_PROCESS_STATES 5
const char *minter_process_state(uint8_t state);
/* The i-th row; the others are shown in the order that they had. */
void minter_forget_process(struct minter *m, size_t i);

/* Keys are there and storage works: tokens can be made. */
bool minter_ready(const struct minter *m);

/* Storage failed: from now on nothing is minted and nothing forwarded. what
 * is a literal. */
void minter_fail(struct minter *m, const char *what);

/* An administrative act or revocation: written and synced, or the minter
 * fails closed. fields is consumed. */
MUST_USE int minter_act(struct minter *m, const char *event, json_t *fields);
/* A line that may be synced a little later. */
MUST_USE int minter_note(struct minter *m, const char *event, json_t *fields);

#endif
