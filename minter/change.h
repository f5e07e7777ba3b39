/* SPDX-License-Identifier: ISC */
/*
 * Changing what running sessions may do. Memory and database change
 * together, inside the caller's transaction; siblings hear of it after.
 */
#ifndef MINTER_CHANGE_H
#define MINTER_CHANGE_H

#include "minter/cut.h"
#include "minter/facts.h"

enum change_by { CHANGE_GRANT, CHANGE_CREDENTIAL };

/* Take from s the grant of that name, or all grants of that credential, and
 * remember what it was. *n grows by how many went. The session follows
 * grant.apply in this name no more. */
MUST_USE int change_drop(struct minter *m, struct session *s, enum change_by by,
    const char *name, size_t *n);

/* When each grant of s with a ttl ends, for those that have no end yet. */
MUST_USE int change_until(struct session *s, int64_t now);

/* From the tick: grants whose ttl is over are cut. */
void change_tick(struct minter *m);

/* Tell vault and dialer, then gate and courier, what each of the sessions
 * now may: s->changed marks them, and is reset. done comes when all have
 * been told. */
void change_spread(struct minter *m, cut_done *done, void *ctx);

/* grant.apply. */
struct admin_call;
void
change_apply(struct minter *m, struct admin_call *call, const json_t *body);
/* grant.remove. */
void
change_remove(struct minter *m, struct admin_call *call, const json_t *body);

#endif
