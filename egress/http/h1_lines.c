/* SPDX-License-Identifier: ISC */
/* What for: lines and fields out of hostile bytes. Trusts: nothing. At a
 * bound: ERR_TOO_BIG. */
#include "egress/http/h1_inside.h"

#include <stdlib.h>

void
h1_block_start(struct h1_block *b)
{
	buf_reset(b->raw);
	b->line = 0;
	b->cr = false;
	b->first = true;
}

/* One byte: 0 go on, 1 it ended an empty line, or ERR_FORMAT. */
static int
block_byte(struct h1 *p, struct h1_block *b, uint8_t c)
{
	if (b->cr) {
		if (c != '\n')
			return h1_refuse(p, "bare CR");
		bool empty = b->line == 0;
		b->cr = false;
		b->line = 0;
		return empty ? 1 : 0;
	}
	if (c == '\r') {
		b->cr = true;
		return 0;
	}
	if (c == '\n')
		return h1_refuse(p, "bare LF");
	if ((c < ' ' && c != '\t') || c == 0x7f)
		return h1_refuse(p, "control byte");
	b->line++;
	return 0;
}

/* Take bytes up to the empty line. ERR_TRUNCATED: it has not come yet. */
int
h1_block_take(struct h1 *p, struct h1_block *b, struct span *in)
{
	size_t n;
	int r = 0;

	for (n = 0; n < in->n && r == 0; n++)
		r = block_byte(p, b, in->p[n]);
	if (r < 0)
		return r;
	int e = b == &p->head_block && buf_len(b->raw) + n > p->bytes_max
		    ? ERR_TOO_BIG
		    : buf_put(b->raw, in->p, n);
	*in = span_from(*in, n);
	if (e != 0) {
		p->why = "head too large";
		return e;
	}
	return r == 1 ? 0 : ERR_TRUNCATED;
}

/* The next line without its CRLF; block_byte() has seen to the CRLFs. */
struct span
h1_take_line(struct span *s)
{
	const uint8_t *cr = s->n == 0 ? NULL : memchr(s->p, '\r', s->n);

	if (cr == NULL)
		abort();
	struct span line = span_of(s->p, (size_t)(cr - s->p));

	*s = span_from(*s, line.n + 2);
	return line;
}

/* In place: the block's buffer is ours. */
static void
lower(struct span s)
{
	uint8_t *p = (uint8_t *)(uintptr_t)s.p;

	for (size_t i = 0; i < s.n; i++) {
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] |= 0x20;
	}
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

int
h1_split_field(struct h1 *p, struct span line, struct head_field *f)
{
	const uint8_t *colon;

	if (line.p[0] == ' ' || line.p[0] == '\t')
		return h1_refuse(p, "folded line");
	if ((colon = memchr(line.p, ':', line.n)) == NULL)
		return h1_refuse(p, "no colon");
	f->name = span_of(line.p, (size_t)(colon - line.p));
	if (!head_is_token(f->name))
		return h1_refuse(p, "bad field name");
	lower(f->name);
	f->value = trim(span_from(line, f->name.n + 1));
	return 0;
}
