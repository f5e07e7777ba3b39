/* SPDX-License-Identifier: ISC */
/* What for: encoding and decoding of sibling messages by table. Trusts: the
 * tables; never the bytes. At a bound: ERR_FORMAT or ERR_TOO_BIG. */
#include "lib/msg.h"

static const size_t width[] = {[MSG_U8] = 1, [MSG_U16] = 2, [MSG_U32] = 4,
    [MSG_U64] = 8, [MSG_SPAN] = 4};

static uint64_t
load(const struct msg_field *f, const void *m)
{
	const uint8_t *at = (const uint8_t *)m + f->offset;
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	switch (f->kind) {
	case MSG_U8:
		return *at;
	case MSG_U16:
		memcpy(&v16, at, sizeof(v16));
		return v16;
	case MSG_U32:
		memcpy(&v32, at, sizeof(v32));
		return v32;
	case MSG_U64:
		memcpy(&v64, at, sizeof(v64));
		return v64;
	case MSG_SPAN:
		break;
	}
	return 0;
}

static void
store(const struct msg_field *f, void *m, uint64_t v)
{
	uint8_t *at = (uint8_t *)m + f->offset;
	uint8_t v8 = (uint8_t)v;
	uint16_t v16 = (uint16_t)v;
	uint32_t v32 = (uint32_t)v;

	if (f->kind == MSG_U8)
		memcpy(at, &v8, sizeof(v8));
	else if (f->kind == MSG_U16)
		memcpy(at, &v16, sizeof(v16));
	else if (f->kind == MSG_U32)
		memcpy(at, &v32, sizeof(v32));
	else
		memcpy(at, &v, sizeof(v));
}

static int
measure(const struct msg_type *t, const void *m, size_t *out)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_fields; i++) {
		const struct msg_field *f = &t->fields[i];
		struct span s;

		n += width[f->kind];
		if (f->kind != MSG_SPAN)
			continue;
		memcpy(&s, (const uint8_t *)m + f->offset, sizeof(s));
		if (s.n > f->max)
			return ERR_TOO_BIG;
		n += s.n;
	}
	if (n > MSG_MAX)
		return ERR_TOO_BIG;
	*out = n;
	return 0;
}

static void
put_be(uint8_t *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

static uint64_t
get_be(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static void
write_fields(const struct msg_type *t, const void *m, uint8_t *p)
{
	for (size_t i = 0; i < t->n_fields; i++) {
		const struct msg_field *f = &t->fields[i];
		struct span s;

		if (f->kind != MSG_SPAN) {
			put_be(p, load(f, m), width[f->kind]);
			p += width[f->kind];
			continue;
		}
		memcpy(&s, (const uint8_t *)m + f->offset, sizeof(s));
		put_be(p, s.n, 4);
		if (s.n != 0)
			memcpy(p + 4, s.p, s.n);
		p += 4 + s.n;
	}
}

int
msg_encode(const struct msg_type *t, const void *m, bool has_fd,
    struct buf *out)
{
	uint8_t *p;
	size_t n;
	int r;

	if ((has_fd && t->fd == MSG_NO_FD) || (!has_fd && t->fd == MSG_MUST_FD))
		return ERR_ARGUMENT;
	if ((r = measure(t, m, &n)) != 0 ||
	    (r = buf_reserve(out, MSG_HEADER_LEN + n, &p)) != 0)
		return r;
	put_be(p, n, 4);
	put_be(p + 4, t->id, 2);
	p[6] = has_fd;
	p[7] = 0;
	write_fields(t, m, p + MSG_HEADER_LEN);
	buf_claim(out, MSG_HEADER_LEN + n);
	return 0;
}

size_t
msg_longest(const struct msg_type *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_fields; i++)
		n += width[t->fields[i].kind] + t->fields[i].max;
	return n < MSG_MAX ? n : MSG_MAX;
}

int
msg_header_decode(struct span in, struct msg_header *h)
{
	if (in.n < MSG_HEADER_LEN)
		return ERR_TRUNCATED;
	uint64_t len = get_be(in.p, 4);
	if (len > MSG_MAX || in.p[6] > 1 || in.p[7] != 0)
		return ERR_FORMAT;
	h->len = (uint32_t)len;
	h->type = (uint16_t)get_be(in.p + 4, 2);
	h->has_fd = in.p[6] == 1;
	return 0;
}

static int
read_field(const struct msg_field *f, struct span *in, void *m)
{
	size_t w = width[f->kind];

	if (in->n < w)
		return ERR_FORMAT;
	uint64_t v = get_be(in->p, w);
	*in = span_from(*in, w);
	if (f->kind != MSG_SPAN) {
		store(f, m, v);
		return 0;
	}
	if (v > f->max || v > in->n)
		return ERR_FORMAT;
	struct span s = v == 0 ? span_of(NULL, 0) : span_of(in->p, (size_t)v);
	memcpy((uint8_t *)m + f->offset, &s, sizeof(s));
	*in = span_from(*in, (size_t)v);
	return 0;
}

int
msg_decode(const struct msg_type *t, struct span payload, void *m)
{
	if (t->size != 0)
		memset(m, 0, t->size);
	for (size_t i = 0; i < t->n_fields; i++) {
		int r = read_field(&t->fields[i], &payload, m);
		if (r != 0)
			return r;
	}
	return payload.n == 0 ? 0 : ERR_FORMAT;
}
