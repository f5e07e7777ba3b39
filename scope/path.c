/* SPDX-License-Identifier: ISC */
/* What for: canonical targets, and patterns on their paths. Trusts:
 * nothing. At a bound: ERR_FORMAT; matching costs at most
 * pattern times path steps. */
#include "scope/path.h"

#define TARGET_MAX (32 * 1024)

/* What a byte may be, by place. */
enum { UNRESERVED = 1, IN_PATH = 2, IN_QUERY = 4 };

static unsigned
byte_class(uint8_t c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || (c != 0 && strchr("-._~", c) != NULL))
		return UNRESERVED | IN_PATH | IN_QUERY;
	if (c != 0 && strchr("!$&'()*+,=:@/", c) != NULL)
		return IN_PATH | IN_QUERY;
	return c == ';' || c == '?' ? IN_QUERY : 0;
}

/* The byte that the escape at in.p[i] stands for, or -1. */
static int
unescape(struct span in, size_t i)
{
	if (in.n - i < 3)
		return -1;
	int high = span_hex(in.p[i + 1]), low = span_hex(in.p[i + 2]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Would reading it before or after decoding make a difference? In a query
 * only NUL: its names are compared as bytes. */
static bool
escape_hides(int c, unsigned place)
{
	if (place == IN_QUERY)
		return c == 0;
	return c < 0x20 || c == 0x7f || strchr("\\;%", c) != NULL ||
	       (byte_class((uint8_t)c) & UNRESERVED) != 0;
}

/* UTF-8 as RFC 3629 has it, a byte at a time. */
struct utf8 {
	unsigned more;	   /* continuation bytes to come */
	uint8_t low, high; /* what the next one may be */
};

static bool
utf8_first(struct utf8 *u, uint8_t c)
{
	u->low = 0x80;
	u->high = 0xbf;
	if (c < 0x80)
		u->more = 0;
	else if (c >= 0xc2 && c <= 0xdf)
		u->more = 1;
	else if (c >= 0xe0 && c <= 0xef)
		u->more = 2;
	else if (c >= 0xf0 && c <= 0xf4)
		u->more = 3;
	else
		return false;
	if (c == 0xe0)
		u->low = 0xa0;
	else if (c == 0xed)
		u->high = 0x9f;
	else if (c == 0xf0)
		u->low = 0x90;
	else if (c == 0xf4)
		u->high = 0x8f;
	return true;
}

static bool
utf8_next(struct utf8 *u, uint8_t c)
{
	if (u->more == 0)
		return utf8_first(u, c);
	if (c < u->low || c > u->high)
		return false;
	u->low = 0x80;
	u->high = 0xbf;
	u->more--;
	return true;
}

/* Every byte allowed in its place, every escape valid and plain, and the
 * whole, decoded, UTF-8. */
static bool
bytes_good(struct span in, unsigned place)
{
	struct utf8 u = {0};
	size_t i = 0;

	while (i < in.n) {
		int c = in.p[i];

		if (c == '%') {
			c = unescape(in, i);
			if (c < 0 || escape_hides(c, place))
				return false;
			i += 3;
		} else {
			if ((byte_class((uint8_t)c) & place) == 0)
				return false;
			i++;
		}
		if (!utf8_next(&u, (uint8_t)c))
			return false;
	}
	return u.more == 0;
}

/* Take the segment up to the next "/" off *rest, whose first byte is the
 * "/" before it. */
static struct span
take_segment(struct span *rest)
{
	size_t i = 1;

	while (i < rest->n && rest->p[i] != '/')
		i++;
	struct span segment = span_of(rest->p + 1, i - 1);
	*rest = span_from(*rest, i);
	return segment;
}

/* How long is the slash at the front of s, hidden or not? 0: it is none. */
static size_t
any_slash(struct span s)
{
	if (s.p[0] == '/')
		return 1;
	return s.p[0] == '%' && unescape(s, 0) == '/' ? 3 : 0;
}

/* No empty segment but the last, no dot segments, for who decodes "%2F"
 * first; and so for who does not. */
static bool
segments_good(struct span path, bool *hides_slash)
{
	while (path.n > 0) {
		size_t slash = any_slash(path), i = slash;

		*hides_slash = *hides_slash || slash > 1;
		while (i < path.n && any_slash(span_from(path, i)) == 0)
			i++;
		struct span s = span_of(path.p + slash, i - slash);
		path = span_from(path, i);
		if (s.n == 0 && path.n > 0)
			return false;
		if (span_is(s, ".") || span_is(s, ".."))
			return false;
	}
	return true;
}

static bool
path_good(struct span path, bool *hides_slash)
{
	*hides_slash = false;
	return path.n > 0 && path.p[0] == '/' && bytes_good(path, IN_PATH) &&
	       segments_good(path, hides_slash);
}

bool
query_bytes_good(struct span query)
{
	return bytes_good(query, IN_QUERY);
}

static bool
name_listed(struct span name, char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (span_is(name, names[i]))
			return true;
	}
	return false;
}

bool
query_within(struct span query, char *const *names, size_t n)
{
	if (query.n == 0)
		return true;
	if (memchr(query.p, ';', query.n) != NULL)
		return false;
	for (;;) {
		const uint8_t *and = memchr(query.p, '&', query.n);
		size_t part = and == NULL ? query.n : (size_t)(and-query.p);
		const uint8_t *eq = memchr(query.p, '=', part);
		size_t name = eq == NULL ? part : (size_t)(eq - query.p);

		if (!name_listed(span_of(query.p, name), names, n))
			return false;
		if (and == NULL)
			return true;
		query = span_of(and+1, query.n - part - 1);
	}
}

int
target_parse(struct span in, struct target *out)
{
	struct target t = {.path = in};

	if (in.n == 0 || in.n > TARGET_MAX)
		return ERR_FORMAT;
	const uint8_t *mark = memchr(in.p, '?', in.n);
	if (mark != NULL) {
		t.path.n = (size_t)(mark - in.p);
		t.query = span_of(mark + 1, in.n - t.path.n - 1);
	}
	if (!path_good(t.path, &t.hides_slash) || !query_bytes_good(t.query))
		return ERR_FORMAT;
	*out = t;
	return 0;
}

static bool
stars_good(struct span segment)
{
	if (span_is(segment, "**"))
		return true;
	for (size_t i = 0; i + 1 < segment.n; i++) {
		if (segment.p[i] == '*' && segment.p[i + 1] == '*')
			return false;
	}
	return true;
}

int
path_pattern_check(struct span pattern)
{
	bool hides_slash;

	if (pattern.n > PATH_PATTERN_MAX || !path_good(pattern, &hides_slash) ||
	    hides_slash)
		return ERR_FORMAT;
	while (pattern.n > 0) {
		if (!stars_good(take_segment(&pattern)))
			return ERR_FORMAT;
	}
	return 0;
}

/* A byte, or an escape, which is never cut. */
static size_t
unit(struct span s)
{
	return s.p[0] == '%' && s.n >= 3 ? 3 : 1;
}

/* "*" takes one unit, then as few more as it can; on a mismatch the last
 * star takes one more. An earlier star never needs to. */
static bool
segment_match(struct span pattern, struct span s)
{
	struct span after_star = {0}, resume = {0};
	bool star = false;

	for (;;) {
		if (pattern.n > 0 && pattern.p[0] == '*' && s.n > 0) {
			star = true;
			pattern = after_star = span_from(pattern, 1);
			s = resume = span_from(s, unit(s));
			continue;
		}
		if (pattern.n == 0 && s.n == 0)
			return true;
		if (pattern.n > 0 && s.n > 0 && pattern.p[0] != '*' &&
		    unit(pattern) == unit(s) &&
		    memcmp(pattern.p, s.p, unit(s)) == 0) {
			pattern = span_from(pattern, unit(pattern));
			s = span_from(s, unit(s));
			continue;
		}
		if (!star || resume.n == 0)
			return false;
		pattern = after_star;
		s = resume = span_from(resume, unit(resume));
	}
}

/* The same one level up: "**" takes no segment, then as few as it can. */
static bool
path_match(struct span pattern, struct span path)
{
	struct span after_stars = {0}, resume = {0};
	bool stars = false;

	for (;;) {
		struct span rest = pattern, left = path;
		struct span want = {0}, have = {0};

		if (pattern.n > 0)
			want = take_segment(&rest);
		if (pattern.n > 0 && span_is(want, "**")) {
			stars = true;
			pattern = after_stars = rest;
			resume = path;
			continue;
		}
		if (pattern.n == 0 && path.n == 0)
			return true;
		if (path.n > 0)
			have = take_segment(&left);
		if (pattern.n > 0 && path.n > 0 && segment_match(want, have)) {
			pattern = rest;
			path = left;
			continue;
		}
		if (!stars || resume.n == 0)
			return false;
		(void)take_segment(&resume);
		pattern = after_stars;
		path = resume;
	}
}

bool
target_match(struct span pattern, const struct target *t)
{
	if (t->hides_slash)
		return span_is(pattern, "/**");
	return path_match(pattern, t->path);
}
