/* SPDX-License-Identifier: ISC */
/*
 * Is one grant within another? Pure. A yes is exact: whatever decide.h lets
 * through by the inner grant it lets through by the outer one.
 */
#ifndef SCOPE_SUBSET_H
#define SCOPE_SUBSET_H

#include "scope/grant.h"

/*
 * Within: same name, credential, kind (tunnel or not) and upstream; every
 * host, method, path and query allowed there too; limits and life no wider.
 * "0: no limit" is wider than a limit: who means "as the outer one" fills
 * it in. Both went through grant_check().
 *
 * 0: yes. Else ERR_DENIED, or ERR_TOO_BIG (not decided: take it as no; see
 * path_within.h, also for left), with a sentence about the first thing that is
 * wider; or ERR_NOMEM.
 */
MUST_USE int subset_grant(const struct grant *inner, const struct grant *outer,
    uint64_t *left, char *why, size_t size);

#endif
