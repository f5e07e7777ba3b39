/* SPDX-License-Identifier: ISC */
/*
 * Inclusion of path patterns (path.h), decided on their automata. Pure.
 *
 * Knowingly refused though within: what costs too much to compare
 * (ERR_TOO_BIG), and what would hold only because no path has an escape
 * that is cut UTF-8.
 */
#ifndef SCOPE_PATH_WITHIN_H
#define SCOPE_PATH_WITHIN_H

#include "lib/err.h"
#include "lib/span.h"

#define PATH_WITNESS_MAX 2048
/* What one question may cost in all, however many patterns it compares: who
 * asks waits in the same line as who revokes. Some ten milliseconds. */
#define PATH_WORK_MAX 10000000U

/* Take n steps away; 0 is left at the least. */
void path_work(uint64_t *left, uint64_t n);

/*
 * Is every canonical path that `inner` matches matched by one of the n
 * `outer` patterns? All went through path_pattern_check().
 *
 * 0: yes. ERR_DENIED: no, and witness is a path (with NUL; empty when it
 * does not fit) that inner matches and none of outer does. ERR_TOO_BIG:
 * not decided; take it as no. ERR_NOMEM. *left: how much it may cost, from
 * PATH_WORK_MAX on; what it did cost is taken away. At 0 nothing is decided.
 */
MUST_USE int path_within(const char *inner, const char *const *outer, size_t n,
    uint64_t *left, char witness[static PATH_WITNESS_MAX]);

#endif
