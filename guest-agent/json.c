/* SPDX-License-Identifier: ISC */
/*
 * Recursive descent into a small tree.
 * Trusts nothing: the far end is our own host, which may be broken.
 * Depth, number of values and size are bounded; past them: no value.
 */
#include "guest-agent/json.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum json_type { JSON_WORD, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	enum json_type type;
	bool whole; /* JSON_NUMBER: number holds it exactly */
	long long number;
	char *text;	    /* JSON_STRING, JSON_WORD */
	char *name;	    /* of a member of an object */
	struct json *first; /* of an array or object */
	struct json *next;
};

struct reader {
	const char *p;
	const char *end;
	unsigned depth;
	unsigned nodes;
};

static struct json *read_value(struct reader *r);

static void
skip_space(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' ||
				    *r->p == '\n' || *r->p == '\r'))
		r->p++;
}

/* The next significant character is c: take it. */
static bool
take(struct reader *r, char c)
{
	skip_space(r);
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static struct json *
node_new(struct reader *r, enum json_type type)
{
	struct json *v;

	if (++r->nodes > JSON_NODES || (v = calloc(1, sizeof(*v))) == NULL)
		return NULL;
	v->type = type;
	return v;
}

static bool
read_hex4(struct reader *r, uint32_t *out)
{
	uint32_t u = 0;

	if (r->end - r->p < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char c = *r->p++;

		if (c >= '0' && c <= '9')
			u = u << 4 | (uint32_t)(c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			u = u << 4 | (uint32_t)((c | 32) - 'a' + 10);
		else
			return false;
	}
	*out = u;
	return true;
}

static size_t
put_utf8(uint32_t u, char *out)
{
	if (u < 0x80) {
		out[0] = (char)u;
		return 1;
	}
	if (u < 0x800) {
		out[0] = (char)(0xc0 | u >> 6);
		out[1] = (char)(0x80 | (u & 63));
		return 2;
	}
	if (u < 0x10000) {
		out[0] = (char)(0xe0 | u >> 12);
		out[1] = (char)(0x80 | (u >> 6 & 63));
		out[2] = (char)(0x80 | (u & 63));
		return 3;
	}
	out[0] = (char)(0xf0 | u >> 18);
	out[1] = (char)(0x80 | (u >> 12 & 63));
	out[2] = (char)(0x80 | (u >> 6 & 63));
	out[3] = (char)(0x80 | (u & 63));
	return 4;
}

/* After "\u": one code point, from two escapes when it is a pair. */
static bool
read_unicode(struct reader *r, uint32_t *out)
{
	uint32_t high, low;

	if (!read_hex4(r, &high) || high == 0)
		return false;
	if (high < 0xd800 || high > 0xdfff) {
		*out = high;
		return true;
	}
	if (high > 0xdbff || r->end - r->p < 2 || r->p[0] != '\\' ||
	    r->p[1] != 'u')
		return false;
	r->p += 2;
	if (!read_hex4(r, &low) || low < 0xdc00 || low > 0xdfff)
		return false;
	*out = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	return true;
}

static bool
read_escape(struct reader *r, char *out, size_t *n)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	uint32_t u;

	if (r->p == r->end || *r->p == '\0')
		return false;
	if (*r->p == 'u') {
		r->p++;
		if (!read_unicode(r, &u))
			return false;
		*n += put_utf8(u, out + *n);
		return true;
	}
	at = strchr(from, *r->p++);
	if (at == NULL)
		return false;
	out[(*n)++] = to[at - from];
	return true;
}

/* Copy one well-formed UTF-8 character (RFC 3629). */
static bool
read_utf8(struct reader *r, char *out, size_t *n)
{
	const unsigned char *p = (const unsigned char *)r->p;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t u;
	int more;

	more = p[0] < 0x80	 ? 0
	       : p[0] >> 5 == 6	 ? 1
	       : p[0] >> 4 == 14 ? 2
	       : p[0] >> 3 == 30 ? 3
				 : -1;
	if (more < 0 || r->end - r->p <= more)
		return false;
	u = more == 0 ? p[0] : p[0] & (0x3fu >> more);
	for (int i = 1; i <= more; i++) {
		if (p[i] >> 6 != 2)
			return false;
		u = u << 6 | (p[i] & 63);
	}
	if (u < 0x20 || u > 0x10ffff || u < least[more + 1] ||
	    (u >= 0xd800 && u <= 0xdfff))
		return false;
	memcpy(out + *n, p, (size_t)more + 1);
	*n += (size_t)more + 1;
	r->p += more + 1;
	return true;
}

/* Bytes up to the closing quote, or to the end. */
static size_t
raw_length(const struct reader *r)
{
	const char *p = r->p;

	while (p < r->end && *p != '"')
		p += *p == '\\' && r->end - p > 1 ? 2 : 1;
	return (size_t)(p - r->p);
}

/* After the opening quote. What is read is never longer than its source. */
static char *
read_string(struct reader *r)
{
	char *out = malloc(raw_length(r) + 1);
	size_t n = 0;

	while (out != NULL && r->p < r->end) {
		if (*r->p == '"') {
			r->p++;
			out[n] = '\0';
			return out;
		}
		if (*r->p == '\\') {
			r->p++;
			if (!read_escape(r, out, &n))
				break;
		} else if (!read_utf8(r, out, &n)) {
			break;
		}
	}
	free(out);
	return NULL;
}

static bool
is_digit(const struct reader *r)
{
	return r->p < r->end && *r->p >= '0' && *r->p <= '9';
}

/* The digits of an integer part; no leading zero. */
static bool
read_digits(struct reader *r, bool minus, struct json *v)
{
	const char *start = r->p;
	long long d;

	for (; is_digit(r); r->p++) {
		d = minus ? -(*r->p - '0') : *r->p - '0';
		if (__builtin_mul_overflow(v->number, 10, &v->number) ||
		    __builtin_add_overflow(v->number, d, &v->number))
			v->whole = false;
	}
	return r->p > start && !(*start == '0' && r->p - start > 1);
}

static bool
skip_digits(struct reader *r)
{
	const char *start = r->p;

	while (is_digit(r))
		r->p++;
	return r->p > start;
}

static bool
read_number(struct reader *r, struct json *v)
{
	bool minus = *r->p == '-';

	v->whole = true;
	if (minus)
		r->p++;
	if (!read_digits(r, minus, v))
		return false;
	if (r->p < r->end && *r->p == '.') {
		v->whole = false;
		r->p++;
		if (!skip_digits(r))
			return false;
	}
	if (r->p < r->end && (*r->p | 32) == 'e') {
		v->whole = false;
		r->p++;
		if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
			r->p++;
		return skip_digits(r);
	}
	return true;
}

static bool
read_word(struct reader *r, struct json *v)
{
	static const char *const words[] = {"true", "false", "null"};

	for (size_t i = 0; i < 3; i++) {
		size_t n = strlen(words[i]);

		if ((size_t)(r->end - r->p) < n ||
		    memcmp(r->p, words[i], n) != 0)
			continue;
		r->p += n;
		v->text = strdup(words[i]);
		return v->text != NULL;
	}
	return false;
}

static bool
has_name(const struct json *first, const char *name)
{
	for (; first != NULL; first = first->next)
		if (strcmp(first->name, name) == 0)
			return true;
	return false;
}

/* One member or element, appended at *tail. */
static bool
read_child(struct reader *r, struct json *v, struct json **tail)
{
	char *name = NULL;

	if (v->type == JSON_OBJECT) {
		if (!take(r, '"') || (name = read_string(r)) == NULL)
			return false;
		if (has_name(v->first, name) || !take(r, ':')) {
			free(name);
			return false;
		}
	}
	*tail = read_value(r);
	if (*tail == NULL) {
		free(name);
		return false;
	}
	(*tail)->name = name;
	return true;
}

/* After the opening bracket or brace. */
static bool
read_children(struct reader *r, struct json *v)
{
	char close = v->type == JSON_OBJECT ? '}' : ']';
	struct json **tail = &v->first;

	if (r->depth == JSON_DEPTH)
		return false;
	if (take(r, close))
		return true;
	r->depth++;
	do {
		if (!read_child(r, v, tail))
			return false;
		tail = &(*tail)->next;
	} while (take(r, ','));
	r->depth--;
	return take(r, close);
}

static enum json_type
type_of(char c)
{
	return c == '{'				    ? JSON_OBJECT
	       : c == '['			    ? JSON_ARRAY
	       : c == '"'			    ? JSON_STRING
	       : c == '-' || (c >= '0' && c <= '9') ? JSON_NUMBER
						    : JSON_WORD;
}

static bool
read_into(struct reader *r, struct json *v)
{
	switch (v->type) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		r->p++;
		return read_children(r, v);
	case JSON_STRING:
		r->p++;
		v->text = read_string(r);
		return v->text != NULL;
	case JSON_NUMBER:
		return read_number(r, v);
	default:
		return read_word(r, v);
	}
}

static struct json *
read_value(struct reader *r)
{
	struct json *v;

	skip_space(r);
	if (r->p == r->end || (v = node_new(r, type_of(*r->p))) == NULL)
		return NULL;
	if (read_into(r, v))
		return v;
	json_free(v);
	return NULL;
}

struct json *
json_parse(const char *p, size_t n)
{
	struct reader r = {.p = p, .end = p == NULL ? NULL : p + n};
	struct json *v;

	if (p == NULL)
		return NULL;
	v = read_value(&r);
	skip_space(&r);
	if (v != NULL && r.p == r.end)
		return v;
	json_free(v);
	return NULL;
}

void
json_free(struct json *v)
{
	struct json *next;

	for (; v != NULL; v = next) {
		next = v->next;
		json_free(v->first);
		if (v->text != NULL)
			explicit_bzero(v->text, strlen(v->text));
		free(v->text);
		free(v->name);
		free(v);
	}
}

const struct json *
json_get(const struct json *v, const char *name)
{
	if (v == NULL || v->type != JSON_OBJECT)
		return NULL;
	for (v = v->first; v != NULL; v = v->next)
		if (strcmp(v->name, name) == 0)
			return v;
	return NULL;
}

const struct json *
json_first(const struct json *v)
{
	return v == NULL || v->type != JSON_ARRAY ? NULL : v->first;
}

const struct json *
json_next(const struct json *v)
{
	return v == NULL ? NULL : v->next;
}

const char *
json_text(const struct json *v)
{
	return v == NULL || v->type != JSON_STRING ? NULL : v->text;
}

bool
json_integer(const struct json *v, long long *out)
{
	if (v == NULL || v->type != JSON_NUMBER || !v->whole)
		return false;
	*out = v->number;
	return true;
}
