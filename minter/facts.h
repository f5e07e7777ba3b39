/* SPDX-License-Identifier: ISC */
/*
 * What the vault knows of the credentials that some grants name: asked for
 * before the grants are given to anybody.
 */
#ifndef MINTER_FACTS_H
#define MINTER_FACTS_H

#include "minter/minter.h"

struct facts {
	struct metadata *m; /* of each distinct credential */
	size_t n;
};

/* err: 0; ERR_NOT_FOUND (missing: which credential), ERR_LOCKED,
 * ERR_UNAVAILABLE, ERR_FORMAT. f is borrowed. */
typedef void
facts_done(void *ctx, int err, const char *missing, const struct facts *f);

/* Calls done exactly once, maybe at once (no credential is named, or no
 * vault is there). */
void facts_gather(
    struct minter *m, const struct grant_set *set, facts_done *done, void *ctx);

/* Does every grant keep within its credential's bindings? On false why is a
 * sentence that says which does not. */
bool facts_cover(
    const struct facts *f, const struct grant_set *set, char *why, size_t size);

#endif
