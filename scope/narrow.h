/* SPDX-License-Identifier: ISC */
/*
 * What a child token may do, made from what its asker wrote (RFC 9396
 * authorization_details in a token exchange) and from what its parent may.
 * Pure.
 *
 *	[{"type":"hatcheck-grant","name":"gh-read",
 *	  "hosts":["api.github.com"],
 *	  "allow":[{"methods":["GET"],"paths":["/repos/acme/**"]}],
 *	  "limits":{"requests":20},"ttl":600}]
 *
 * What is left out is as the parent has it. Without a name the detail, whose
 * hosts and allow must be said then, narrows each of the parent's grants
 * that it is within; there must be one.
 */
#ifndef SCOPE_NARROW_H
#define SCOPE_NARROW_H

#include "scope/grant.h"

#include <jansson.h>

#define NARROW_DETAILS_MAX 32
#define NARROW_GRANTS_MAX 64
#define NARROW_LEVELS_MAX 9 /* the session's grants and eight narrower sets */

/* From outside in: the session's grants, then those of each ancestor. */
struct narrow_levels {
	size_t n; /* 1 to NARROW_LEVELS_MAX */
	const struct grant_set *level[NARROW_LEVELS_MAX];
};

/*
 * details: an array, or NULL for all that the parent may. Each made grant is
 * within one of the innermost level, by subset.h. It holds only limits of
 * its own, no upstream and no ttl: names may repeat, with the same limits.
 * ttl_s: the least that was asked; 0: nothing.
 *
 * ERR_FORMAT (malformed) or ERR_DENIED (wider), with a sentence that names
 * what; ERR_NOMEM.
 */
MUST_USE int narrow(const json_t *details, const struct narrow_levels *levels,
    struct grant_set *out, uint64_t *ttl_s, char *why, size_t size);

/* Such a set to JSON is grant_set_to_json(); this is the way back. */
MUST_USE int narrow_read(
    const json_t *array, struct grant_set *out, char *why, size_t size);

#endif
