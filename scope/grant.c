/* SPDX-License-Identifier: ISC */
/* What for: what makes a grant sound. Trusts: host.h and path.h. At a
 * bound: ERR_FORMAT and a sentence. */
#include "scope/grant.h"

#include "scope/path.h"
#include "scope/why.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define TTL_MAX (366UL * 24 * 3600)
#define RESERVED_HOST "hatcheck.internal"
#define WORD "abcdefghijklmnopqrstuvwxyz0123456789"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

void
grant_init(struct grant *g)
{
	*g = (struct grant){0};
}

static void
strings_free(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

void
grant_free(struct grant *g)
{
	for (size_t i = 0; i < g->n_rules; i++) {
		struct grant_rule *r = &g->rules[i];

		strings_free(r->methods, r->n_methods);
		strings_free(r->paths, r->n_paths);
		strings_free(r->query, r->n_query);
	}
	free(g->rules);
	free(g->hosts);
	strings_free(g->addresses, g->n_addresses);
	free(g->ca_pem);
	grant_init(g);
}

struct grant *
grant_set_find(const struct grant_set *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->g[i].name, name) == 0)
			return &s->g[i];
	}
	return NULL;
}

void
grant_set_free(struct grant_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		grant_free(&s->g[i]);
	free(s->g);
	*s = (struct grant_set){0};
}

bool
grant_name_good(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n < GRANT_NAME_MAX && strspn(name, WORD) > 0 &&
	       strspn(name, WORD "._-") == n;
}

/* A pattern has no port of its own: split at the last colon outside
 * brackets. */
int
grant_host_parse(struct span text, struct grant_host *out)
{
	struct grant_host h = {.port = 443};
	size_t colon = text.n;
	uint64_t port = 443;

	while (
	    colon > 0 && text.p[colon - 1] != ':' && text.p[colon - 1] != ']')
		colon--;
	if (colon > 0 && text.p[colon - 1] == ':') {
		if (span_u64(span_from(text, colon), 65535, &port) != 0 ||
		    port == 0)
			return ERR_FORMAT;
		text.n = colon - 1;
	}
	if (host_pattern_parse(text, h.pattern) != 0)
		return ERR_FORMAT;
	h.port = (uint16_t)port;
	*out = h;
	return 0;
}

void
grant_host_text(const struct grant_host *h, char out[static HOST_MAX + 6])
{
	if (h->port == 443)
		(void)snprintf(out, HOST_MAX + 6, "%s", h->pattern);
	else
		(void)snprintf(out, HOST_MAX + 6, "%s:%u", h->pattern, h->port);
}

/* The rest says what is wrong; 0 when nothing is. */

static int
check_host(const struct grant *g, size_t i, char *why, size_t size)
{
	const struct grant_host *h = &g->hosts[i];
	char canonical[HOST_MAX];

	if (host_pattern_parse(
		span_of(h->pattern, strlen(h->pattern)), canonical) != 0 ||
	    strcmp(canonical, h->pattern) != 0)
		return why_say(why, size,
		    "host \"%s\" is no canonical name or pattern",
		    WHY_TEXT(h->pattern));
	if (strcmp(h->pattern, RESERVED_HOST) == 0)
		return why_say(why, size, "%s is reserved", RESERVED_HOST);
	if (h->port == 0)
		return why_say(
		    why, size, "host \"%s\" has no port", WHY_TEXT(h->pattern));
	if (g->n_addresses > 0 && h->pattern[0] == '*')
		return why_say(why, size,
		    "upstream addresses go with exact host names only");
	return 0;
}

static int
check_hosts(const struct grant *g, char *why, size_t size)
{
	if (g->n_hosts == 0 || g->n_hosts > GRANT_HOSTS_MAX)
		return why_say(
		    why, size, "hosts: 1 to %d are needed", GRANT_HOSTS_MAX);
	for (size_t i = 0; i < g->n_hosts; i++) {
		if (check_host(g, i, why, size) != 0)
			return ERR_FORMAT;
	}
	return 0;
}

static bool
method_good(const char *m)
{
	size_t n = strlen(m);

	if (strcmp(m, "*") == 0)
		return true;
	return n > 0 && n <= 32 && strspn(m, UPPER) > 0 &&
	       strspn(m, UPPER "0123456789-_") == n &&
	       strcmp(m, "CONNECT") != 0 && strcmp(m, "TRACE") != 0;
}

/* Query names are compared as bytes: what may stand in a query, but no
 * separator. */
static bool
query_name_good(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n <= 128 && strcspn(name, "&=+;?#/") == n &&
	       query_bytes_good(span_str(name));
}

static int
check_rule(const struct grant_rule *r, char *why, size_t size)
{
	if (r->n_methods == 0 || r->n_methods > GRANT_METHODS_MAX)
		return why_say(why, size, "methods: 1 to %d are needed",
		    GRANT_METHODS_MAX);
	if (r->n_paths == 0 || r->n_paths > GRANT_PATHS_MAX)
		return why_say(
		    why, size, "paths: 1 to %d are needed", GRANT_PATHS_MAX);
	if (r->n_query > GRANT_PATHS_MAX || (r->n_query > 0 && !r->has_query))
		return why_say(
		    why, size, "query: at most %d names", GRANT_PATHS_MAX);
	for (size_t i = 0; i < r->n_methods; i++) {
		if (!method_good(r->methods[i]))
			return why_say(why, size,
			    "method \"%s\" cannot be granted",
			    WHY_TEXT(r->methods[i]));
	}
	for (size_t i = 0; i < r->n_paths; i++) {
		if (path_pattern_check(span_str(r->paths[i])) != 0)
			return why_say(why, size,
			    "path \"%s\" is no canonical pattern",
			    WHY_TEXT(r->paths[i]));
	}
	for (size_t i = 0; i < r->n_query; i++) {
		if (!query_name_good(r->query[i]))
			return why_say(why, size,
			    "query name \"%s\" is not canonical",
			    WHY_TEXT(r->query[i]));
	}
	return 0;
}

static int
check_rules(const struct grant *g, char *why, size_t size)
{
	if (g->n_rules > GRANT_RULES_MAX)
		return why_say(
		    why, size, "allow: at most %d rules", GRANT_RULES_MAX);
	for (size_t i = 0; i < g->n_rules; i++) {
		if (check_rule(&g->rules[i], why, size) != 0)
			return ERR_FORMAT;
	}
	return 0;
}

static bool
address_good(const char *text)
{
	unsigned char a[16];
	char again[INET6_ADDRSTRLEN];
	int family = strchr(text, ':') == NULL ? AF_INET : AF_INET6;

	return inet_pton(family, text, a) == 1 &&
	       inet_ntop(family, a, again, sizeof(again)) != NULL &&
	       strcmp(text, again) == 0;
}

static int
check_upstream(const struct grant *g, char *why, size_t size)
{
	if (g->n_addresses > GRANT_ADDRESSES_MAX)
		return why_say(why, size, "upstream: at most %d addresses",
		    GRANT_ADDRESSES_MAX);
	for (size_t i = 0; i < g->n_addresses; i++) {
		if (!address_good(g->addresses[i]))
			return why_say(why, size,
			    "upstream address \"%s\" is no plain IP address",
			    WHY_TEXT(g->addresses[i]));
	}
	if (g->upstream_port != 0 && g->n_addresses == 0)
		return why_say(why, size, "upstream: a port needs addresses");
	if (g->ca_pem != NULL &&
	    (strlen(g->ca_pem) > GRANT_CA_MAX ||
		strstr(g->ca_pem, "-----BEGIN CERTIFICATE-----") == NULL))
		return why_say(why, size,
		    "upstream: the CA is no PEM certificate of at most "
		    "%d bytes",
		    GRANT_CA_MAX);
	return 0;
}

/* A tunnel passes bytes that nobody reads: nothing that needs reading goes
 * with it. */
static int
check_tunnel(const struct grant *g, char *why, size_t size)
{
	if (g->credential[0] != '\0')
		return why_say(why, size, "a tunnel takes no credential");
	if (g->n_rules > 0)
		return why_say(why, size, "a tunnel takes no allow rules");
	if (g->absolute)
		return why_say(why, size, "a tunnel cannot be absolute");
	if (g->ca_pem != NULL)
		return why_say(why, size, "a tunnel takes no ca_file");
	return 0;
}

int
grant_check(const struct grant *g, char *why, size_t size)
{
	if (!grant_name_good(g->name))
		return why_say(why, size,
		    "name \"%s\": lower-case letters, digits and . _ - only",
		    WHY_TEXT(g->name));
	if (g->credential[0] != '\0' && !grant_name_good(g->credential))
		return why_say(why, size, "credential \"%s\" is no name",
		    WHY_TEXT(g->credential));
	if ((g->limits.rate == 0) != (g->limits.rate_ms == 0))
		return why_say(why, size, "limits: rate has no unit");
	if (g->ttl_s > TTL_MAX)
		return why_say(why, size, "ttl: at most 366 days");
	if (check_hosts(g, why, size) != 0 || check_rules(g, why, size) != 0 ||
	    check_upstream(g, why, size) != 0)
		return ERR_FORMAT;
	return g->tunnel ? check_tunnel(g, why, size) : 0;
}
