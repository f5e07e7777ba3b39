/* SPDX-License-Identifier: ISC */
/*
 * Taking this session's credentials out of a WebSocket's frames on their way
 * to the guest: raw bytes in, raw bytes out, as many in all. The text of
 * each message is scrubbed as one, over all its frames; a control frame's
 * payload as a whole. Heads and their order stay as they were: what comes
 * behind a held tail waits with it, a ping between two fragments too.
 *
 * A secret cut in two messages is not whole in either, and passes.
 *
 *	ws_scrub_new(set, &w);
 *	ws_scrub_run(w, bytes, out); ...; ws_scrub_end(w, out);
 *
 * As with scrub.h: after a failure nothing more may be sent. ERR_FORMAT
 * (ws_scrub_why() tells): these are no frames of a server. ERR_TOO_BIG:
 * more than WS_SCRUB_LATER bytes of heads and control frames lie behind an
 * undecided tail.
 */
#ifndef COURIER_WS_SCRUB_H
#define COURIER_WS_SCRUB_H

#include "egress/courier/scrub.h"

#define WS_SCRUB_LATER (64 * 1024)

struct ws_scrub;

MUST_USE int ws_scrub_new(struct scrub_set *set, struct ws_scrub **out);
void ws_scrub_free(struct ws_scrub *w);

MUST_USE int ws_scrub_run(struct ws_scrub *w, struct span in, struct buf *out);
/* The socket idles: let a tail of at most SCRUB_LET_GO bytes go, and what
 * waits behind it. */
MUST_USE int ws_scrub_idle(struct ws_scrub *w, struct buf *out);
/* The upstream sends no more. ERR_TRUNCATED: not between two frames; what
 * is held is not let out then. */
MUST_USE int ws_scrub_end(struct ws_scrub *w, struct buf *out);

/* Bytes taken in and not given out yet. */
size_t ws_scrub_held(const struct ws_scrub *w);
/* A close frame has passed: nothing may follow it. */
bool ws_scrub_closed(const struct ws_scrub *w);
const char *ws_scrub_why(const struct ws_scrub *w);

#endif
