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

/*
 * Is every canonical path that `inner` matches matched by one of the n
 * `outer` patterns? All went through path_pattern_check().
 *
 * 0: yes. ERR_DENIED: no, and witness is a path (with NUL; empty when it
 * does not fit) that inner matches and none of outer does. ERR_TOO_BIG:
 * not decided; take it as no. ERR_NOMEM.
 */
MUST_USE int path_within(const char *inner, const char *const *outer, size_t n,
    char witness[static PATH_WITNESS_MAX]);

#endif
