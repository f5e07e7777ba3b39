/* SPDX-License-Identifier: ISC */
/*
 * Leaves for the hosts that this gate intercepts, issued once per host
 * under the session's intermediate. One key serves all of them.
 */
#ifndef EGRESS_GATE_LEAF_CACHE_H
#define EGRESS_GATE_LEAF_CACHE_H

#include "keys/ca.h"

struct leaf_cache;

/* key: the gate's own; intermediate and root as the vault gave them.
 * ERR_CRYPTO when they do not fit each other. */
MUST_USE int leaf_cache_new(struct span intermediate, struct span root,
    EVP_PKEY *key, int64_t now, struct leaf_cache **out);
void leaf_cache_free(struct leaf_cache *c);

/* A leaf for exactly this canonical host; borrowed until the next call.
 * ERR_FORMAT for an IP, ERR_EXPIRED. */
MUST_USE int leaf_cache_get(
    struct leaf_cache *c, const char *host, int64_t now, X509 **leaf);

const struct ca_issuer *leaf_cache_issuer(const struct leaf_cache *c);
/* The session's root, PEM, for /v1/ca. */
struct span leaf_cache_root_pem(const struct leaf_cache *c);

#endif
