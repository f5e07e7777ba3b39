/* SPDX-License-Identifier: ISC */
/* What for: the canonical form of grants. Trusts: jansson for the syntax;
 * every name and type is checked here. At a bound: ERR_FORMAT. */
#include "scope/grant_json.h"

#include "scope/read.h"
#include "scope/why.h"

#include <stdlib.h>

#define TYPE "hatcheck-grant"
#define SET_MAX 256
#define NUMBER_MAX ((uint64_t)INT64_MAX)

/* Where a reader writes its complaint. */
struct ctx {
	char *why;
	size_t size;
};

static int
only(const struct ctx *c, const json_t *o, const char *what,
    const char *const *names)
{
	const char *odd = "";

	if (!json_is_object(o))
		return why_say(c->why, c->size, "%s: not an object", what);
	if (!json_only(o, names, &odd))
		return why_say(c->why, c->size, "%s: unknown key \"%s\"", what,
		    WHY_TEXT(odd));
	return 0;
}

static int
wrong(const struct ctx *c, const char *key)
{
	return why_say(
	    c->why, c->size, "%s: missing or of the wrong type", key);
}

/* Optional members: absent leaves *out alone. */

static int
number(const struct ctx *c, const json_t *o, const char *key, uint64_t max,
    uint64_t *out)
{
	int r = json_u64(o, key, max, out);

	return r == 0 || r == ERR_NOT_FOUND ? 0 : wrong(c, key);
}

static int
flag(const struct ctx *c, const json_t *o, const char *key, bool *out)
{
	int r = json_flag(o, key, out);

	return r == 0 || r == ERR_NOT_FOUND ? 0 : wrong(c, key);
}

static int
strings(const struct ctx *c, const json_t *o, const char *key, size_t max,
    char ***out, size_t *n)
{
	int r = read_strings(json_object_get(o, key), max, out, n);

	return r == ERR_FORMAT ? wrong(c, key) : r;
}

static int
read_rule(const struct ctx *c, const json_t *j, struct grant_rule *r)
{
	static const char *const names[] = {"methods", "paths", "query", NULL};
	int e;

	if (only(c, j, "allow", names) != 0)
		return ERR_FORMAT;
	r->has_query = json_object_get(j, "query") != NULL;
	if ((e = strings(c, j, "methods", GRANT_METHODS_MAX, &r->methods,
		 &r->n_methods)) != 0 ||
	    (e = strings(c, j, "paths", GRANT_PATHS_MAX, &r->paths,
		 &r->n_paths)) != 0 ||
	    (r->has_query && (e = strings(c, j, "query", GRANT_PATHS_MAX,
				  &r->query, &r->n_query)) != 0))
		return e;
	return 0;
}

static int
read_rules(const struct ctx *c, const json_t *array, struct grant *g)
{
	size_t n = json_array_size(array);
	int r;

	if (array == NULL)
		return 0;
	if (!json_is_array(array) || n > GRANT_RULES_MAX)
		return wrong(c, "allow");
	if ((g->rules = calloc(n + 1, sizeof(*g->rules))) == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		g->n_rules = i + 1;
		r = read_rule(c, json_array_get(array, i), &g->rules[i]);
		if (r != 0)
			return r;
	}
	return 0;
}

/* A limit of zero reads as "nothing" and would work as "no limit". */
static int
limit(const struct ctx *c, const json_t *o, const char *key, uint64_t *out)
{
	if (number(c, o, key, NUMBER_MAX, out) != 0)
		return ERR_FORMAT;
	if (json_object_get(o, key) != NULL && *out == 0)
		return why_say(c->why, c->size,
		    "limits: %s: leave it out for no limit", key);
	return 0;
}

static int
read_limits(const struct ctx *c, const json_t *j, struct grant_limits *l)
{
	static const char *const names[] = {"requests", "rate", "rate_ms",
	    "bytes_up", "bytes_down", "concurrent", NULL};

	if (j == NULL)
		return 0;
	if (only(c, j, "limits", names) != 0 ||
	    limit(c, j, "requests", &l->requests) != 0 ||
	    limit(c, j, "rate", &l->rate) != 0 ||
	    limit(c, j, "rate_ms", &l->rate_ms) != 0 ||
	    limit(c, j, "bytes_up", &l->bytes_up) != 0 ||
	    limit(c, j, "bytes_down", &l->bytes_down) != 0 ||
	    limit(c, j, "concurrent", &l->concurrent) != 0)
		return ERR_FORMAT;
	return 0;
}

static int
read_ca(const struct ctx *c, const json_t *j, struct grant *g)
{
	const json_t *pem = json_object_get(j, "ca_pem");

	if (pem == NULL)
		return 0;
	if (!json_is_string(pem) || json_string_length(pem) > GRANT_CA_MAX)
		return wrong(c, "ca_pem");
	g->ca_pem = strdup(json_string_value(pem));
	return g->ca_pem == NULL ? ERR_NOMEM : 0;
}

static int
read_upstream(const struct ctx *c, const json_t *j, struct grant *g)
{
	static const char *const names[] = {
	    "addresses", "port", "ca_pem", NULL};
	uint64_t port = 0;
	int r = 0;

	if (j == NULL)
		return 0;
	if (only(c, j, "upstream", names) != 0 ||
	    number(c, j, "port", 65535, &port) != 0)
		return ERR_FORMAT;
	g->upstream_port = (uint16_t)port;
	if (json_object_get(j, "addresses") != NULL)
		r = strings(c, j, "addresses", GRANT_ADDRESSES_MAX,
		    &g->addresses, &g->n_addresses);
	return r != 0 ? r : read_ca(c, j, g);
}

static int
read_names(const struct ctx *c, const json_t *j, struct grant *g)
{
	const json_t *type = json_object_get(j, "type");
	int r;

	if (type != NULL && (!json_is_string(type) ||
				strcmp(json_string_value(type), TYPE) != 0))
		return why_say(c->why, c->size, "type: not \"%s\"", TYPE);
	if (json_text_copy(j, "name", g->name, sizeof(g->name)) != 0)
		return wrong(c, "name");
	r = json_text_copy(
	    j, "credential", g->credential, sizeof(g->credential));
	return r == 0 || r == ERR_NOT_FOUND ? 0 : wrong(c, "credential");
}

static int
read_grant(const struct ctx *c, const json_t *j, struct grant *g)
{
	static const char *const names[] = {"type", "name", "credential",
	    "hosts", "allow", "limits", "ttl", "tunnel", "absolute", "upstream",
	    NULL};
	int r;

	if ((r = only(c, j, "grant", names)) != 0 ||
	    (r = read_names(c, j, g)) != 0 ||
	    (r = read_hosts(json_object_get(j, "hosts"), GRANT_HOSTS_MAX,
		 &g->hosts, &g->n_hosts, c->why, c->size)) != 0 ||
	    (r = read_rules(c, json_object_get(j, "allow"), g)) != 0 ||
	    (r = read_limits(c, json_object_get(j, "limits"), &g->limits)) !=
		0 ||
	    (r = number(c, j, "ttl", NUMBER_MAX, &g->ttl_s)) != 0 ||
	    (r = flag(c, j, "tunnel", &g->tunnel)) != 0 ||
	    (r = flag(c, j, "absolute", &g->absolute)) != 0 ||
	    (r = read_upstream(c, json_object_get(j, "upstream"), g)) != 0)
		return r;
	return grant_check(g, c->why, c->size);
}

int
grant_from_json(const json_t *json, struct grant *out, char *why, size_t size)
{
	struct ctx c = {why, size};
	struct grant g;

	grant_init(&g);
	if (why != NULL && size > 0)
		(void)why_say(why, size, "out of memory");
	int r = read_grant(&c, json, &g);
	if (r != 0) {
		grant_free(&g);
		return r;
	}
	*out = g;
	return 0;
}

static bool
name_taken(const struct grant_set *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->g[i].name, name) == 0)
			return true;
	}
	return false;
}

static int
read_set(const json_t *array, struct grant_set *s, char *why, size_t size)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		struct grant g;
		int r =
		    grant_from_json(json_array_get(array, i), &g, why, size);

		if (r != 0)
			return r;
		if (name_taken(s, g.name)) {
			r = why_say(
			    why, size, "two grants are named \"%s\"", g.name);
			grant_free(&g);
			return r;
		}
		s->g[s->n++] = g;
	}
	return 0;
}

int
grant_set_from_json(
    const json_t *array, struct grant_set *out, char *why, size_t size)
{
	size_t n = json_array_size(array);
	struct grant_set s = {0};
	int r;

	if (!json_is_array(array) || n > SET_MAX)
		return why_say(
		    why, size, "grants: not an array of at most %d", SET_MAX);
	if ((s.g = calloc(n + 1, sizeof(*s.g))) == NULL)
		return ERR_NOMEM;
	if ((r = read_set(array, &s, why, size)) != 0) {
		grant_set_free(&s);
		return r;
	}
	*out = s;
	return 0;
}

/* Encoding. jansson's _new setters take over, and refuse, a NULL value, so
 * one check at the end of a chain finds memory that ran out. */

static json_t *
rule_to_json(const struct grant_rule *r)
{
	json_t *o = json_object();

	if (json_object_set_new(
		o, "methods", write_strings(r->methods, r->n_methods)) != 0 ||
	    json_object_set_new(
		o, "paths", write_strings(r->paths, r->n_paths)) != 0 ||
	    (r->has_query && json_object_set_new(o, "query",
				 write_strings(r->query, r->n_query)) != 0)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *
rules_to_json(const struct grant *g)
{
	json_t *a = json_array();

	for (size_t i = 0; i < g->n_rules; i++) {
		if (json_array_append_new(a, rule_to_json(&g->rules[i])) != 0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}

static int
set_number(json_t *o, const char *key, uint64_t v)
{
	return v == 0
		   ? 0
		   : json_object_set_new(o, key, json_integer((json_int_t)v));
}

static json_t *
limits_to_json(const struct grant_limits *l)
{
	json_t *o = json_object();

	if (set_number(o, "requests", l->requests) != 0 ||
	    set_number(o, "rate", l->rate) != 0 ||
	    set_number(o, "rate_ms", l->rate_ms) != 0 ||
	    set_number(o, "bytes_up", l->bytes_up) != 0 ||
	    set_number(o, "bytes_down", l->bytes_down) != 0 ||
	    set_number(o, "concurrent", l->concurrent) != 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *
upstream_to_json(const struct grant *g)
{
	json_t *o = json_object();

	if ((g->n_addresses > 0 &&
		json_object_set_new(o, "addresses",
		    write_strings(g->addresses, g->n_addresses)) != 0) ||
	    set_number(o, "port", g->upstream_port) != 0 ||
	    (g->ca_pem != NULL && json_object_set_new(o, "ca_pem",
				      json_string(g->ca_pem)) != 0)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static bool
has_limits(const struct grant_limits *l)
{
	return (l->requests | l->rate | l->bytes_up | l->bytes_down |
		   l->concurrent) != 0;
}

static int
set_optional(json_t *o, const struct grant *g)
{
	int r = 0;

	if (has_limits(&g->limits))
		r |= json_object_set_new(
		    o, "limits", limits_to_json(&g->limits));
	r |= set_number(o, "ttl", g->ttl_s);
	if (g->tunnel)
		r |= json_object_set_new(o, "tunnel", json_true());
	if (g->absolute)
		r |= json_object_set_new(o, "absolute", json_true());
	if (g->n_addresses > 0 || g->ca_pem != NULL)
		r |= json_object_set_new(o, "upstream", upstream_to_json(g));
	return r;
}

json_t *
grant_to_json(const struct grant *g)
{
	json_t *o = json_object();
	int r = json_object_set_new(o, "type", json_string(TYPE));

	r |= json_object_set_new(o, "name", json_string(g->name));
	if (g->credential[0] != '\0')
		r |= json_object_set_new(
		    o, "credential", json_string(g->credential));
	r |= json_object_set_new(
	    o, "hosts", write_hosts(g->hosts, g->n_hosts, true));
	if (g->n_rules > 0)
		r |= json_object_set_new(o, "allow", rules_to_json(g));
	r |= set_optional(o, g);
	if (r == 0)
		return o;
	json_decref(o);
	return NULL;
}

json_t *
grant_set_to_json(const struct grant_set *s)
{
	json_t *a = json_array();

	for (size_t i = 0; i < s->n; i++) {
		if (json_array_append_new(a, grant_to_json(&s->g[i])) != 0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}
