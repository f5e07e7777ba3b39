/* SPDX-License-Identifier: ISC */
/*
 * A coded body (gzip, deflate, br, zstd) on its way to the guest: as it
 * came, to the byte, but no further than its text is known to be clean. A
 * copy is decoded (decode.h) and searched; the coded bytes are searched as
 * well, since stored blocks and gzip's headers hold bytes as they are. What
 * cannot be overwritten ends the answer: a secret in the text is
 * ERR_DENIED.
 *
 *	coded_new(set, CODING_BR, &pool, &minted, &c);
 *	coded_run(c, bytes, out); ...; coded_end(c, out);
 *
 * As with scrub.h: after a failure nothing more may be sent. ERR_FORMAT,
 * ERR_TRUNCATED: not of that coding; ERR_TOO_BIG: a bomb, or more than
 * CODED_HOLD_MAX bytes undecided; ERR_NOMEM.
 */
#ifndef COURIER_CODED_H
#define COURIER_CODED_H

#include "egress/courier/decode.h"
#include "egress/courier/minted.h"
#include "egress/courier/scrub.h"

/* A block of zstd is up to 128 KiB. */
#define CODED_HOLD_MAX (256 * 1024)

struct coded;

/* pool and minted outlive it. */
MUST_USE int coded_new(struct scrub_set *set, enum coding coding,
    struct decode_pool *pool, struct minted *minted, struct coded **out);
void coded_free(struct coded *c);

MUST_USE int coded_run(struct coded *c, struct span in, struct buf *out);
/* The stream idles: let go what scrub_idle() lets go. */
MUST_USE int coded_idle(struct coded *c, struct buf *out);
MUST_USE int coded_end(struct coded *c, struct buf *out);
/* Bytes taken in and not given out yet. */
size_t coded_held(const struct coded *c);

#endif
