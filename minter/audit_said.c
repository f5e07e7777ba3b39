/* SPDX-License-Identifier: ISC */
/* What for: anchors, removals and sessions, as the minter's chain has them.
 * Trusts: signatures, of the keys that it was given. At a bound: a finding,
 * never a guess. */
#include "minter/audit_said.h"

#include "keys/json.h"
#include "lib/log.h"
#include "minter/audit.h"

#include <stdarg.h>
#include <stdlib.h>

void
said_note(struct check *c, enum audit_note kind, const char *file,
    uint64_t line, const char *fmt, ...)
{
	char text[400], safe[400];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_escape(span_str(text), safe, sizeof(safe));
	c->report.bad += kind == AUDIT_BAD;
	c->note(c->ctx, kind, file, line, safe);
}

void *
said_grow(void *list, size_t n, size_t *room, size_t size)
{
	size_t more = *room == 0 ? 64 : *room * 2;
	void **at = list, *p;

	if (n < *room)
		return *at;
	if ((p = reallocarray(*at, more, size)) == NULL)
		return NULL;
	*at = p;
	*room = more;
	return p;
}

static struct anchor *
add_anchor(struct check *c)
{
	if (said_grow(&c->anchors, c->n_anchors, &c->room,
		sizeof(*c->anchors)) == NULL)
		return NULL;
	return &c->anchors[c->n_anchors++];
}

static bool
read_hash(const json_t *o, const char *name, uint8_t hash[static CHAINLOG_HASH])
{
	const char *text = json_text(o, name);
	size_t n = 0;

	return text != NULL &&
	       b64url_get(span_str(text), hash, CHAINLOG_HASH, &n) == 0 &&
	       n == CHAINLOG_HASH;
}

/* What it anchors, and the line that it follows: as the chain has it, or as
 * the carried line says that it was. */
static bool
read_anchor(const json_t *o, const char *seq, struct anchor *a)
{
	memset(a, 0, sizeof(*a));
	if (!read_hash(o, "hash", a->head.hash) ||
	    !read_hash(o, "prev", a->after.hash) ||
	    json_text_copy(o, "session", a->session, sizeof(a->session)) != 0 ||
	    json_u64(o, seq, INT64_MAX, &a->head.seq) != 0 ||
	    json_u64(o, "seq", INT64_MAX, &a->after.seq) != 0 ||
	    a->after.seq == 0)
		return false;
	a->after.seq--;
	return true;
}

static int
check_signature(const struct check *c, const json_t *o, struct span message)
{
	const char *kid = json_text(o, "kid"), *text = json_text(o, "sig");
	uint8_t sig[SIGNING_SIGNATURE];
	size_t n = 0;

	if (kid == NULL || text == NULL ||
	    b64url_get(span_str(text), sig, sizeof(sig), &n) != 0)
		return ERR_FORMAT;
	return jwks_verify(&c->keys, span_str(kid), message, span_of(sig, n));
}

/* Signed by one of our keys? Notes it if not; an err only without memory. */
static int
check_signed(struct check *c, const json_t *o, uint64_t line, const char *what,
    int made, struct span message, bool *good)
{
	int r = made != 0 ? made : check_signature(c, o, message);

	*good = false;
	if (r == ERR_NOMEM)
		return r;
	/* Whoever forged them would take the keys away. */
	if (c->keys.n == 0 && c->report.anchors <= 1)
		said_note(c, AUDIT_BAD, c->file, line,
		    "there are anchors, but no public keys to check them "
		    "with");
	if (c->keys.n != 0 && r != 0)
		said_note(c, AUDIT_BAD, c->file, line, "%s %s", what,
		    r == ERR_NOT_FOUND
			? "is signed with a key that is not among the public "
			  "keys"
			: "is forged: its signature is wrong");
	*good = r == 0 || c->keys.n == 0;
	return 0;
}

/* Kept: the session's file must have this line, if it has it at all. */
static int
keep_anchor(struct check *c, struct anchor *a, uint64_t line)
{
	struct anchor *slot = add_anchor(c);

	if (slot == NULL)
		return ERR_NOMEM;
	a->line = line;
	memcpy(a->file, c->file, sizeof(a->file));
	*slot = *a;
	return 0;
}

/* It signs the line before it, too, unless that is gone. */
static int
keep_signed(struct check *c, struct anchor *a, uint64_t line)
{
	if (a->after.seq >= c->gone && c->keys.n != 0)
		c->sealed = a->after.seq + 1;
	return keep_anchor(c, a, line);
}

static int
take_anchor(struct check *c, const json_t *o, uint64_t line)
{
	struct buf *m = buf_new(256);
	struct anchor a;
	bool good;
	int r = m == NULL ? ERR_NOMEM : 0;

	c->report.anchors++;
	if (r == 0 && !read_anchor(o, "head", &a)) {
		said_note(
		    c, AUDIT_BAD, c->file, line, "an anchor is malformed");
	} else if (r == 0) {
		r = audit_anchor_message(a.session, &a.head, &a.after, m);
		r = check_signed(
		    c, o, line, "an anchor", r, buf_span(m), &good);
		if (r == 0 && good)
			r = keep_signed(c, &a, line);
	}
	buf_free(m);
	return r;
}

static int
keep_removal(struct check *c, const struct anchor *a, uint64_t from)
{
	struct removal *v;

	if (said_grow(&c->removals, c->n_removals, &c->removals_room,
		sizeof(*c->removals)) == NULL)
		return ERR_NOMEM;
	v = &c->removals[c->n_removals++];
	*v = (struct removal){.from = from, .upto = a->head.seq};
	memcpy(v->session, a->session, sizeof(v->session));
	return 0;
}

/* Believed only with its signature: keys are needed here. */
static int
take_removal(struct check *c, const json_t *o, uint64_t line)
{
	struct buf *m = buf_new(256);
	struct anchor a;
	uint64_t from;
	bool good;
	int r = m == NULL ? ERR_NOMEM : 0;

	if (r == 0 && (!read_anchor(o, "upto", &a) ||
			  json_u64(o, "from", a.head.seq, &from) != 0)) {
		said_note(c, AUDIT_BAD, c->file, line,
		    "a statement of removal is malformed");
	} else if (r == 0) {
		r = audit_removed_message(
		    a.session, from, &a.head, &a.after, m);
		r = check_signed(c, o, line, "a statement of removal", r,
		    buf_span(m), &good);
		if (r == 0 && good && c->keys.n != 0 &&
		    (r = keep_signed(c, &a, line)) == 0)
			r = keep_removal(c, &a, from);
	}
	buf_free(m);
	return r;
}

/* A session begins with a line here: one without was cut off with it. Kept
 * as an anchor of nothing, before its first line. */
static int
take_session(struct check *c, const json_t *o, uint64_t line)
{
	struct anchor a = {0};

	if (json_text_copy(o, "session", a.session, sizeof(a.session)) != 0) {
		said_note(c, AUDIT_BAD, c->file, line, "it names no session");
		return 0;
	}
	return keep_anchor(c, &a, line);
}

/* What stands in its own place yet is said there, signed for that place. */
static bool
is_gone(const struct check *c, const json_t *carried)
{
	uint64_t seq;

	return json_u64(carried, "seq", INT64_MAX, &seq) == 0 && seq <= c->gone;
}

int
said_line(void *ctx, const struct chainlog_head *at, struct span line)
{
	struct check *c = ctx;
	json_t *whole = json_strict(line);
	json_t *carried = json_object_get(whole, "line");
	const json_t *o = carried != NULL ? carried : whole;
	const char *event = json_text(o, "event");
	uint64_t number = at->seq - c->base;
	int r = 0;

	c->report.lines++;
	if (carried != NULL && !is_gone(c, carried)) {
		json_decref(whole);
		return 0;
	}
	if (o == NULL || event == NULL)
		said_note(c, AUDIT_BAD, c->file, number,
		    "the line is no JSON object with an event");
	else if (strcmp(event, "anchor") == 0)
		r = take_anchor(c, o, number);
	else if (strcmp(event, "audit_removed") == 0)
		r = take_removal(c, o, number);
	else if (strcmp(event, "session_created") == 0)
		r = take_session(c, o, number);
	json_decref(whole);
	return r;
}

int
said_compare(const struct anchor *a, const char *session, uint64_t seq)
{
	int c = strcmp(a->session, session);

	return c != 0 ? c : a->head.seq < seq ? -1 : a->head.seq > seq;
}

static int
order(const void *a, const void *b)
{
	const struct anchor *y = b;

	return said_compare(a, y->session, y->head.seq);
}

size_t
said_first(const struct check *c, const char *session, uint64_t seq)
{
	size_t low = 0, high = c->n_anchors;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (said_compare(&c->anchors[mid], session, seq) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int
by_removal(const void *a, const void *b)
{
	const struct removal *x = a, *y = b;
	int c = strcmp(x->session, y->session);

	return c != 0 ? c : x->from < y->from ? -1 : x->from > y->from;
}

void
said_sort(struct check *c)
{
	if (c->n_anchors > 0)
		qsort(c->anchors, c->n_anchors, sizeof(c->anchors[0]), order);
	if (c->n_removals > 0)
		qsort(c->removals, c->n_removals, sizeof(c->removals[0]),
		    by_removal);
}

uint64_t
said_removed(const struct check *c, const char *session)
{
	uint64_t upto = 0;

	for (size_t i = 0; i < c->n_removals; i++) {
		const struct removal *v = &c->removals[i];
		if (strcmp(v->session, session) == 0 && v->from <= upto + 1 &&
		    v->upto > upto)
			upto = v->upto;
	}
	return upto;
}

void
said_meet(struct check *c, const char *chain)
{
	for (size_t i = said_first(c, chain, 0);
	     i < c->n_anchors && strcmp(c->anchors[i].session, chain) == 0; i++)
		c->anchors[i].met = true;
}
