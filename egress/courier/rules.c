/* SPDX-License-Identifier: ISC */
/* What for: the session's rules as typed values. Trusts: the minter for
 * what they say, not for their form. At a bound: ERR_FORMAT or ERR_TOO_BIG,
 * and the link's owner ends the process. */
#include "egress/courier/rules.h"

#include "messages/control.h"
#include "keys/json.h"
#include "scope/grant_json.h"
#include "scope/narrow.h"

#include <stdlib.h>

#define FAMILY_MAX 33
#define JTI_MAX 65
#define ACT_MAX 65
#define SWEEP_AFTER_MS (10 * 60 * 1000)

struct family {
	struct family *next;
	char id[FAMILY_MAX], jti[JTI_MAX], parent[FAMILY_MAX];
	char act[ACT_MAX];
	uint64_t expires_ms;
	bool cut;
	bool narrow; /* it has details: */
	struct grant_set details;
};

struct placeholder {
	char credential[GRANT_NAME_MAX];
	char *value;
};

/* A name that was cut. */
struct cut {
	struct cut *next;
	enum rules_cut_kind kind;
	char name[GRANT_NAME_MAX];
};

struct rules {
	bool loaded, cut;
	uint64_t expires_ms;
	struct grant_set grants;
	struct placeholder *placeholders;
	size_t n_placeholders;
	struct family *families;
	size_t n_families;
	struct cut *cuts;
};

int
rules_new(struct rules **out)
{
	struct rules *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return ERR_NOMEM;
	*out = r;
	return 0;
}

static void
placeholders_free(struct placeholder *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(p[i].value);
	free(p);
}

static void
family_free(struct family *f)
{
	grant_set_free(&f->details);
	free(f);
}

void
rules_free(struct rules *r)
{
	if (r == NULL)
		return;
	for (struct family *f = r->families, *next; f != NULL; f = next) {
		next = f->next;
		family_free(f);
	}
	for (struct cut *c = r->cuts, *next; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
	placeholders_free(r->placeholders, r->n_placeholders);
	grant_set_free(&r->grants);
	free(r);
}

static int
get_placeholder(const json_t *json, struct placeholder *out)
{
	const char *value = json_text(json, "value");

	if (value == NULL || value[0] == '\0' ||
	    json_text_copy(json, "credential", out->credential,
		sizeof(out->credential)) != 0)
		return ERR_FORMAT;
	return (out->value = strdup(value)) == NULL ? ERR_NOMEM : 0;
}

static int
get_placeholders(struct span text, struct placeholder **out, size_t *n_out)
{
	json_t *json = json_strict(text);
	size_t n = json_array_size(json), i;
	struct placeholder *p = calloc(n + 1, sizeof(*p));
	int r = !json_is_array(json) ? ERR_FORMAT : p == NULL ? ERR_NOMEM : 0;

	for (i = 0; i < n && r == 0; i++)
		r = get_placeholder(json_array_get(json, i), &p[i]);
	json_decref(json);
	if (r != 0) {
		placeholders_free(p, p == NULL ? 0 : n);
		return r;
	}
	*out = p;
	*n_out = n;
	return 0;
}

static int
get_grants(struct span text, struct grant_set *out)
{
	json_t *json = json_strict(text);
	char why[256];
	int r = ERR_FORMAT;

	if (json != NULL)
		r = grant_set_from_json(json, out, why, sizeof(why));
	json_decref(json);
	return r;
}

static bool
still_named(const struct rules *r, const struct cut *c)
{
	if (!r->loaded)
		return true; /* unknown */
	for (size_t i = 0; i < r->grants.n; i++) {
		const struct grant *g = &r->grants.g[i];
		const char *name =
		    c->kind == RULES_CUT_GRANT ? g->name : g->credential;
		if (strcmp(name, c->name) == 0)
			return true;
	}
	return false;
}

static void
lift_cuts(struct rules *r)
{
	for (struct cut **p = &r->cuts; *p != NULL;) {
		struct cut *c = *p;
		if (still_named(r, c)) {
			p = &c->next;
			continue;
		}
		*p = c->next;
		free(c);
	}
}

int
rules_load(struct rules *r, const struct rules_session *m)
{
	struct grant_set grants = {0};
	struct placeholder *p = NULL;
	size_t n = 0;
	int e;

	if ((e = get_placeholders(m->placeholders, &p, &n)) != 0)
		return e;
	if ((e = get_grants(m->grants, &grants)) != 0) {
		placeholders_free(p, n);
		return e;
	}
	placeholders_free(r->placeholders, r->n_placeholders);
	grant_set_free(&r->grants);
	r->grants = grants;
	r->placeholders = p;
	r->n_placeholders = n;
	r->expires_ms = m->expires_ms;
	r->loaded = true;
	lift_cuts(r);
	return 0;
}

void
rules_suspend(struct rules *r)
{
	r->loaded = false;
}

static struct family *
find_family(const struct rules *r, struct span id)
{
	struct family *f = r->families;

	while (f != NULL && !span_is(id, f->id))
		f = f->next;
	return f;
}

static int
add_family(struct rules *r, struct span id, struct family **out)
{
	struct family *f;

	if (id.n == 0)
		return ERR_FORMAT;
	if (r->n_families == RULES_FAMILIES_MAX)
		return ERR_TOO_BIG;
	if ((f = calloc(1, sizeof(*f))) == NULL)
		return ERR_NOMEM;
	int e = span_copy(id, f->id, sizeof(f->id));
	if (e != 0) {
		free(f);
		return e;
	}
	f->next = r->families;
	r->families = f;
	r->n_families++;
	*out = f;
	return 0;
}

static int
get_details(struct span text, struct grant_set *out)
{
	json_t *json = json_strict(text);
	char why[256];
	int e = json == NULL ? ERR_FORMAT
			     : narrow_read(json, out, why, sizeof(why));

	json_decref(json);
	return e;
}

/* What a family may and whose child it is stand for good: a second word on
 * it that says otherwise is refused. */
static int
settle_family(struct family *f, const struct rules_family *m, bool known)
{
	int e;

	if (known)
		return span_is(m->parent, f->parent) &&
			       span_is(m->act, f->act) &&
			       f->narrow == (m->details.n != 0)
			   ? 0
			   : ERR_FORMAT;
	if ((e = span_copy(m->parent, f->parent, sizeof(f->parent))) != 0 ||
	    (e = span_copy(m->act, f->act, sizeof(f->act))) != 0)
		return e;
	f->narrow = m->details.n != 0;
	return f->narrow ? get_details(m->details, &f->details) : 0;
}

int
rules_put_family(struct rules *r, const struct rules_family *m)
{
	struct family *f = find_family(r, m->family);
	bool known = f != NULL && !f->cut;
	int e = f == NULL ? add_family(r, m->family, &f) : 0;

	if (e != 0 || f->cut) /* a cut one stays so, whatever it may */
		return e;
	if ((e = settle_family(f, m, known)) != 0) {
		f->cut = true;
		return e;
	}
	f->expires_ms = m->expires_ms;
	return span_copy(m->jti, f->jti, sizeof(f->jti));
}

static int
cut_family(struct rules *r, struct span id)
{
	struct family *f = find_family(r, id);
	int e = f == NULL ? add_family(r, id, &f) : 0;

	if (e != 0)
		return e;
	f->cut = true;
	grant_set_free(&f->details); /* many may be cut before they expire */
	return 0;
}

static int
cut_name(struct rules *r, enum rules_cut_kind kind, struct span name)
{
	struct cut *c = calloc(1, sizeof(*c));
	int e =
	    c == NULL ? ERR_NOMEM : span_copy(name, c->name, sizeof(c->name));

	if (e != 0) {
		free(c);
		return e;
	}
	c->kind = kind;
	if (!still_named(r, c)) { /* the rules without it came first */
		free(c);
		return 0;
	}
	c->next = r->cuts;
	r->cuts = c;
	return 0;
}

int
rules_cut(struct rules *r, const struct rules_cut *m)
{
	switch (m->kind) {
	case RULES_CUT_NOTHING:
		return m->name.n == 0 ? 0 : ERR_FORMAT;
	case RULES_CUT_SESSION:
		r->cut = true;
		return m->name.n == 0 ? 0 : ERR_FORMAT;
	case RULES_CUT_FAMILY:
		return cut_family(r, m->name);
	case RULES_CUT_GRANT:
	case RULES_CUT_CREDENTIAL:
		return m->name.n == 0 ? ERR_FORMAT
				      : cut_name(r, m->kind, m->name);
	default:
		return ERR_FORMAT;
	}
}

void
rules_sweep(struct rules *r, uint64_t now_ms)
{
	for (struct family **p = &r->families; *p != NULL;) {
		struct family *f = *p;
		if (f->expires_ms + SWEEP_AFTER_MS > now_ms) {
			p = &f->next;
			continue;
		}
		*p = f->next;
		r->n_families--;
		family_free(f);
	}
}

static const struct family *
parent_of(const struct rules *r, const struct family *f)
{
	return f->parent[0] == '\0' ? NULL
				    : find_family(r, span_str(f->parent));
}

/* It and all above it live. */
static enum reason
check_line(const struct rules *r, const struct family *f, uint64_t now_ms)
{
	for (unsigned n = 0; n < RULES_LINE_MAX; n++) {
		if (f->cut)
			return REASON_REVOKED;
		if (now_ms >= f->expires_ms)
			return REASON_TOKEN_EXPIRED;
		if (f->parent[0] == '\0')
			return REASON_NONE;
		if ((f = parent_of(r, f)) == NULL)
			return REASON_BAD_TOKEN;
	}
	return REASON_BAD_TOKEN; /* deeper than anything is made */
}

enum reason
rules_check_family(const struct rules *r, struct span family, uint64_t now_ms,
    const char **jti)
{
	const struct family *f = find_family(r, family);

	if (r->cut || (f != NULL && f->cut))
		return REASON_REVOKED;
	if (!r->loaded)
		return REASON_NOT_READY;
	if (f == NULL)
		return REASON_BAD_TOKEN;
	if (jti != NULL)
		*jti = f->jti;
	return now_ms < r->expires_ms ? check_line(r, f, now_ms)
				      : REASON_TOKEN_EXPIRED;
}

bool
rules_knows(const struct rules *r, struct span family)
{
	return find_family(r, family) != NULL;
}

void
rules_line(const struct rules *r, struct span family, struct rules_line *out)
{
	const struct family *f = find_family(r, family);

	*out = (struct rules_line){0};
	for (; f != NULL && out->n < RULES_LINE_MAX; f = parent_of(r, f)) {
		if (f->narrow) {
			out->narrow[out->n_within] = f->id;
			out->within[out->n_within++] = &f->details;
		}
		out->family[out->n] = f->id;
		out->act[out->n++] = f->act;
	}
}

enum reason
rules_check_cut(
    const struct rules *r, const char *grant, const char *credential)
{
	if (r->cut)
		return REASON_REVOKED;
	for (const struct cut *c = r->cuts; c != NULL; c = c->next) {
		const char *name =
		    c->kind == RULES_CUT_GRANT ? grant : credential;
		if (strcmp(name, c->name) == 0)
			return REASON_REVOKED;
	}
	return REASON_NONE;
}

const struct grant_set *
rules_grants(const struct rules *r)
{
	return &r->grants;
}

const struct grant *
rules_grant(const struct rules *r, const char *name)
{
	return grant_set_find(&r->grants, name);
}

bool
rules_grant_names(const struct grant *g, const char *host, uint16_t port)
{
	for (size_t i = 0; i < g->n_hosts; i++) {
		if (g->hosts[i].port == port &&
		    host_pattern_match(g->hosts[i].pattern, host))
			return true;
	}
	return false;
}

const char *
rules_placeholder(const struct rules *r, struct span value)
{
	const char *found = NULL;

	for (size_t i = 0; i < r->n_placeholders; i++) {
		if (keep_span_eq(value, span_str(r->placeholders[i].value)))
			found = r->placeholders[i].credential;
	}
	return found;
}
