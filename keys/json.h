/* SPDX-License-Identifier: ISC */
/*
 * jansson with our strictness, for every JSON that another party wrote: no
 * duplicate names, no NUL (raw or escaped), valid UTF-8, one object or
 * array, the whole input, bounded size and depth. And the little readers
 * that typed parsers are made of.
 */
#ifndef KEYS_JSON_H
#define KEYS_JSON_H

#include "lib/err.h"
#include "lib/span.h"

#include <jansson.h>

#define JSON_BYTES_MAX (1024 * 1024)
#define JSON_DEPTH_MAX 16

/* A new reference, or NULL. The limits above. */
json_t *json_strict(struct span in);
/* The same with narrower limits. depth counts nested [ and {. */
json_t *json_strict_within(struct span in, size_t max, unsigned depth);

/* Does the object hold no name but these? names ends with NULL. On false
 * *odd (optional) is the first stranger, borrowed from object. */
bool json_only(
    const json_t *object, const char *const *names, const char **odd);

/* The string member of that name, borrowed; NULL when absent or no
 * string. */
const char *json_text(const json_t *object, const char *name);
/* A string member into a fixed array: 1 to size - 1 bytes. ERR_NOT_FOUND
 * when absent, ERR_FORMAT otherwise. */
MUST_USE int json_text_copy(
    const json_t *object, const char *name, char *out, size_t size);
/* A non-negative integer member at most max. ERR_NOT_FOUND, ERR_FORMAT. */
MUST_USE int json_u64(
    const json_t *object, const char *name, uint64_t max, uint64_t *out);
/* true or false. ERR_NOT_FOUND, ERR_FORMAT. */
MUST_USE int json_flag(const json_t *object, const char *name, bool *out);

#endif
