/* SPDX-License-Identifier: ISC */
/* What for: whether a grant is within another. Trusts: that both went
 * through grant_check(). At a bound: a refusal. */
#include "scope/subset.h"

#include "scope/path_within.h"
#include "scope/why.h"

#include <stdlib.h>
#include <string.h>

#define PATHS_ROOM ((size_t)GRANT_RULES_MAX * GRANT_PATHS_MAX)

/* why_say() answers ERR_FORMAT; nothing here is malformed. */
#define WIDER(...) ((void)why_say(__VA_ARGS__), ERR_DENIED)

static bool
text_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
listed(char *const *list, size_t n, const char *what)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i], what) == 0)
			return true;
	}
	return false;
}

static bool
upstream_same(const struct grant *a, const struct grant *b)
{
	if (a->n_addresses != b->n_addresses ||
	    a->upstream_port != b->upstream_port ||
	    !text_same(a->ca_pem, b->ca_pem))
		return false;
	for (size_t i = 0; i < a->n_addresses; i++) {
		if (strcmp(a->addresses[i], b->addresses[i]) != 0)
			return false;
	}
	return true;
}

static int
check_kind(
    const struct grant *in, const struct grant *out, char *why, size_t size)
{
	if (strcmp(in->name, out->name) != 0)
		return WIDER(why, size, "it has another name");
	if (strcmp(in->credential, out->credential) != 0)
		return WIDER(why, size, "it names another credential");
	if (in->tunnel != out->tunnel)
		return WIDER(why, size, "one is a tunnel, one is not");
	if (in->absolute && !out->absolute)
		return WIDER(why, size, "absolute-form requests are not its");
	if (!upstream_same(in, out))
		return WIDER(why, size, "it names another upstream");
	return 0;
}

static int
check_hosts(
    const struct grant *in, const struct grant *out, char *why, size_t size)
{
	for (size_t i = 0; i < in->n_hosts; i++) {
		char text[HOST_MAX + 6];
		bool found = false;

		for (size_t j = 0; j < out->n_hosts && !found; j++)
			found = in->hosts[i].port == out->hosts[j].port &&
				host_pattern_within(out->hosts[j].pattern,
				    in->hosts[i].pattern);
		if (found)
			continue;
		grant_host_text(&in->hosts[i], text);
		return WIDER(why, size, "host %s is not its", WHY_TEXT(text));
	}
	return 0;
}

/* Of no limit: 0. */
static bool
limit_within(uint64_t in, uint64_t out)
{
	return out == 0 || (in != 0 && in <= out);
}

/* The burst counts, and the average. */
static bool
rate_within(const struct grant_limits *in, const struct grant_limits *out)
{
	unsigned __int128 mine = (unsigned __int128)in->rate * out->rate_ms;
	unsigned __int128 its = (unsigned __int128)out->rate * in->rate_ms;

	return out->rate == 0 ||
	       (in->rate != 0 && in->rate <= out->rate && mine <= its);
}

static int
check_limits(
    const struct grant *in, const struct grant *out, char *why, size_t size)
{
	const struct grant_limits *a = &in->limits, *b = &out->limits;

	if (!limit_within(a->requests, b->requests))
		return WIDER(why, size, "more requests than its");
	if (!rate_within(a, b))
		return WIDER(why, size, "a higher rate than its");
	if (!limit_within(a->bytes_up, b->bytes_up))
		return WIDER(why, size, "more bytes up than its");
	if (!limit_within(a->bytes_down, b->bytes_down))
		return WIDER(why, size, "more bytes down than its");
	if (!limit_within(a->concurrent, b->concurrent))
		return WIDER(why, size, "more at a time than its");
	if (!limit_within(in->ttl_s, out->ttl_s))
		return WIDER(why, size, "a longer life than its");
	return 0;
}

/* The largest query that `in` allows names all its names (or a stranger):
 * only a rule that allows that one helps. */
static bool
query_covers(
    const struct grant_rule *out, const struct grant_rule *in, uint64_t *left)
{
	if (!out->has_query)
		return true;
	if (!in->has_query)
		return false;
	path_work(left, in->n_query * out->n_query);
	for (size_t i = 0; i < in->n_query; i++) {
		if (!listed(out->query, out->n_query, in->query[i]))
			return false;
	}
	return true;
}

/* No list of methods is all of them: "*" is within "*" only. */
static bool
method_covers(const struct grant_rule *out, const char *method)
{
	return listed(out->methods, out->n_methods, "*") ||
	       listed(out->methods, out->n_methods, method);
}

/* The outer paths that go with this method and query, all rules' together:
 * a path may be covered by several. */
static size_t
gather(const struct grant *out, const struct grant_rule *in, const char *method,
    uint64_t *left, const char **paths)
{
	size_t n = 0;

	for (size_t i = 0; i < out->n_rules; i++) {
		const struct grant_rule *r = &out->rules[i];

		if (*left == 0)
			break; /* fewer than there are: nothing is decided */
		if (!method_covers(r, method) || !query_covers(r, in, left))
			continue;
		for (size_t j = 0; j < r->n_paths; j++)
			paths[n++] = r->paths[j];
	}
	return n;
}

static int
check_path(const char *path, const char *method, const char *const *paths,
    size_t n, uint64_t *left, char *why, size_t size)
{
	char witness[PATH_WITNESS_MAX];
	int r = path_within(path, paths, n, left, witness);

	if (r == ERR_DENIED)
		return WIDER(why, size, "%s %s is not its: as %s would be",
		    method, WHY_TEXT(path), WHY_TEXT(witness));
	if (r == ERR_TOO_BIG)
		(void)why_say(why, size,
		    "%s %s is too much to compare; use fewer or plainer paths",
		    method, WHY_TEXT(path));
	return r;
}

static int
check_rule(const struct grant_rule *in, const struct grant *out, uint64_t *left,
    const char **paths, char *why, size_t size)
{
	const char **before = paths + PATHS_ROOM;
	size_t n_before = PATHS_ROOM + 1;

	for (size_t m = 0; m < in->n_methods; m++) {
		size_t n = gather(out, in, in->methods[m], left, paths);

		if (n == n_before &&
		    memcmp(paths, before, n * sizeof(*paths)) == 0)
			continue; /* the same question again */
		for (size_t i = 0; i < in->n_paths; i++) {
			int r = check_path(in->paths[i], in->methods[m], paths,
			    n, left, why, size);
			if (r != 0)
				return r;
		}
		memcpy(before, paths, n * sizeof(*paths));
		n_before = n;
	}
	return 0;
}

static int
check_rules(const struct grant *in, const struct grant *out, uint64_t *left,
    char *why, size_t size)
{
	const char **paths = calloc(2 * PATHS_ROOM, sizeof(*paths));
	int r = paths == NULL ? ERR_NOMEM : 0;

	for (size_t i = 0; i < in->n_rules && r == 0; i++)
		r = check_rule(&in->rules[i], out, left, paths, why, size);
	free(paths);
	return r;
}

int
subset_grant(const struct grant *inner, const struct grant *outer,
    uint64_t *left, char *why, size_t size)
{
	int r = check_kind(inner, outer, why, size);

	if (r == 0)
		r = check_hosts(inner, outer, why, size);
	if (r == 0)
		r = check_limits(inner, outer, why, size);
	return r == 0 ? check_rules(inner, outer, left, why, size) : r;
}
