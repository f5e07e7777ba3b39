/* SPDX-License-Identifier: ISC */
/*
 * Making a revocation true (design rule 7). By now it is durable; courier
 * and gate are told to cut, and each confirms that no byte is written any
 * more; who has not after CUT_MS, or has no link to be told on, is killed
 * by the supervisor, and its reaping is the confirmation.
 *
 *	struct cuts *c = cuts_new(m, done, ctx);
 *	cuts_add_tree(c, session, family);
 *	cuts_run(c);		calls done(ctx), maybe at once; frees c
 */
#ifndef MINTER_CUT_H
#define MINTER_CUT_H

#include "minter/minter.h"

#define CUT_MS 20

typedef void cut_done(void *ctx);
struct cuts;

/* Never NULL: out of memory in a revocation ends the process, and with it
 * every link, which stops the traffic. */
struct cuts *cuts_new(struct minter *m, cut_done *done, void *ctx);
void cuts_add(struct cuts *c, struct session *s, enum rules_cut_kind kind,
    const char *name);
/* The family and all below it; they are dropped from the session. */
void cuts_add_tree(struct cuts *c, struct session *s, const char *family);
void cuts_run(struct cuts *c);

/* From links.c: a confirmation; ERR_FORMAT when none was due. */
MUST_USE int cut_confirmed(
    struct minter *m, struct session *s, enum link_role from, uint32_t serial);
/* The process behind that link is gone, or its link was replaced. */
void cut_link_lost(struct minter *m, struct session *s, enum link_role from);

#endif
