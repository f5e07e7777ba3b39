/* SPDX-License-Identifier: ISC */
/* What for: content codings by name. Trusts: nothing. At a bound: what is not
 * known is not asked for, and not passed. */
#include "egress/courier/coding.h"

static const struct {
	const char *name;
	enum coding coding;
} codings[] = {{"identity", CODING_NONE}, {"gzip", CODING_GZIP},
    {"x-gzip", CODING_GZIP}, {"deflate", CODING_DEFLATE}, {"br", CODING_BR},
    {"zstd", CODING_ZSTD}};

static enum coding
by_name(struct span name)
{
	for (size_t i = 0; i < sizeof(codings) / sizeof(codings[0]); i++) {
		if (span_caseeq(name, span_str(codings[i].name)))
			return codings[i].coding;
	}
	return CODING_OTHER;
}

static bool
codes_messages(struct span name)
{
	return span_is(name, "grpc-encoding") ||
	       span_is(name, "connect-content-encoding");
}

bool
coding_allows_messages(struct span name)
{
	return span_is(name, "grpc-accept-encoding") ||
	       span_is(name, "connect-accept-encoding");
}

enum coding
coding_of(const struct head *h)
{
	enum coding all = CODING_NONE;
	struct span list, member;

	for (size_t i = 0; i < h->n_fields; i++) {
		bool messages = codes_messages(h->fields[i].name);
		if (!messages &&
		    !span_is(h->fields[i].name, "content-encoding"))
			continue;
		list = h->fields[i].value;
		while (head_list_next(&list, &member)) {
			enum coding one = by_name(member);
			if (one != CODING_NONE)
				all = all == CODING_NONE && !messages
					  ? one
					  : CODING_OTHER;
		}
	}
	return all;
}

static struct span
trim(struct span s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = span_from(s, 1);
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* A member's name, and what stands behind its first semicolon. */
static struct span
split(struct span member, struct span *parameters)
{
	const uint8_t *semicolon =
	    member.n == 0 ? NULL : memchr(member.p, ';', member.n);

	*parameters = span_of(NULL, 0);
	if (semicolon == NULL)
		return trim(member);
	size_t n = (size_t)(semicolon - member.p);
	*parameters = trim(span_from(member, n + 1));
	return trim(span_of(member.p, n));
}

/* q=0, in each of its spellings: what it names is not wanted. */
static bool
is_unwanted(struct span parameters)
{
	if (parameters.n < 3 || (parameters.p[0] | 0x20) != 'q' ||
	    parameters.p[1] != '=')
		return false;
	for (size_t i = 2; i < parameters.n; i++) {
		uint8_t c = parameters.p[i];
		if (c != (i == 3 ? '.' : '0'))
			return false;
	}
	return true;
}

int
coding_accept(struct span value, struct buf *out)
{
	struct span member, parameters;
	size_t before = buf_len(out);
	int r = 0;

	while (r == 0 && head_list_next(&value, &member)) {
		struct span name = split(member, &parameters);
		if (by_name(name) == CODING_OTHER && !is_unwanted(parameters))
			continue;
		if (buf_len(out) > before)
			r = buf_put_str(out, ", ");
		if (r == 0)
			r = buf_put_span(out, member);
	}
	return r;
}
