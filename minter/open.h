/* SPDX-License-Identifier: ISC */
/*
 * How a session begins: its grants are checked against the vault's
 * bindings, it is recorded, the supervisor starts its two processes, both
 * are told, and only then the caller hears of it.
 */
#ifndef MINTER_OPEN_H
#define MINTER_OPEN_H

#include "minter/admin.h"
#include "minter/minter.h"

#define OPEN_TTL_DEFAULT (8 * 3600)
#define OPEN_TTL_MAX (30 * 24 * 3600)
#define OPEN_WAIT_MS 10000

/* POST session.create; answers call sooner or later. */
void
open_session(struct minter *m, struct admin_call *call, const json_t *body);

/* s's gate or courier was told, or the supervisor answered. */
void open_progress(struct minter *m, struct session *s);
/* s ends: whoever waits for its beginning is told. */
void open_failed(struct minter *m, struct session *s);
/* From the tick: who waited too long. */
void open_tick(struct minter *m);

/* At start: the live sessions of the database; those that ended meanwhile
 * are marked. */
MUST_USE int open_restore(struct minter *m);
/* Have the supervisor run them. */
void open_restart(struct minter *m);

#endif
