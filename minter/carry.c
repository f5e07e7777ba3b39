/* SPDX-License-Identifier: ISC */
/* What for: what the minter's oldest files prove outlives them. Trusts:
 * nothing in them: lines are carried as they are, and verify judges them
 * there as it did here. At a bound: a file that does not chain is left. */
#include "minter/carry.h"

#include "keys/json.h"
#include "lib/segments.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* "s-…": {"begun": line, "anchor": line, "removed": [lines], "gone": true} */
struct carry {
	json_t *sessions;
};

static bool
mentions(struct span line)
{
	static const char *const events[] = {"\"event\":\"anchor\"",
	    "\"event\":\"audit_removed\"", "\"event\":\"session_created\"",
	    "\"event\":\"carried\""};

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (memmem(line.p, line.n, events[i], strlen(events[i])) !=
		    NULL)
			return true;
	}
	return false;
}

static json_t *
of_session(struct carry *c, const char *session)
{
	json_t *known = json_object_get(c->sessions, session);

	if (known == NULL && json_object_set_new(c->sessions, session,
				 known = json_pack("{s:[]}", "removed")) != 0)
		return NULL;
	return known;
}

static json_int_t
head_of(const json_t *anchor)
{
	return json_integer_value(json_object_get(anchor, "head"));
}

/* The newest by what it anchors: an older one may have been carried since. */
static int
keep_anchor(json_t *of, json_t *line)
{
	const json_t *before = json_object_get(of, "anchor");

	if (before != NULL && head_of(line) < head_of(before))
		return 0;
	return json_object_set(of, "anchor", line) == 0 ? 0 : ERR_NOMEM;
}

/* Once, also when it was carried twice. */
static int
keep_removal(json_t *of, json_t *line)
{
	json_t *list = json_object_get(of, "removed"), *other;
	size_t i;

	if (json_is_true(json_object_get(line, "whole")) &&
	    json_object_set_new(of, "gone", json_true()) != 0)
		return ERR_NOMEM;
	json_array_foreach (list, i, other) {
		if (json_equal(other, line))
			return 0;
	}
	return json_array_append(list, line) == 0 ? 0 : ERR_NOMEM;
}

/* Of what may be a long line, who it is: that always fits into one. */
static int
keep_begun(json_t *of, const json_t *line)
{
	static const char *const kept[] = {
	    "seq", "event", "time", "session", "guest"};
	json_t *o = json_object();

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		json_t *v = json_object_get(line, kept[i]);
		if (v != NULL && json_object_set(o, kept[i], v) != 0) {
			json_decref(o);
			return ERR_NOMEM;
		}
	}
	return json_object_set_new(of, "begun", o) == 0 ? 0 : ERR_NOMEM;
}

static int
keep(struct carry *c, json_t *line)
{
	const char *event = json_text(line, "event");
	const char *session = json_text(line, "session");
	json_t *of;

	if (event == NULL || session == NULL)
		return 0;
	if ((of = of_session(c, session)) == NULL)
		return ERR_NOMEM;
	if (strcmp(event, "anchor") == 0)
		return keep_anchor(of, line);
	if (strcmp(event, "audit_removed") == 0)
		return keep_removal(of, line);
	return strcmp(event, "session_created") == 0 ? keep_begun(of, line) : 0;
}

static int
each_line(void *ctx, const struct chainlog_head *at, struct span text)
{
	json_t *line, *inner;
	int r = 0;

	(void)at;
	if (!mentions(text) || (line = json_strict(text)) == NULL)
		return 0;
	inner = json_object_get(line, "line");
	r = keep(ctx, inner != NULL ? inner : line);
	json_decref(line);
	return r;
}

static int
read_file(struct carry *c, int dirfd, uint32_t n, bool any,
    struct chainlog_head *head)
{
	struct chainlog_head last;
	uint64_t line;
	char why[128];
	int fd = segment_read(dirfd, AUDIT_CHAIN, n), r;
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	if (f == NULL) {
		if (fd >= 0)
			close(fd);
		return ERR_IO;
	}
	/* The first one's own word for what it follows: that is gone. */
	r = any ? 0 : chainlog_ends(fd, head, &last);
	if (r == 0)
		r = chainlog_verify(f, AUDIT_CHAIN, n == 1 ? NULL : head,
		    each_line, c, head, &line, why, sizeof(why));
	fclose(f);
	return r;
}

static int
say(struct audit *a, json_t *line)
{
	return line == NULL ? 0 : audit_carry(a, line);
}

/* Files that are not there, and were not said to be removed, are missed. */
static int
say_session(struct audit *a, const json_t *of, bool stays)
{
	json_t *anchor = json_object_get(of, "anchor"), *line;
	size_t i;
	int r;

	if (json_object_get(of, "gone") != NULL)
		return 0;
	r = stays ? say(a, json_object_get(of, "begun")) : 0;
	if (r == 0)
		r = say(a, anchor);
	json_array_foreach (json_object_get(of, "removed"), i, line) {
		if (r == 0)
			r = say(a, line);
	}
	return r;
}

int
carry_lines(struct audit *a, int dirfd, uint32_t first, size_t n,
    carry_stays *stays, void *ctx)
{
	struct carry c = {.sessions = json_object()};
	struct chainlog_head head = {0};
	const char *session;
	json_t *of;
	int r = c.sessions == NULL ? ERR_NOMEM : 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = read_file(&c, dirfd, first + (uint32_t)i, i > 0, &head);
	json_object_foreach (c.sessions, session, of) {
		if (r == 0)
			r = say_session(a, of, stays(ctx, session));
	}
	json_decref(c.sessions);
	return r;
}
