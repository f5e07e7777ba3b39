/* SPDX-License-Identifier: ISC */
/*
 * A grant: what a session may do, as plain data. Made by grant_yaml.h (the
 * user's file), grant_text.h (--allow) or grant_json.h (everywhere else);
 * always passed through grant_check() before use.
 */
#ifndef SCOPE_GRANT_H
#define SCOPE_GRANT_H

#include "scope/host.h"

#define GRANT_NAME_MAX 65 /* with NUL; [a-z0-9][a-z0-9._-]* */
#define GRANT_HOSTS_MAX 64
#define GRANT_RULES_MAX 64
#define GRANT_METHODS_MAX 16
#define GRANT_PATHS_MAX 64
#define GRANT_ADDRESSES_MAX 16
#define GRANT_CA_MAX (64 * 1024)

struct grant_host {
	char pattern[HOST_MAX];
	uint16_t port; /* 443 when not said */
};

/* Grants, credentials and presets are named alike. */
bool grant_name_good(const char *name);

/* "host[:port]" as bindings and grants write it; port 443 is left out. */
MUST_USE int grant_host_parse(struct span text, struct grant_host *out);
void grant_host_text(const struct grant_host *h, char out[static HOST_MAX + 6]);

struct grant_rule {
	char **methods; /* upper-case tokens; "*" any */
	size_t n_methods;
	char **paths; /* patterns */
	size_t n_paths;
	char **query; /* allowed query parameter names; NULL: any query */
	size_t n_query;
	bool has_query; /* a query rule was given */
};

/* 0: no limit. */
struct grant_limits {
	uint64_t requests;
	uint64_t rate;	      /* requests per rate_ms */
	uint64_t rate_ms;     /* 1000 for /s */
	uint64_t bytes_up;
	uint64_t bytes_down;
	uint64_t concurrent;
};

struct grant {
	char name[GRANT_NAME_MAX];
	char credential[GRANT_NAME_MAX]; /* empty: none */
	struct grant_host *hosts;
	size_t n_hosts;
	struct grant_rule *rules; /* empty: denies all (not for tunnels) */
	size_t n_rules;
	struct grant_limits limits;
	uint64_t ttl_s; /* 0: as long as the session */
	bool tunnel;	/* plain tunnel: no credential, no rules */
	bool absolute;	/* absolute-form http:// is accepted too */
	/* The explicit exception to the address rule. Not empty: these, and
	 * no others, are dialled, without DNS. */
	char **addresses; /* IP literals */
	size_t n_addresses;
	uint16_t upstream_port; /* 0: the host's own */
	char *ca_pem;		/* extra trust anchors, or NULL */
};

void grant_init(struct grant *g);
void grant_free(struct grant *g); /* what g owns, not g */

/* A sentence about the first thing wrong with g; at most size bytes. */
MUST_USE int grant_check(const struct grant *g, char *why, size_t size);

/* An ordered set. */
struct grant_set {
	struct grant *g;
	size_t n;
};
void grant_set_free(struct grant_set *s);
/* The first of that name, or NULL. */
struct grant *grant_set_find(const struct grant_set *s, const char *name);

#endif
