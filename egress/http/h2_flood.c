/* SPDX-License-Identifier: ISC */
/* What for: frames that are cheap to send and dear to take, in numbers.
 * Trusts: nothing; it reads the nine bytes before each frame itself.
 * At a bound: ERR_FORMAT for good, and the connection is to be closed. */
#include "egress/http/h2_flood.h"

#include <nghttp2/nghttp2.h>

/* What one useful thing pays off, by kind: never more than an honest far
 * end may have caused with it. */
static const struct {
	size_t max; /* in struct bounds */
	uint32_t a_stream, a_data;
	const char *why;
} limits[H2_FLOOD_KINDS] = {
    [H2_FLOOD_RESET] = {offsetof(struct bounds, h2_resets), 1, 0,
	"too many streams reset"},
    [H2_FLOOD_PING] = {offsetof(struct bounds, h2_pings), 1, 1,
	"too many PING frames"},
    [H2_FLOOD_SETTINGS] = {offsetof(struct bounds, h2_settings), 1, 0,
	"too many SETTINGS frames"},
    [H2_FLOOD_EMPTY] = {offsetof(struct bounds, h2_empty), 2, 1,
	"too many empty frames"},
    [H2_FLOOD_UPDATE] = {offsetof(struct bounds, h2_updates), 4, 4,
	"too many WINDOW_UPDATE frames"},
    [H2_FLOOD_OTHER] = {offsetof(struct bounds, h2_other), 2, 0,
	"too many PRIORITY or unknown frames"},
};

static void
cross(struct h2_flood *f, const char *why, uint32_t code)
{
	if (f->why != NULL)
		return;
	f->why = why;
	f->code = code;
}

void
h2_flood_init(struct h2_flood *f, bool server)
{
	struct bounds usual = bounds_default();

	*f =
	    (struct h2_flood){.preface = server ? NGHTTP2_CLIENT_MAGIC_LEN : 0};
	h2_flood_bound(f, &usual);
}

void
h2_flood_bound(struct h2_flood *f, const struct bounds *b)
{
	for (size_t i = 0; i < H2_FLOOD_KINDS; i++) {
		uint64_t max;
		memcpy(&max, (const char *)b + limits[i].max, sizeof(max));
		f->max[i] = (uint32_t)max;
	}
	f->continuations_max = (uint32_t)b->h2_continuations;
}

void
h2_flood_count(struct h2_flood *f, enum h2_flood_kind kind)
{
	if (++f->count[kind] > f->max[kind])
		cross(f, limits[kind].why, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void
pay(struct h2_flood *f, size_t kind, uint32_t n)
{
	f->count[kind] -= n < f->count[kind] ? n : f->count[kind];
}

void
h2_flood_pay_stream(struct h2_flood *f)
{
	for (size_t i = 0; i < H2_FLOOD_KINDS; i++)
		pay(f, i, limits[i].a_stream);
}

void
h2_flood_pay_data(struct h2_flood *f)
{
	for (size_t i = 0; i < H2_FLOOD_KINDS; i++)
		pay(f, i, limits[i].a_data);
}

/* One frame of a head: its first one, or a CONTINUATION. */
static void
block(struct h2_flood *f, bool first, size_t n)
{
	if (first) {
		f->continuations = f->block = 0;
		f->heads++;
	} else
		f->continuations++;
	f->block += n;
	if (f->continuations > f->continuations_max)
		cross(f, "too many CONTINUATION frames",
		    NGHTTP2_ENHANCE_YOUR_CALM);
	if (f->block > H2_BLOCK_MAX)
		cross(f, "a head too long", NGHTTP2_ENHANCE_YOUR_CALM);
	if (n == 0)
		h2_flood_count(f, H2_FLOOD_EMPTY);
}

static void
judge(struct h2_flood *f, uint8_t type, uint8_t flags, size_t n)
{
	f->of_head =
	    type == NGHTTP2_HEADERS || type == NGHTTP2_CONTINUATION;
	switch (type) {
	case NGHTTP2_DATA:
		if (n == 0 && (flags & NGHTTP2_FLAG_END_STREAM) == 0)
			h2_flood_count(f, H2_FLOOD_EMPTY);
		return;
	case NGHTTP2_HEADERS:
	case NGHTTP2_CONTINUATION:
		block(f, type == NGHTTP2_HEADERS, n);
		f->open = (flags & NGHTTP2_FLAG_END_HEADERS) == 0;
		return;
	case NGHTTP2_RST_STREAM:
		h2_flood_count(f, H2_FLOOD_RESET);
		return;
	case NGHTTP2_SETTINGS:
		h2_flood_count(f, H2_FLOOD_SETTINGS);
		return;
	case NGHTTP2_PING:
		h2_flood_count(f, H2_FLOOD_PING);
		return;
	case NGHTTP2_WINDOW_UPDATE:
		h2_flood_count(f, H2_FLOOD_UPDATE);
		return;
	case NGHTTP2_PUSH_PROMISE:
		/* Our SETTINGS, which come first, forbid it. */
		cross(f, "a push", NGHTTP2_PROTOCOL_ERROR);
		return;
	default:
		h2_flood_count(f, H2_FLOOD_OTHER);
	}
}

/* As much of what is to be skipped as in has. */
static void
skip(struct span *in, size_t *n)
{
	size_t k = *n < in->n ? *n : in->n;

	*in = span_from(*in, k);
	*n -= k;
}

uint64_t
h2_flood_open_head(const struct h2_flood *f)
{
	return f->open || (f->of_head && f->payload > 0) ? f->heads : 0;
}

int
h2_flood_scan(struct h2_flood *f, struct span in, size_t *good)
{
	size_t all = in.n;

	*good = 0;
	if (f->why != NULL)
		return ERR_FORMAT;
	skip(&in, &f->preface);
	while (in.n > 0) {
		skip(&in, &f->payload);
		*good = all - in.n;
		while (in.n > 0 && f->n_head < sizeof(f->head)) {
			f->head[f->n_head++] = in.p[0];
			in = span_from(in, 1);
		}
		if (f->n_head < sizeof(f->head))
			break;
		f->n_head = 0;
		f->payload = (size_t)f->head[0] << 16 |
			     (size_t)f->head[1] << 8 | f->head[2];
		judge(f, f->head[3], f->head[4], f->payload);
		if (f->why != NULL)
			return ERR_FORMAT;
	}
	*good = all;
	return 0;
}
