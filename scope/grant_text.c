/* SPDX-License-Identifier: ISC */
/* What for: rules and quantities as people write them. Trusts: nothing. At
 * a bound: ERR_FORMAT and a sentence. */
#include "scope/grant_text.h"

#include "scope/path.h"
#include "scope/why.h"

#include <stdio.h>
#include <stdlib.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit byte_units[] = {{"", 1}, {"B", 1}, {"kB", 1000},
    {"KB", 1000}, {"MB", 1000000}, {"GB", 1000000000}, {"KiB", 1UL << 10},
    {"MiB", 1UL << 20}, {"GiB", 1UL << 30}, {"TiB", 1UL << 40}, {NULL, 0}};
static const struct unit rate_units[] = {{"/s", 1000}, {"/m", 60 * 1000},
    {"/min", 60 * 1000}, {"/h", 3600 * 1000}, {NULL, 0}};
static const struct unit time_units[] = {
    {"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 24 * 3600}, {NULL, 0}};

/* A positive decimal and one of the units. */
static int
quantity(
    struct span text, const struct unit *units, uint64_t *n, uint64_t *factor)
{
	size_t digits = 0;

	while (
	    digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
		digits++;
	/* Zero would read as "nothing" and work as "no limit". */
	if (span_u64(span_of(text.p, digits), INT64_MAX, n) != 0 || *n == 0)
		return ERR_FORMAT;
	for (; units->name != NULL; units++) {
		if (span_is(span_from(text, digits), units->name)) {
			*factor = units->factor;
			return 0;
		}
	}
	return ERR_FORMAT;
}

static int
scaled(struct span text, const struct unit *units, uint64_t *out)
{
	uint64_t n = 0, factor = 0;

	if (quantity(text, units, &n, &factor) != 0)
		return ERR_FORMAT;
	if (n > INT64_MAX / factor)
		return ERR_TOO_BIG;
	*out = n * factor;
	return 0;
}

int
grant_bytes_from_text(struct span text, uint64_t *out)
{
	return scaled(text, byte_units, out);
}

int
grant_time_from_text(struct span text, uint64_t *seconds)
{
	return scaled(text, time_units, seconds);
}

int
grant_rate_from_text(struct span text, uint64_t *rate, uint64_t *rate_ms)
{
	uint64_t n = 0, factor = 0;

	if (quantity(text, rate_units, &n, &factor) != 0)
		return ERR_FORMAT;
	*rate = n;
	*rate_ms = factor;
	return 0;
}

/* The bytes before the first c; in.n of them when it is absent. */
static struct span
before(struct span in, char c)
{
	const uint8_t *at = in.n == 0 ? NULL : memchr(in.p, c, in.n);

	return at == NULL ? in : span_of(in.p, (size_t)(at - in.p));
}

static int
append(char ***list, size_t *n, struct span s)
{
	char **more = reallocarray(*list, *n + 1, sizeof(*more));

	if (more == NULL)
		return ERR_NOMEM;
	*list = more;
	if ((more[*n] = span_dup(s)) == NULL)
		return memchr(s.p, 0, s.n) != NULL ? ERR_FORMAT : ERR_NOMEM;
	(*n)++;
	return 0;
}

/* "GET,HEAD"; empty names are grant_check()'s to refuse. */
static int
read_methods(struct span text, struct grant_rule *r)
{
	int e = 0;

	for (;;) {
		struct span one = before(text, ',');

		if (r->n_methods >= GRANT_METHODS_MAX || one.n == 0)
			return ERR_FORMAT;
		e = append(&r->methods, &r->n_methods, one);
		if (e != 0 || one.n == text.n)
			return e;
		text = span_from(text, one.n + 1);
		if (text.n == 0)
			return ERR_FORMAT; /* a comma at the end */
	}
}

static int
allocate(struct grant *g)
{
	g->hosts = calloc(1, sizeof(*g->hosts));
	g->rules = calloc(1, sizeof(*g->rules));
	if (g->hosts == NULL || g->rules == NULL)
		return ERR_NOMEM;
	g->n_hosts = g->n_rules = 1;
	return 0;
}

/* [METHODS SPACE] HOST[:PORT] PATH */
static int
read_text(struct span text, struct grant *g, char *why, size_t size)
{
	struct span methods = before(text, ' ');
	struct span rest = span_from(text, methods.n + 1);
	int e;

	if (methods.n == text.n) {
		rest = text;
		methods = span_str("*");
	}
	struct span host = before(rest, '/');
	struct span path = span_from(rest, host.n);

	if ((e = allocate(g)) != 0)
		return e;
	if (path.n == 0)
		return why_say(why, size,
		    "\"[METHODS ]HOST/PATH\" is needed; HOST/** for any path");
	if ((e = read_methods(methods, &g->rules[0])) != 0)
		return e == ERR_FORMAT
			   ? why_say(why, size, "methods: GET,HEAD or the like")
			   : e;
	if (grant_host_parse(host, &g->hosts[0]) != 0)
		return why_say(why, size,
		    "the host is no host name, or \"*.\" and a name that one "
		    "owner holds");
	return append(&g->rules[0].paths, &g->rules[0].n_paths, path);
}

int
grant_from_text(struct span text, struct grant *out, char *why, size_t size)
{
	struct grant g;
	int e;

	grant_init(&g);
	(void)why_say(why, size, "not \"[METHODS ]HOST/PATH\"");
	/* A name only for the check: the caller gives the real one. */
	if ((e = read_text(text, &g, why, size)) == 0) {
		g.name[0] = 'x';
		e = grant_check(&g, why, size);
		g.name[0] = '\0';
	}
	if (e != 0) {
		grant_free(&g);
		return e;
	}
	*out = g;
	return 0;
}

/* A literal star in the path would widen the rule: no text for it. */
int
grant_to_text(struct span method, const char *host, uint16_t port,
    struct span path, char *out, size_t size)
{
	char colon[8] = "";
	int n;

	if (path.n == 0)
		path = span_str("/**");
	else if (memchr(path.p, '*', path.n) != NULL ||
		 path_pattern_check(path) != 0)
		return ERR_FORMAT;
	if (port != 443)
		(void)snprintf(colon, sizeof(colon), ":%u", port);
	n = snprintf(out, size, "%.*s%s%s%s%.*s", (int)method.n,
	    (const char *)method.p, method.n > 0 ? " " : "", host, colon,
	    (int)path.n, (const char *)path.p);
	return n < 0 || (size_t)n >= size ? ERR_TOO_BIG : 0;
}
