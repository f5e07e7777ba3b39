/* SPDX-License-Identifier: ISC */
/*
 * YAML as JSON, strictly, with line numbers: what people write by hand, and
 * what decides. libyaml's events are read directly. (libcyaml was tried:
 * it takes any word for true, expands aliases, ignores tags, cuts a string
 * at "\0", cannot tell [] from an absent key, and names the line before.)
 *
 * Refused: NUL bytes raw or escaped, a second document, anchors, aliases,
 * tags, keys that are no plain words, a key given twice, null, nesting over
 * YAML_DEPTH_MAX. Plain true, false and decimal integers are what they look
 * like; every other scalar is a string, as is everything quoted.
 */
#ifndef SCOPE_YAML_H
#define SCOPE_YAML_H

#include "lib/err.h"
#include "lib/span.h"

#include <jansson.h>

#define YAML_BYTES_MAX (1024 * 1024)
#define YAML_DEPTH_MAX 8

struct yaml_doc;

/* path: the file's name, for the sentence in why ("grants.yaml:12: …"). */
MUST_USE int yaml_strict(struct span text, const char *path,
    struct yaml_doc **out, char *why, size_t size);
void yaml_doc_free(struct yaml_doc *d);

/* Borrowed. An object or array. */
const json_t *yaml_root(const struct yaml_doc *d);
/* The line (from 1) where the member `key` of an object, or the i-th item
 * of an array, begins; the line of parent itself when it has none such. */
unsigned yaml_line(
    const struct yaml_doc *d, const json_t *parent, const char *key);
unsigned yaml_line_at(
    const struct yaml_doc *d, const json_t *array, size_t i);

#endif
