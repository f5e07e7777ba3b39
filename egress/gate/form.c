/* SPDX-License-Identifier: ISC */
/* What for: the bodies of the guest API.
 * Trusts: nothing.
 * At a bound: the body is bounded by its caller, the rest by the body. */
#include "egress/gate/form.h"

static int
decode(struct span in, struct buf *out)
{
	int r = 0;

	for (size_t i = 0; i < in.n && r == 0; i++) {
		uint8_t c = in.p[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			if (in.n - i < 3 || span_hex(in.p[i + 1]) < 0 ||
			    span_hex(in.p[i + 2]) < 0)
				return ERR_FORMAT;
			c = (uint8_t)(span_hex(in.p[i + 1]) << 4 | span_hex(in.p[i + 2]));
			i += 2;
		} else if (c <= ' ' || c >= 0x7f) {
			return ERR_FORMAT;
		}
		r = c == '\0' ? ERR_FORMAT : buf_put_u8(out, c);
	}
	return r;
}

/* Length of one UTF-8 character at the front of s, or 0. */
static size_t
utf8_char(struct span s)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint8_t c = s.p[0];
	size_t n = c < 0x80   ? 1
		   : c < 0xc2 ? 0
		   : c < 0xe0 ? 2
		   : c < 0xf0 ? 3
			      : 4;
	uint32_t v = n == 2 ? c & 0x1f : n == 3 ? c & 0x0f : c & 0x07;

	if (n <= 1)
		return n;
	if (c > 0xf4 || s.n < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s.p[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (s.p[i] & 0x3f);
	}
	return v >= least[n] && v <= 0x10ffff && (v < 0xd800 || v > 0xdfff) ? n
									    : 0;
}

static bool
is_utf8(struct span s)
{
	while (s.n > 0) {
		size_t n = utf8_char(s);
		if (n == 0)
			return false;
		s = span_from(s, n);
	}
	return true;
}

static int
pair(struct span text, struct form_field *fields, size_t n_fields,
    struct buf *out)
{
	const uint8_t *eq = memchr(text.p, '=', text.n);
	size_t at = buf_len(out);
	int r;

	if (eq == NULL)
		return ERR_FORMAT;
	struct span name = span_of(text.p, (size_t)(eq - text.p));
	for (size_t i = 0; i < n_fields; i++) {
		struct form_field *f = &fields[i];

		if (!span_is(name, f->name))
			continue;
		if (f->present)
			return ERR_FORMAT;
		if ((r = decode(span_from(text, name.n + 1), out)) != 0)
			return r;
		f->present = true;
		f->offset = at;
		f->value.n = buf_len(out) - at;
		return 0;
	}
	return ERR_FORMAT; /* also for a name that is escaped: none needs it */
}

int
form_parse(struct span body, struct form_field *fields, size_t n_fields,
    struct buf *out)
{
	int r;

	while (body.n > 0) {
		const uint8_t *amp = memchr(body.p, '&', body.n);
		size_t n = amp == NULL ? body.n : (size_t)(amp - body.p);

		if (n == 0 || (amp != NULL && n + 1 == body.n))
			return ERR_FORMAT;
		if ((r = pair(span_of(body.p, n), fields, n_fields, out)) != 0)
			return r;
		body = span_from(body, n + 1);
	}
	/* Only now: out may have moved while it grew. */
	for (size_t i = 0; i < n_fields; i++) {
		struct form_field *f = &fields[i];
		if (f->present && f->value.n > 0)
			f->value.p = buf_span(out).p + f->offset;
		if (!is_utf8(f->value))
			return ERR_FORMAT;
	}
	return 0;
}
