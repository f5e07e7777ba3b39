/* SPDX-License-Identifier: ISC */
/* What for: how secrets and their characters are written. Trusts: nothing.
 * At a bound: it is no writing. */
#include "egress/courier/scrub_forms.h"

#include <sodium.h>

static int
put_hex(struct span in, struct buf *out, const char *digits)
{
	int r = 0;

	for (size_t i = 0; i < in.n && r == 0; i++) {
		char two[2] = {digits[in.p[i] >> 4], digits[in.p[i] & 15]};
		r = buf_put(out, two, 2);
	}
	return r;
}

static int
visit_hex(struct span secret, const char *digits, struct buf *tmp,
    forms_visit *visit, void *ctx)
{
	int r;

	buf_reset(tmp);
	r = put_hex(secret, tmp, digits);
	return r != 0 ? r : visit(ctx, buf_span(tmp));
}

/* The secret as it shows in base64 when `before` bytes stand ahead of it in
 * its group of three: without the characters shared with neighbours. */
static int
visit_base64(struct span secret, size_t before, int variant, struct buf *tmp,
    forms_visit *visit, void *ctx)
{
	static const size_t shared[] = {0, 2, 3};
	uint8_t *plain, *text;
	size_t n = secret.n + before;
	size_t room = sodium_base64_encoded_len(n, variant);
	int r;

	buf_reset(tmp);
	if ((r = buf_reserve(tmp, n + room, &plain)) != 0)
		return r;
	memset(plain, 0, before);
	memcpy(plain + before, secret.p, secret.n);
	text = plain + n;
	buf_claim(tmp, n + room);
	if (sodium_bin2base64((char *)text, room, plain, n, variant) == NULL)
		return ERR_FORMAT;
	size_t whole = n % 3 == 0 ? n / 3 * 4 : n / 3 * 4 + n % 3;
	return visit(
	    ctx, span_of(text + shared[before], whole - shared[before]));
}

int
forms_each(struct span secret, struct buf *tmp, forms_visit *visit, void *ctx)
{
	static const int variants[] = {
	    sodium_base64_VARIANT_ORIGINAL, sodium_base64_VARIANT_URLSAFE};
	int r = visit(ctx, secret);

	if (r == 0)
		r = visit_hex(secret, "0123456789abcdef", tmp, visit, ctx);
	if (r == 0)
		r = visit_hex(secret, "0123456789ABCDEF", tmp, visit, ctx);
	for (size_t i = 0; i < 6 && r == 0; i++)
		r = visit_base64(
		    secret, i % 3, variants[i / 3], tmp, visit, ctx);
	return r;
}

/* n hex digits, or -1. */
static int32_t
digits(const uint8_t *p, size_t n)
{
	int32_t v = 0;

	for (size_t i = 0; i < n; i++) {
		int d = span_hex(p[i]);
		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

/* What JSON's short escapes stand for; 0: none. */
static uint8_t
short_escape(uint8_t c)
{
	switch (c) {
	case '"':
	case '\\':
	case '/':
		return c;
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return 0;
	}
}

static bool
is_byte(struct writing *w, size_t n, uint8_t c)
{
	*w = (struct writing){.n = n, .n_alts = 1};
	w->alt[0].n = 1;
	w->alt[0].b[0] = c;
	return true;
}

static uint8_t
put_utf8(uint32_t c, uint8_t b[static 4])
{
	if (c < 0x800) {
		b[0] = (uint8_t)(0xc0 | c >> 6);
		b[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		b[0] = (uint8_t)(0xe0 | c >> 12);
		b[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		b[2] = (uint8_t)(0x80 | (c & 0x3f));
		return 3;
	}
	b[0] = (uint8_t)(0xf0 | c >> 18);
	b[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	b[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	b[3] = (uint8_t)(0x80 | (c & 0x3f));
	return 4;
}

static bool
is_character(struct writing *w, size_t n, uint32_t c)
{
	if (c < 0x80)
		return is_byte(w, n, (uint8_t)c);
	*w = (struct writing){.n = n, .n_alts = 1};
	w->alt[0].n = put_utf8(c, w->alt[0].b);
	if (c < 0x100) {
		w->n_alts = 2;
		w->alt[1].n = 1;
		w->alt[1].b[0] = (uint8_t)c;
	}
	return true;
}

/* \uXXXX at p, of which there are 6 bytes; -1: none. */
static int32_t
code_unit(const uint8_t *p)
{
	return p[0] == '\\' && p[1] == 'u' ? digits(p + 2, 4) : -1;
}

static bool
is_high(int32_t unit)
{
	return unit >= 0xd800 && unit < 0xdc00;
}

static bool
is_low(int32_t unit)
{
	return unit >= 0xdc00 && unit < 0xe000;
}

static bool
is_pair(struct writing *w, int32_t high, int32_t low)
{
	uint32_t c = ((uint32_t)high - 0xd800) << 10;

	return is_high(high) && is_low(low) &&
	       is_character(w, 12, 0x10000 + c + ((uint32_t)low - 0xdc00));
}

bool
writing_begins(const uint8_t *p, size_t n, struct writing *out)
{
	int32_t v;

	if (n >= 3 && p[0] == '%')
		return (v = digits(p + 1, 2)) >= 0 &&
		       is_byte(out, 3, (uint8_t)v);
	if (n >= 1 && p[0] == '+')
		return is_byte(out, 1, ' ');
	if (n < 2 || p[0] != '\\')
		return false;
	if (p[1] != 'u')
		return short_escape(p[1]) != 0 &&
		       is_byte(out, 2, short_escape(p[1]));
	if (n < 6 || (v = code_unit(p)) < 0 || is_low(v))
		return false;
	if (is_high(v))
		return n >= 12 && is_pair(out, v, code_unit(p + 6));
	return is_character(out, 6, (uint32_t)v);
}

bool
writing_ends(const uint8_t *p, size_t n, struct writing *out)
{
	const uint8_t *end = p + n;
	int32_t v;

	if (n >= 1 && end[-1] == '+')
		return is_byte(out, 1, ' ');
	if (n >= 2 && end[-2] == '\\')
		return short_escape(end[-1]) != 0 &&
		       is_byte(out, 2, short_escape(end[-1]));
	if (n < 3 || span_hex(end[-1]) < 0)
		return false;
	if (end[-3] == '%')
		return (v = digits(end - 2, 2)) >= 0 &&
		       is_byte(out, 3, (uint8_t)v);
	if (n < 6 || (v = code_unit(end - 6)) < 0 || is_high(v))
		return false;
	if (is_low(v))
		return n >= 12 && is_pair(out, code_unit(end - 12), v);
	return is_character(out, 6, (uint32_t)v);
}

/* An open \uXXXX, of 1 to 5 bytes. */
static bool
is_open_unit(const uint8_t *p, size_t n)
{
	return n >= 1 && n < 6 && p[0] == '\\' && (n < 2 || p[1] == 'u') &&
	       (n < 3 || digits(p + 2, n - 2) >= 0);
}

bool
writing_is_open(const uint8_t *p, size_t n)
{
	if (n == 0)
		return false;
	if (p[0] == '%')
		return n == 1 || (n == 2 && span_hex(p[1]) >= 0);
	if (n < 6)
		return is_open_unit(p, n);
	return n < 12 && is_high(code_unit(p)) &&
	       (n == 6 || is_open_unit(p + 6, n - 6));
}

bool
writing_may_be(const uint8_t *p, size_t n, uint8_t c)
{
	int32_t v;

	if (p[0] == '%')
		return n == 1 || span_hex(p[1]) == c >> 4;
	if (n <= 2)
		return true;
	if (c >= 0x80)
		return true; /* several code units begin with it */
	v = digits(p + 2, n < 6 ? n - 2 : 4);
	return n < 6 && v == (int32_t)c >> (4 * (6 - n));
}
