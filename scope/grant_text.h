/* SPDX-License-Identifier: ISC */
/*
 * The short form of a rule, the same grammar as in YAML:
 *
 *	--allow 'GET,HEAD api.github.com/repos/acme/**'
 *	--allow 'docs.example.com/**'           (any method)
 *	--allow 'GET api.demo.test:8443/v1/*'
 */
#ifndef SCOPE_GRANT_TEXT_H
#define SCOPE_GRANT_TEXT_H

#include "scope/grant.h"

/* One host, one rule; name and credential are left empty. */
MUST_USE int grant_from_text(
    struct span text, struct grant *out, char *why, size_t size);
/* The text for a method, host, port and path; an empty path stands for every
 * one, an empty method for any (for `grant suggest`). */
MUST_USE int grant_to_text(struct span method, const char *host,
    uint16_t port, struct span path, char *out, size_t size);

/* "10MiB", "1000", "50/s", "8h": as the YAML has them. */
MUST_USE int grant_bytes_from_text(struct span text, uint64_t *out);
MUST_USE int grant_rate_from_text(
    struct span text, uint64_t *rate, uint64_t *rate_ms);
MUST_USE int grant_time_from_text(struct span text, uint64_t *seconds);

#endif
