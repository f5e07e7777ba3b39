/* SPDX-License-Identifier: ISC */
/* What for: the grants of a child token. Trusts: the levels; of what the
 * asker wrote nothing. At a bound: refused. */
#include "scope/narrow.h"

#include "scope/grant_json.h"
#include "scope/path_within.h"
#include "scope/subset.h"
#include "scope/why.h"

#include <stdio.h>
#include <stdlib.h>

#define TYPE "hatcheck-grant"

struct making {
	const struct narrow_levels *levels;
	struct grant_set set;
	uint64_t ttl_s;
	uint64_t left; /* of work, for all details together */
	char *why;
	size_t size;
};

static void
fill(uint64_t *limit, uint64_t from)
{
	if (*limit == 0)
		*limit = from;
}

/* "0: no limit" of an inner one means: as the outer one has it. */
static void
fill_limits(struct grant_limits *l, const struct grant_limits *from)
{
	fill(&l->requests, from->requests);
	fill(&l->bytes_up, from->bytes_up);
	fill(&l->bytes_down, from->bytes_down);
	fill(&l->concurrent, from->concurrent);
	if (l->rate == 0) {
		l->rate = from->rate;
		l->rate_ms = from->rate_ms;
	}
}

/* All that holds for a grant of that name, from the inside out. */
static void
fill_all(const struct narrow_levels *v, const char *name,
    struct grant_limits *l, uint64_t *ttl_s)
{
	for (size_t i = v->n; i-- > 0;) {
		const struct grant *g = grant_set_find(v->level[i], name);
		if (g == NULL)
			continue;
		fill_limits(l, &g->limits);
		fill(ttl_s, g->ttl_s);
	}
}

static int
check_keys(const struct making *m, const json_t *o)
{
	static const char *const names[] = {
	    "type", "name", "hosts", "allow", "limits", "ttl", NULL};
	const char *odd = "", *type = json_text(o, "type");

	if (!json_is_object(o))
		return why_say(m->why, m->size, "not an object");
	if (!json_only(o, names, &odd))
		return why_say(m->why, m->size,
		    "\"%s\" cannot be said of a child token", WHY_TEXT(odd));
	if (type == NULL || strcmp(type, TYPE) != 0)
		return why_say(m->why, m->size, "type: not \"%s\"", TYPE);
	if (json_object_get(o, "name") != NULL && json_text(o, "name") == NULL)
		return why_say(m->why, m->size, "name: not a text");
	if (json_object_get(o, "name") == NULL &&
	    (json_object_get(o, "hosts") == NULL ||
		json_object_get(o, "allow") == NULL))
		return why_say(m->why, m->size,
		    "without a name, hosts and allow must be said");
	return 0;
}

/* The outer grant as JSON, less what is not compared: its upstream, which
 * no child changes, and what the asker has said anew. */
static json_t *
overlay(const struct grant *outer, const json_t *asked)
{
	json_t *o = grant_to_json(outer), *v;
	const char *key;

	(void)json_object_del(o, "upstream"); /* or it has none */
	(void)json_object_del(o, "limits");
	(void)json_object_del(o, "ttl");
	/* It only loses its const here. */
	json_object_foreach ((json_t *)(uintptr_t)asked, key, v) {
		if (json_object_set(o, key, v) != 0) {
			json_decref(o);
			return NULL;
		}
	}
	return o;
}

static int
read_one(const struct grant *outer, const json_t *asked, struct grant *out,
    char *why, size_t size)
{
	json_t *o = overlay(outer, asked);
	int r = o == NULL ? ERR_NOMEM : grant_from_json(o, out, why, size);

	json_decref(o);
	return r;
}

static bool
same_limits(const struct grant_limits *a, const struct grant_limits *b)
{
	return a->requests == b->requests && a->rate == b->rate &&
	       a->rate_ms == b->rate_ms && a->bytes_up == b->bytes_up &&
	       a->bytes_down == b->bytes_down &&
	       a->concurrent == b->concurrent;
}

/* Takes g over, also when it fails. */
static int
add(struct making *m, struct grant *g)
{
	const struct grant *same = grant_set_find(&m->set, g->name);
	int r = 0;

	if (m->set.n == NARROW_GRANTS_MAX)
		r = why_say(m->why, m->size, "more than %d grants in all",
		    NARROW_GRANTS_MAX);
	else if (same != NULL && !same_limits(&same->limits, &g->limits))
		r = why_say(m->why, m->size,
		    "%s: two details of one grant have different limits, "
		    "which hold for both together",
		    g->name);
	if (r != 0) {
		grant_free(g);
		return r;
	}
	if (g->ttl_s != 0 && (m->ttl_s == 0 || g->ttl_s < m->ttl_s))
		m->ttl_s = g->ttl_s;
	g->ttl_s = 0;
	m->set.g[m->set.n++] = *g;
	return 0;
}

/* Is what was asked, filled in, within the outer one, filled in? */
static int
check_within(struct making *m, const struct grant *g, const struct grant *outer,
    char *why, size_t size)
{
	struct grant inner = *g, out = *outer;

	fill_all(m->levels, g->name, &out.limits, &out.ttl_s);
	fill_limits(&inner.limits, &out.limits);
	fill(&inner.ttl_s, out.ttl_s);
	/* No child says it, so both go there by the session's grant. */
	out.n_addresses = 0;
	out.upstream_port = 0;
	out.ca_pem = NULL;
	return subset_grant(&inner, &out, &m->left, why, size);
}

/* One detail against one grant of the parent's. */
static int
try_outer(struct making *m, const struct grant *outer, const json_t *asked,
    struct grant *out, char *why, size_t size)
{
	int r;

	if ((r = read_one(outer, asked, out, why, size)) != 0)
		return r;
	if ((r = check_within(m, out, outer, why, size)) != 0)
		grant_free(out);
	return r;
}

/* One sentence for all that it is not within. */
static void
note(const struct making *m, const char *name, const char *why, size_t *at)
{
	int n = snprintf(m->why + *at, m->size - *at, "%s%s: %s",
	    *at == 0 ? "" : "; ", name, why);

	if (n > 0)
		*at += (size_t)n < m->size - *at ? (size_t)n
						 : m->size - *at - 1;
}

static int
add_detail(struct making *m, const json_t *asked)
{
	const struct grant_set *parent = m->levels->level[m->levels->n - 1];
	const char *name;
	bool found = false;
	size_t at = 0;
	int r;

	if ((r = check_keys(m, asked)) != 0)
		return r;
	name = json_text(asked, "name");
	for (size_t i = 0; i < parent->n; i++) {
		const struct grant *outer = &parent->g[i];
		struct grant g;
		char why[256];

		if ((name != NULL && strcmp(name, outer->name) != 0) ||
		    (name != NULL && found))
			continue;
		r = try_outer(m, outer, asked, &g, why, sizeof(why));
		if (r == ERR_NOMEM || (r == 0 && (r = add(m, &g)) != 0))
			return r;
		if (r == 0)
			found = true;
		else
			note(m, outer->name, why, &at);
	}
	if (found)
		return 0;
	if (at == 0 && name != NULL)
		(void)why_say(m->why, m->size,
		    "the parent has no grant \"%s\"", WHY_TEXT(name));
	else if (at == 0)
		(void)why_say(m->why, m->size, "the parent has no grant");
	return ERR_DENIED;
}

/* As the parent: with no limits of its own, for the parent's hold. */
static int
copy_all(struct making *m)
{
	const struct grant_set *parent = m->levels->level[m->levels->n - 1];
	json_t *nothing = json_object();
	int r = nothing == NULL ? ERR_NOMEM : 0;

	for (size_t i = 0; i < parent->n && r == 0; i++) {
		struct grant g;
		r = read_one(&parent->g[i], nothing, &g, m->why, m->size);
		if (r == 0)
			r = add(m, &g);
	}
	json_decref(nothing);
	return r;
}

static int
add_details(struct making *m, const json_t *details)
{
	size_t n = json_array_size(details);
	int r = 0;

	if (!json_is_array(details) || n == 0 || n > NARROW_DETAILS_MAX)
		return why_say(m->why, m->size,
		    "not an array of 1 to %d details", NARROW_DETAILS_MAX);
	for (size_t i = 0; i < n && r == 0; i++)
		r = add_detail(m, json_array_get(details, i));
	return r;
}

int
narrow(const json_t *details, const struct narrow_levels *levels,
    struct grant_set *out, uint64_t *ttl_s, char *why, size_t size)
{
	struct making m = {
	    .levels = levels, .left = PATH_WORK_MAX, .why = why, .size = size};
	int r = ERR_NOMEM;

	*why = '\0';
	m.set.g = calloc(NARROW_GRANTS_MAX, sizeof(*m.set.g));
	if (m.set.g != NULL)
		r = details == NULL ? copy_all(&m) : add_details(&m, details);
	if (r != 0) {
		grant_set_free(&m.set);
		return r;
	}
	*out = m.set;
	*ttl_s = m.ttl_s;
	return 0;
}

int
narrow_read(const json_t *array, struct grant_set *out, char *why, size_t size)
{
	size_t n = json_array_size(array);
	struct grant_set s = {0};
	int r = 0;

	if (!json_is_array(array) || n > NARROW_GRANTS_MAX)
		return why_say(why, size, "not an array of at most %d grants",
		    NARROW_GRANTS_MAX);
	if ((s.g = calloc(n + 1, sizeof(*s.g))) == NULL)
		return ERR_NOMEM;
	for (; s.n < n && r == 0; s.n += r == 0)
		r = grant_from_json(
		    json_array_get(array, s.n), &s.g[s.n], why, size);
	if (r != 0) {
		grant_set_free(&s);
		return r;
	}
	*out = s;
	return 0;
}
