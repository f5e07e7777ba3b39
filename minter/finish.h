/* SPDX-License-Identifier: ISC */
/*
 * How a session ends: durable, cut, its processes reaped, its chain's head
 * anchored, forgotten.
 */
#ifndef MINTER_FINISH_H
#define MINTER_FINISH_H

#include "minter/cut.h"

/* All of it. why: for the audit log. done may be NULL; it comes when the
 * processes are reaped (the session may be gone by then). */
void finish_session(struct minter *m, struct session *s, enum session_state st,
    const char *why, cut_done *done, void *ctx);

/* The parts, for who ends many at once: nothing is minted or published for
 * s any more; and the last step, after the cut. */
void finish_mark(struct session *s, enum session_state st);
void
finish_reap(struct minter *m, struct session *s, cut_done *done, void *ctx);

/* Sign the newest head of s's chain, if it is not yet: each second, and at
 * the end. */
void finish_anchor(struct minter *m, struct session *s);
/* Free the sessions that are over and whose links have broken. */
void finish_sweep(struct minter *m);
/* From the tick: what has expired ends; what is over does not linger. */
void finish_tick(struct minter *m);

#endif
