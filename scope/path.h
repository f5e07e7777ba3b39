/* SPDX-License-Identifier: ISC */
/*
 * Request targets and path patterns.
 *
 * A target in origin form is canonical, or refused with ERR_FORMAT. It has
 * no byte outside RFC 3986 pchar, "/" and "?" (so no fragment, backslash,
 * control or raw non-ASCII byte), valid escapes only, decodes to UTF-8, and
 * is at most 32 KiB. Its path starts with "/" and has no "//", no "." or
 * ".." segment, no ";", and no escape that hides an unreserved character,
 * "\\", ";", "%" or a control byte. In its query, which no path rule reads
 * and whose names are compared as bytes, an escape may hide anything but
 * NUL. Nothing is ever rewritten: what was checked is what is sent.
 *
 * An escape may hide a "/", as in registries' names of packages, where the
 * path is canonical for who decodes it first, too. Nobody knows where the
 * segments of such a path end: of all patterns only the one that takes every
 * path, "/" and "**", takes it.
 *
 * A pattern is canonical in the same way and hides no "/", with "*" for one or
 * more bytes within one segment, and "**" as a whole segment for any number
 * (also none) of segments. "/v1/**" matches "/v1" and everything below "/v1/".
 */
#ifndef SCOPE_PATH_H
#define SCOPE_PATH_H

#include "lib/err.h"
#include "lib/span.h"

#define PATH_PATTERN_MAX 1024

struct target {
	struct span path;
	struct span query; /* without "?"; p == NULL when there is none */
	bool hides_slash;  /* in the path */
};

/* in: the exact bytes of an origin-form target. The spans borrow. */
MUST_USE int target_parse(struct span in, struct target *out);

/* What a query, or a name in one, may be made of. */
bool query_bytes_good(struct span query);
/* Is every name in the query one of these n? An empty part ("&&"), and a
 * ";", which some servers split at, count as a stranger. */
bool query_within(struct span query, char *const *names, size_t n);

MUST_USE int path_pattern_check(struct span pattern);
/* The pattern went through path_pattern_check(). */
bool target_match(struct span pattern, const struct target *t);

#endif
