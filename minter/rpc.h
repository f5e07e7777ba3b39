/* SPDX-License-Identifier: ISC */
/*
 * Questions to siblings that are not answered yet: request ids, who is to
 * be told, and until when. Each is told exactly once: with the answer, or
 * with ERR_UNAVAILABLE when the sibling is gone or too slow.
 */
#ifndef MINTER_RPC_H
#define MINTER_RPC_H

#include "lib/link.h"

/* m: the answer's struct (borrowed), NULL when err is our own. */
typedef void rpc_done(void *ctx, int err, const void *m);

struct rpcs;
struct rpcs *rpcs_new(void);	/* NULL when memory is out */
void rpcs_free(struct rpcs *t); /* tells nobody */

/* The id to send, or 0 when memory is out (nobody is told then). */
uint32_t rpc_add(struct rpcs *t, enum link_role peer, int64_t deadline_ms,
    rpc_done *done, void *ctx);
/* An answer came. An id that is not asked any more is ignored. */
void rpc_answer(
    struct rpcs *t, enum link_role peer, uint32_t rid, int err, const void *m);
/* The sibling is gone. */
void rpc_fail(struct rpcs *t, enum link_role peer);
/* Fail what is past its deadline. */
void rpc_sweep(struct rpcs *t, int64_t now_ms);

#endif
