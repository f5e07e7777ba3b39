/* SPDX-License-Identifier: ISC */
/* What for: certificates for intercepted hosts.
 * Trusts: the vault for the intermediate; the courier decided which hosts.
 * At a bound: the cache is emptied and filled again. */
#include "egress/gate/leaf_cache.h"

#include "egress/gate/limits.h"
#include "scope/host.h"

#include <stdlib.h>

struct entry {
	char host[HOST_MAX];
	X509 *leaf;
};

struct leaf_cache {
	struct ca_issuer *issuer;
	struct buf *root_pem;
	size_t n;
	struct entry entries[LIMIT_LEAVES];
};

int
leaf_cache_new(struct span intermediate, struct span root, EVP_PKEY *key,
    int64_t now, struct leaf_cache **out)
{
	struct leaf_cache *c = calloc(1, sizeof(*c));
	int r;

	if (c == NULL)
		return ERR_NOMEM;
	if ((c->root_pem = buf_new(2 * CA_DER_MAX)) == NULL)
		r = ERR_NOMEM;
	else
		(void)((r = ca_issuer_open(
			    intermediate, root, key, now, &c->issuer)) ||
		       (r = ca_pem(root, c->root_pem)));
	if (r != 0) {
		leaf_cache_free(c);
		return r;
	}
	*out = c;
	return 0;
}

static void
empty(struct leaf_cache *c)
{
	for (size_t i = 0; i < c->n; i++)
		X509_free(c->entries[i].leaf);
	c->n = 0;
}

void
leaf_cache_free(struct leaf_cache *c)
{
	if (c == NULL)
		return;
	empty(c);
	ca_issuer_free(c->issuer);
	buf_free(c->root_pem);
	free(c);
}

static X509 *
find(const struct leaf_cache *c, const char *host)
{
	for (size_t i = 0; i < c->n; i++) {
		if (strcmp(c->entries[i].host, host) == 0)
			return c->entries[i].leaf;
	}
	return NULL;
}

int
leaf_cache_get(struct leaf_cache *c, const char *host, int64_t now, X509 **leaf)
{
	X509 *x = find(c, host);
	int r;

	if (now >= ca_issuer_expires(c->issuer))
		return ERR_EXPIRED;
	if (x == NULL) {
		if (c->n == LIMIT_LEAVES)
			empty(c);
		struct entry *e = &c->entries[c->n];
		if ((r = span_copy(span_str(host), e->host, HOST_MAX)) != 0 ||
		    (r = ca_leaf(c->issuer, host, now, &e->leaf)) != 0)
			return r;
		c->n++;
		x = e->leaf;
	}
	*leaf = x;
	return 0;
}

const struct ca_issuer *
leaf_cache_issuer(const struct leaf_cache *c)
{
	return c->issuer;
}

struct span
leaf_cache_root_pem(const struct leaf_cache *c)
{
	return buf_span(c->root_pem);
}
