/* SPDX-License-Identifier: ISC */
/* What for: narrower families. Trusts: the session's books; of the request
 * nothing. At a bound: refused, with a sentence. */
#include "minter/child.h"

#include "keys/json.h"
#include "scope/grant_json.h"
#include "scope/narrow.h"

#include <stdlib.h>

#define DETAILS_DEPTH 6 /* [{"allow":[{"methods":["GET"]}]}], and one more */

bool
child_asked(const struct guest_token_ask *q)
{
	return q->authorization_details.n != 0 || q->act.n != 0;
}

static int
refuse(struct child_refusal *no, unsigned status, const char *error,
    const char *text)
{
	no->status = status;
	no->error = error;
	(void)snprintf(no->text, sizeof(no->text), "%s", text);
	return ERR_DENIED;
}

/* Named like guests, and like no family. */
static bool
act_ok(const char *name)
{
	return session_name_ok(name) && strncmp(name, "f-", 2) != 0;
}

static int
take_act(
    const struct guest_token_ask *q, struct family *f, struct child_refusal *no)
{
	if (q->act.n == 0) {
		memcpy(f->row.act, f->row.id, sizeof(f->row.id));
		return 0;
	}
	if (span_copy(q->act, f->row.act, sizeof(f->row.act)) == 0 &&
	    act_ok(f->row.act))
		return 0;
	return refuse(no, 400, "invalid_request",
	    "act: a name of at most 64 of a-z, 0-9, '.', '_', '-', that begins "
	    "with a letter or digit but not with s- or f-");
}

/* Accounts that the session may have to keep, of narrower families. */
static size_t
accounts(const struct session *s, int64_t now_ms)
{
	size_t n = 0;

	for (const struct family *f = s->families; f != NULL; f = f->next) {
		for (size_t i = 0; i < f->details.n; i++)
			n += f->row.expires_ms > now_ms;
	}
	return n;
}

static int
check_bounds(const struct minter *m, const struct session *s,
    const struct family *parent, struct child_refusal *no)
{
	int64_t now_ms = clock_boot_ms();

	if (session_depth(s, parent) >= m->child_depth) {
		(void)snprintf(no->text, sizeof(no->text),
		    "narrower tokens may stand %u deep; see child_depth in "
		    "hatcheckd.yaml(5)",
		    m->child_depth);
		no->status = 400;
		no->error = "invalid_grant";
		return ERR_DENIED;
	}
	if (session_families_live(s, now_ms, true) >= SESSION_CHILDREN_MAX ||
	    session_families_live(s, now_ms, false) >= SESSION_FAMILIES_MAX)
		return refuse(no, 429, "temporarily_unavailable",
		    "too many live narrower tokens; revoke some, or wait for "
		    "their end");
	if (accounts(s, now_ms) >= CHILD_GRANTS_MAX)
		return refuse(no, 429, "temporarily_unavailable",
		    "too many grants in narrower tokens; revoke some, or name "
		    "the grants that they need");
	return 0;
}

static void
collect(const struct session *s, const struct family *parent,
    struct narrow_levels *v)
{
	const struct grant_set *inside_out[NARROW_LEVELS_MAX];
	size_t n = 0;

	for (; parent != NULL; parent = session_parent(s, parent)) {
		if (parent->narrow && n < NARROW_LEVELS_MAX - 1)
			inside_out[n++] = &parent->details;
	}
	v->level[v->n++] = &s->grants;
	while (n > 0)
		v->level[v->n++] = inside_out[--n];
}

static int
take_details(const struct session *s, const struct family *parent,
    const struct guest_token_ask *q, int64_t now, struct family *f,
    struct child_refusal *no)
{
	struct span text = q->authorization_details;
	struct narrow_levels v = {0};
	json_t *details = NULL;
	uint64_t ttl_s = 0;
	int r;

	if (text.n != 0 && (details = json_strict_within(text,
				CHILD_DETAILS_MAX, DETAILS_DEPTH)) == NULL)
		return refuse(no, 400, "invalid_authorization_details",
		    "not one strict JSON array");
	collect(s, parent, &v);
	r = narrow(
	    details, &v, &f->details, &ttl_s, no->text, sizeof(no->text));
	json_decref(details);
	if (r == ERR_NOMEM)
		return r;
	if (r != 0) {
		no->status = 400;
		no->error = "invalid_authorization_details";
		return ERR_DENIED;
	}
	f->narrow = true;
	if (ttl_s != 0 && ttl_s < (uint64_t)(INT64_MAX - now))
		f->row.until = now + (int64_t)ttl_s;
	return 0;
}

/* A child ends with its parent at the latest. */
static void
end_with(struct family *f, const struct family *parent)
{
	int64_t until = parent == NULL ? 0 : parent->row.until;

	if (until != 0 && (f->row.until == 0 || until < f->row.until))
		f->row.until = until;
}

static int
check_size(const struct family *f, struct child_refusal *no)
{
	char *text = child_details(f);
	int r = text == NULL ? ERR_NOMEM : 0;

	if (text != NULL && strlen(text) > CHILD_DETAILS_MAX)
		r = refuse(no, 400, "invalid_authorization_details",
		    "too much; say less, or fewer grants");
	free(text);
	return r;
}

int
child_make(const struct minter *m, const struct session *s,
    const struct family *parent, const struct guest_token_ask *q, int64_t now,
    struct family **out, struct child_refusal *no)
{
	struct family *f = calloc(1, sizeof(*f));
	int r;

	if (f == NULL)
		return ERR_NOMEM;
	session_random_id(f->row.id, "f-");
	if (parent != NULL)
		memcpy(f->row.parent, parent->row.id, sizeof(f->row.parent));
	if ((r = check_bounds(m, s, parent, no)) != 0 ||
	    (r = take_act(q, f, no)) != 0 ||
	    (r = take_details(s, parent, q, now, f, no)) != 0 ||
	    (r = check_size(f, no)) != 0) {
		family_free(f);
		return r;
	}
	end_with(f, parent);
	*out = f;
	return 0;
}

char *
child_details(const struct family *f)
{
	json_t *o = grant_set_to_json(&f->details);
	char *text = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);

	json_decref(o);
	return text;
}

json_t *
child_parents(const struct session *s, const struct family *f)
{
	json_t *list = json_array();

	for (f = session_parent(s, f); f != NULL; f = session_parent(s, f))
		(void)json_array_append_new(list, json_string(f->row.id));
	return list;
}
