/* SPDX-License-Identifier: ISC */
/*
 * One thread that does what may block (the disk, the keychain, Argon2id),
 * in order, so that the loop never does. The house belongs to that thread
 * alone; the loop sees only finished jobs.
 *
 *	struct my_job { struct job job; ... };
 *	worker_push(w, &mine->job);	run() there, then done() on the loop
 *
 * A job that does not end within WORKER_STUCK_MS ends the process: nothing
 * in the vault may take that long, and the supervisor starts a new one.
 */
#ifndef VAULT_WORKER_H
#define VAULT_WORKER_H

#include "vault/house.h"

#include <ev.h>

#define WORKER_STUCK_MS 60000
#define WORKER_SLOW_STUCK_MS (30 * 60 * 1000)
/* More waiting jobs than this are refused (ERR_TOO_BIG). Those of couriers
 * and gates leave some places for minter, supervisor and user. */
#define WORKER_QUEUE_MAX 1024
#define WORKER_QUEUE_LEFT 128

struct worker;

struct job {
	void (*run)(struct job *j, struct house *h); /* on the worker */
	void (*done)(struct job *j);		     /* on the loop */
	void (*free)(struct job *j); /* after that, or instead */
	bool slow; /* touches every credential: may take longer */
	bool guests; /* of a session's courier or gate */
	/* The worker's: */
	int64_t asked_ms;
	enum vault_state state; /* as run() left it */
	char why[256];
	bool outgrown; /* house_outgrown() */
	struct job *next;
};

/* on_state: on the loop, after each job, before its done(). */
MUST_USE int worker_new(struct ev_loop *loop, struct house *h,
    void (*on_state)(void *ctx, const struct job *j), void *ctx,
    struct worker **out);
/* Waits for the job that runs; frees the others undone. The house stays
 * the caller's. */
void worker_free(struct worker *w);
/* Takes j on success. */
MUST_USE int worker_push(struct worker *w, struct job *j);

#endif
