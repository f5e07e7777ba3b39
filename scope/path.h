/* SPDX-License-Identifier: ISC */
/*
 * Request targets and path patterns.
 *
 * A target in origin form is canonical, or refused with ERR_FORMAT: it
 * starts with "/", has no fragment, no byte outside RFC 3986 pchar, "/" and
 * "?", no "//", no "." or ".." segment, no ";", no backslash, valid
 * escapes only, none of which hides an unreserved character, "/", "\\",
 * ".", ";", "%" or NUL and control bytes, and decodes to UTF-8. At most
 * 32 KiB. Nothing is ever rewritten: what was checked is what is sent.
 *
 * A pattern is canonical in the same way, with "*" for one or more bytes
 * within one segment, and "**" as a whole segment for any number (also
 * none) of segments. "/v1/**" matches "/v1" and everything below "/v1/".
 */
#ifndef SCOPE_PATH_H
#define SCOPE_PATH_H

#include "lib/err.h"
#include "lib/span.h"

#define PATH_PATTERN_MAX 1024

struct target {
	struct span path;
	struct span query; /* without "?"; p == NULL when there is none */
};

/* in: the exact bytes of an origin-form target. The spans borrow. */
MUST_USE int target_parse(struct span in, struct target *out);

MUST_USE int path_pattern_check(struct span pattern);
bool path_pattern_match(struct span pattern, struct span path);

#endif
