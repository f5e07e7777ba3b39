/* SPDX-License-Identifier: ISC */
/*
 * A strict JSON reader (RFC 8259): the whole text is one value; no
 * duplicate names, no NUL, only well-formed UTF-8 and paired surrogates,
 * at most JSON_DEPTH levels and JSON_NODES values. Pure: no I/O, no clock.
 * Numbers keep their integer value when they are integers that fit.
 *
 *	struct json *doc = json_parse(p, n);
 *	const char *token = json_text(json_get(doc, "access_token"));
 *	json_free(doc);
 *
 * All getters take NULL and then answer as if the thing were absent.
 */
#ifndef GUEST_JSON_H
#define GUEST_JSON_H

#include <stdbool.h>
#include <stddef.h>

#define JSON_DEPTH 16
#define JSON_NODES 4096

struct json;

/* NULL when the text is not JSON by the rules above. */
struct json *json_parse(const char *p, size_t n);
void json_free(struct json *v);

/* A member of an object. */
const struct json *json_get(const struct json *v, const char *name);
/* The elements of an array: first, then next of each; NULL at the end. */
const struct json *json_first(const struct json *v);
const struct json *json_next(const struct json *v);
/* A string's text, NULL when v is no string. */
const char *json_text(const struct json *v);
/* False when v is no integer within long long. */
bool json_integer(const struct json *v, long long *out);

#endif
