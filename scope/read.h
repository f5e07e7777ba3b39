/* SPDX-License-Identifier: ISC */
/*
 * Lists in JSON, as grants and metadata both have them.
 */
#ifndef SCOPE_READ_H
#define SCOPE_READ_H

#include "scope/grant.h"

#include <jansson.h>

/* An array of at most max strings, none empty. On failure nothing is
 * allocated. ERR_FORMAT (also when array is NULL), ERR_NOMEM. */
MUST_USE int read_strings(
    const json_t *array, size_t max, char ***out, size_t *n);
/* An array of "host[:port]". ERR_FORMAT with a sentence. */
MUST_USE int read_hosts(const json_t *array, size_t max,
    struct grant_host **out, size_t *n, char *why, size_t size);

/* New references; NULL when memory is out. */
json_t *write_strings(char *const *list, size_t n);
json_t *write_hosts(
    const struct grant_host *hosts, size_t n, bool port_always);

#endif
