/* SPDX-License-Identifier: ISC */
/*
 * Taking this session's credentials out of what comes back. A scrub_set
 * knows every form of every secret (scrub_forms.h); a scrub is one stream
 * of bytes going through it. A match is overwritten with '*', the same
 * length, so that framing stays true. What might be the beginning of a
 * match is held back until the next bytes decide.
 *
 * Secrets under SCRUB_MIN bytes are not looked for: the vault takes them
 * only when their owner accepts that. All that tells of secrets lies in
 * locked memory.
 *
 * Cost: what holds nothing like a secret is skipped at the speed of memory
 * (scrub_filter.h); the rest goes byte by byte through an automaton
 * (scrub_trie.h). A byte costs at most SCRUB_WAYS steps, whatever it is;
 * a match costs its own length.
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
#define SCRUB_LET_GO 8 /* bytes of a beginning that idling may let go */

/* Readings of one run of bytes that are followed at once. More than two
 * take a secret that itself holds writings (%41 and the like) within
 * writings; what would take more than this fails with ERR_TOO_BIG. */
#define SCRUB_WAYS 16

struct scrub_set;
struct scrub;

/* Sets are counted: a scrub holds its own. */
MUST_USE int scrub_set_new(struct scrub_set **out);
MUST_USE int scrub_set_add(struct scrub_set *s, const struct keep *secret);
/* Is there nothing to look for? */
bool scrub_set_empty(const struct scrub_set *s);
/* After the last add; before the first scrub. */
MUST_USE int scrub_set_seal(struct scrub_set *s);
struct scrub_set *scrub_set_hold(struct scrub_set *s);
void scrub_set_free(struct scrub_set *s); /* lets go of one hold */

MUST_USE int scrub_new(struct scrub_set *set, struct scrub **out);
void scrub_free(struct scrub *s);

/* Pass in through; append to out all that is decided. On failure nothing
 * more may be sent: the stream is to be reset. */
MUST_USE int scrub_run(struct scrub *s, struct span in, struct buf *out);
/* The same without copying what is clean: *lent is a beginning of in, maybe
 * all, maybe nothing, that goes out as it is, before what is appended. */
MUST_USE int scrub_run_lend(
    struct scrub *s, struct span in, struct span *lent, struct buf *out);
/* The end: what is held is no whole match. The next run is a new stream. */
MUST_USE int scrub_end(struct scrub *s, struct buf *out);
/* The stream idles: let what began go, if it is at most SCRUB_LET_GO bytes
 * with what was let go of it before. What follows in a match is still
 * overwritten. */
MUST_USE int scrub_idle(struct scrub *s, struct buf *out);
size_t scrub_held(const struct scrub *s);
/* For who cannot overwrite: was anything, so far? */
bool scrub_found(const struct scrub *s);

/* Nothing of it would be overwritten. Of several texts that a '\n' parts,
 * which no writing of a character holds, in none. */
MUST_USE bool scrub_is_clean(struct scrub_set *set, struct span in);
/* A short text as a whole, in place of in: appended to out. */
MUST_USE int scrub_text(struct scrub_set *set, struct span in, struct buf *out);

#endif
