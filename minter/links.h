/* SPDX-License-Identifier: ISC */
/*
 * The minter's siblings: the supervisor (fatal when lost), the vault (may
 * be restarted). Each session's gate and courier: minter/pair.h.
 */
#ifndef MINTER_LINKS_H
#define MINTER_LINKS_H

#include "minter/minter.h"

MUST_USE int links_open(struct minter *m, int control_fd);
MUST_USE int links_ready(struct minter *m); /* tell the supervisor */

/* Both keys are there: keys.json, and every gate its documents. */
void links_keys_ready(struct minter *m);

/* Ask the supervisor to run s (done may be NULL). */
void
links_start(struct minter *m, struct session *s, rpc_done *done, void *ctx);
/* Have the vault and the dialer told what s now may. */
void
links_describe(struct minter *m, struct session *s, rpc_done *done, void *ctx);
/* End it for good. */
void links_end(struct minter *m, struct session *s, rpc_done *done, void *ctx);
#endif
