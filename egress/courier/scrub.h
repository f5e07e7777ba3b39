/* SPDX-License-Identifier: ISC */
/*
 * Taking this session's credentials out of what comes back. A scrub_set
 * knows every form of every secret; a scrub is one stream of bytes going
 * through it. A match is overwritten with '*', the same length, so that
 * framing stays true. What might be the beginning of a match is held back
 * until the next bytes decide.
 *
 * Forms: raw, percent-encoded and JSON-escaped, hex in both cases, base64
 * in all three alignments (which covers Basic) in both alphabets. Bits of
 * a base64 character that it shares with a neighbour do not count.
 *
 * Secrets under SCRUB_MIN bytes are not looked for: the vault takes them
 * only when their owner accepts that. All of it lives in locked memory.
 *
 *	scrub_set_new(&set); scrub_set_add(set, secret); scrub_set_seal(set);
 *	scrub_new(set, &s);
 *	scrub_run(s, bytes, out); ...; scrub_end(s, out);
 */
#ifndef COURIER_SCRUB_H
#define COURIER_SCRUB_H

#include "lib/buf.h"
#include "lib/secret.h"

#define SCRUB_MIN 12
#define SCRUB_LET_GO 8 /* bytes of a held tail that idling may let go */

struct scrub_set;
struct scrub;

/* Sets are counted: a scrub holds its own. */
MUST_USE int scrub_set_new(struct scrub_set **out);
MUST_USE int scrub_set_add(struct scrub_set *s, const struct keep *secret);
/* After the last add; before the first scrub. */
MUST_USE int scrub_set_seal(struct scrub_set *s);
struct scrub_set *scrub_set_hold(struct scrub_set *s);
void scrub_set_free(struct scrub_set *s); /* lets go of one hold */

MUST_USE int scrub_new(struct scrub_set *set, struct scrub **out);
void scrub_free(struct scrub *s);

/* Pass in through; append to out all that is decided. On failure nothing
 * more may be sent: the stream is to be reset. */
MUST_USE int scrub_run(struct scrub *s, struct span in, struct buf *out);
/* The end: what is held is no whole match. */
MUST_USE int scrub_end(struct scrub *s, struct buf *out);
/* The stream idles: let a tail of at most SCRUB_LET_GO bytes go. What
 * follows it in a match is still overwritten. */
MUST_USE int scrub_idle(struct scrub *s, struct buf *out);
size_t scrub_held(const struct scrub *s);

/* A short text as a whole, in place of in: appended to out. */
MUST_USE int scrub_text(struct scrub_set *set, struct span in, struct buf *out);

#endif
