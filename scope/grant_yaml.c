/* SPDX-License-Identifier: ISC */
/* What for: the grants file. It becomes the JSON of grant_json.h, so that
 * there is one grammar; only quantities and the CA file are read here.
 * Trusts: the file's owner, and safefile_read() about the CA file. At a
 * bound: ERR_FORMAT and "file:line: what". */
#include "scope/grant_yaml.h"

#include "lib/buf.h"
#include "lib/safefile.h"
#include "scope/grant_json.h"
#include "scope/grant_text.h"
#include "scope/why.h"
#include "scope/yaml.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct ctx {
	const struct yaml_doc *doc;
	const char *path;
	char *why;
	size_t size;
};

static const char *const top_names[] = {"grants", NULL};
static const char *const grant_names[] = {"name", "credential", "hosts",
    "allow", "limits", "ttl", "upstream", "tunnel", "absolute", NULL};
static const char *const rule_names[] = {"methods", "paths", "query", NULL};
static const char *const limit_names[] = {
    "requests", "rate", "bytes_up", "bytes_down", "concurrent", NULL};
static const char *const upstream_names[] = {
    "addresses", "port", "ca_file", NULL};

static int
wrong(const struct ctx *c, unsigned line, const char *what)
{
	return why_say(c->why, c->size, "%s:%u: %s", c->path, line, what);
}

static int
only(const struct ctx *c, const json_t *parent, const json_t *o,
    const char *key, const char *const *names)
{
	const char *odd = NULL;

	if (json_only(o, names, &odd))
		return 0;
	if (odd == NULL)
		return why_say(c->why, c->size, "%s:%u: %s: not a mapping",
		    c->path, yaml_line(c->doc, parent, key), key);
	return why_say(c->why, c->size, "%s:%u: unknown key \"%s\"", c->path,
	    yaml_line(c->doc, o, odd), WHY_TEXT(odd));
}

/* Limits: numbers and words into numbers. */

static int
set_number(json_t *o, const char *key, uint64_t v)
{
	return json_object_set_new(o, key, json_integer((json_int_t)v)) == 0
		   ? 0
		   : ERR_NOMEM;
}

/* A positive integer, or text that parse() takes. */
static int
amount(const struct ctx *c, const json_t *from, const char *key,
    int (*parse)(struct span, uint64_t *), json_t *to)
{
	const json_t *v = json_object_get(from, key);
	uint64_t n = 0;

	if (v == NULL)
		return 0;
	if (json_is_integer(v) && json_integer_value(v) > 0)
		n = (uint64_t)json_integer_value(v);
	else if (parse == NULL || !json_is_string(v) ||
		 parse(span_str(json_string_value(v)), &n) != 0)
		return why_say(c->why, c->size,
		    "%s:%u: %s: a positive number%s is needed", c->path,
		    yaml_line(c->doc, from, key), key,
		    parse == NULL ? "" : ", with a unit like KiB or MiB,");
	return set_number(to, key, n);
}

static int
rate(const struct ctx *c, const json_t *from, json_t *to)
{
	const char *text = json_text(from, "rate");
	uint64_t n = 0, ms = 0;
	int r;

	if (json_object_get(from, "rate") == NULL)
		return 0;
	if (text == NULL || grant_rate_from_text(span_str(text), &n, &ms) != 0)
		return wrong(c, yaml_line(c->doc, from, "rate"),
		    "rate: write it like 50/s, 10/m or 100/h");
	if ((r = set_number(to, "rate", n)) != 0)
		return r;
	return set_number(to, "rate_ms", ms);
}

static int
limits(const struct ctx *c, const json_t *grant, json_t *to)
{
	const json_t *from = json_object_get(grant, "limits");
	json_t *o;
	int r;

	if (from == NULL)
		return 0;
	if (only(c, grant, from, "limits", limit_names) != 0)
		return ERR_FORMAT;
	if ((o = json_object()) == NULL ||
	    json_object_set_new(to, "limits", o) != 0)
		return ERR_NOMEM;
	if ((r = amount(c, from, "requests", NULL, o)) != 0 ||
	    (r = rate(c, from, o)) != 0 ||
	    (r = amount(c, from, "bytes_up", grant_bytes_from_text, o)) != 0 ||
	    (r = amount(c, from, "bytes_down", grant_bytes_from_text, o)) != 0)
		return r;
	return amount(c, from, "concurrent", NULL, o);
}

static int
ttl(const struct ctx *c, const json_t *grant, json_t *to)
{
	const char *text = json_text(grant, "ttl");
	uint64_t s = 0;

	if (json_object_get(grant, "ttl") == NULL)
		return 0;
	if (text == NULL || grant_time_from_text(span_str(text), &s) != 0)
		return wrong(c, yaml_line(c->doc, grant, "ttl"),
		    "ttl: write it like 90s, 30m, 8h or 7d");
	return set_number(to, "ttl", s);
}

/* Upstream: the CA file's text takes its name's place. */

/* Relative to the folder of the YAML file. */
static int
beside(const char *path, const char *file, char *out, size_t size)
{
	const char *slash = strrchr(path, '/');
	int folder =
	    file[0] == '/' || slash == NULL ? 0 : (int)(slash - path) + 1;
	int n = snprintf(out, size, "%.*s%s", folder, path, file);

	return n < 0 || (size_t)n >= size ? ERR_TOO_BIG : 0;
}

static int
put_ca(const struct ctx *c, const json_t *from, const char *file, json_t *to)
{
	char path[PATH_MAX], why[256] = "";
	struct buf *b = buf_new(GRANT_CA_MAX);
	json_t *pem = NULL;
	int r = b == NULL ? ERR_NOMEM : 0;

	if (r == 0 && (beside(c->path, file, path, sizeof(path)) != 0 ||
			  safefile_read(path, GRANT_CA_MAX, false, b, why,
			      sizeof(why)) != 0))
		r = why_say(c->why, c->size, "%s:%u: ca_file: %s", c->path,
		    yaml_line(c->doc, from, "ca_file"), why);
	if (r == 0) {
		struct span s = buf_span(b);

		/* NULL when it is no UTF-8 text, so no PEM either. */
		pem = json_stringn((const char *)s.p, s.n);
		if (pem == NULL || memchr(s.p, 0, s.n) != NULL)
			r = wrong(c, yaml_line(c->doc, from, "ca_file"),
			    "ca_file: not a PEM file");
		else
			r = json_object_set(to, "ca_pem", pem) == 0 ? 0
								    : ERR_NOMEM;
	}
	json_decref(pem);
	buf_free(b);
	return r;
}

static int
upstream(const struct ctx *c, const json_t *grant, json_t *to)
{
	const json_t *from = json_object_get(grant, "upstream");
	const char *file = json_text(from, "ca_file");
	json_t *o;

	if (from == NULL)
		return 0;
	if (only(c, grant, from, "upstream", upstream_names) != 0)
		return ERR_FORMAT;
	if (json_object_get(from, "ca_file") != NULL &&
	    (file == NULL || file[0] == '\0'))
		return wrong(c, yaml_line(c->doc, from, "ca_file"),
		    "ca_file: a file name is needed");
	if ((o = json_copy((json_t *)from)) == NULL || /* only read */
	    json_object_set_new(to, "upstream", o) != 0)
		return ERR_NOMEM;
	(void)json_object_del(o, "ca_file"); /* absent is fine */
	return file == NULL ? 0 : put_ca(c, from, file, o);
}

/* Only so that an unknown key is named with its line. */
static int
rules(const struct ctx *c, const json_t *grant)
{
	const json_t *list = json_object_get(grant, "allow");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *rule = json_array_get(list, i);

		if (!json_is_object(rule))
			return wrong(c, yaml_line_at(c->doc, list, i),
			    "allow: not a mapping");
		if (only(c, list, rule, "allow", rule_names) != 0)
			return ERR_FORMAT;
	}
	return 0;
}

/* The grant in canonical JSON, still to be checked as such. */
static int
convert(const struct ctx *c, const json_t *list, size_t i, json_t *to)
{
	static const char *const same[] = {
	    "name", "credential", "hosts", "allow", "tunnel", "absolute", NULL};
	const json_t *from = json_array_get(list, i);
	int r;

	if (!json_is_object(from))
		return wrong(c, yaml_line_at(c->doc, list, i),
		    "a grant must be a mapping");
	if (only(c, list, from, "grant", grant_names) != 0)
		return ERR_FORMAT;
	for (const char *const *k = same; *k != NULL; k++) {
		json_t *v = json_object_get(from, *k);

		if (v != NULL && json_object_set(to, *k, v) != 0)
			return ERR_NOMEM;
	}
	if ((r = rules(c, from)) != 0 || (r = limits(c, from, to)) != 0 ||
	    (r = ttl(c, from, to)) != 0)
		return r;
	return upstream(c, from, to);
}

static int
read_one(const struct ctx *c, const json_t *list, size_t i, struct grant *g)
{
	json_t *o = json_object();
	char why[256] = "";
	int r = o == NULL ? ERR_NOMEM : convert(c, list, i, o);

	if (r == 0 && (r = grant_from_json(o, g, why, sizeof(why))) != 0)
		(void)wrong(c, yaml_line_at(c->doc, list, i), why);
	json_decref(o);
	return r;
}

static int
read_all(const struct ctx *c, struct grant_set *s)
{
	const json_t *root = yaml_root(c->doc);
	const json_t *list = json_object_get(root, "grants");
	int r;

	if (only(c, root, root, "grants", top_names) != 0)
		return ERR_FORMAT;
	if (!json_is_array(list))
		return wrong(c, yaml_line(c->doc, root, "grants"),
		    "\"grants:\" and a list are needed");
	s->g = calloc(json_array_size(list) + 1, sizeof(*s->g));
	if (s->g == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < json_array_size(list); i++) {
		if ((r = read_one(c, list, i, &s->g[i])) != 0)
			return r;
		s->n++;
		for (size_t j = 0; j < i; j++) {
			if (strcmp(s->g[i].name, s->g[j].name) == 0)
				return wrong(c, yaml_line_at(c->doc, list, i),
				    "a second grant of this name");
		}
	}
	return 0;
}

int
grant_set_from_yaml(struct span text, const char *path, struct grant_set *out,
    char *why, size_t size)
{
	struct ctx c = {.path = path, .why = why, .size = size};
	struct grant_set s = {0};
	struct yaml_doc *doc = NULL;
	int r = yaml_strict(text, path, &doc, why, size);

	if (r != 0)
		return r;
	c.doc = doc;
	(void)why_say(why, size, "out of memory");
	if ((r = read_all(&c, &s)) != 0)
		grant_set_free(&s);
	else
		*out = s;
	yaml_doc_free(doc);
	return r;
}
