/* SPDX-License-Identifier: ISC */
/* What for: reading WebSocket frames. Trusts: nothing.
 * At a bound: ERR_FORMAT, and the socket is to be closed. */
#include "egress/http/ws.h"

void
ws_start(struct ws *w, enum ws_side side)
{
	*w = (struct ws){.side = side, .why = ""};
}

static int
wrong(struct ws *w, const char *why)
{
	w->why = why;
	return ERR_FORMAT;
}

/* How long the head is, as far as its first two bytes tell. */
static size_t
head_size(const struct ws *w)
{
	uint8_t n = w->head[1] & 0x7f;

	return 2 +
	       (n == 126      ? 2u
		   : n == 127 ? 8u
			      : 0u) +
	       (w->side == WS_CLIENT ? 4u : 0u);
}

static int
check_opcode(struct ws *w)
{
	switch (w->head[0] & 0x0f) {
	case WS_CONTINUATION:
		return w->in_message ? 0 : wrong(w, "nothing to continue");
	case WS_TEXT:
	case WS_BINARY:
		return w->in_message ? wrong(w, "a message within another") : 0;
	case WS_CLOSE:
	case WS_PING:
	case WS_PONG:
		if ((w->head[0] & 0x80) == 0)
			return wrong(w, "a control frame in pieces");
		return 0;
	default:
		return wrong(w, "an unknown opcode");
	}
}

/* As soon as two bytes are there: nothing more is waited for in vain. */
static int
check_start(struct ws *w)
{
	bool masked = (w->head[1] & 0x80) != 0;
	int r;

	if ((w->head[0] & 0x70) != 0)
		return wrong(w, "a reserved bit is set");
	if ((r = check_opcode(w)) != 0)
		return r;
	if (masked != (w->side == WS_CLIENT))
		return wrong(w, masked ? "a server's frame is masked"
				       : "a client's frame is not masked");
	if ((w->head[0] & 0x08) != 0 && (w->head[1] & 0x7f) > WS_CONTROL_MAX)
		return wrong(w, "a control frame is too long");
	return 0;
}

static uint64_t
number(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static int
read_length(struct ws *w, uint64_t *out)
{
	uint64_t n = w->head[1] & 0x7f;

	if (n == 126 && (n = number(w->head + 2, 2)) < 126)
		return wrong(w, "a length is not in its shortest form");
	if ((w->head[1] & 0x7f) == 127) {
		n = number(w->head + 2, 8);
		if (n <= UINT16_MAX)
			return wrong(w, "a length is not in its shortest form");
		if (n > INT64_MAX)
			return wrong(w, "a length is over 2^63");
	}
	*out = n;
	return 0;
}

static int
read_head(struct ws *w)
{
	struct ws_frame f = {
	    .opcode = w->head[0] & 0x0f, .fin = (w->head[0] & 0x80) != 0};
	int r = read_length(w, &f.length);

	if (r != 0)
		return r;
	if (w->side == WS_CLIENT)
		memcpy(f.key, w->head + w->n_head - 4, 4);
	if (f.opcode == WS_CLOSE && f.length == 1)
		return wrong(w, "a close frame with half a code");
	if (!ws_is_control(&f))
		w->in_message = !f.fin;
	w->frame = f;
	w->done = 0;
	w->at = f.length == 0 ? WS_AT_END : WS_IN_PAYLOAD;
	return 0;
}

static int
take_head(struct ws *w, struct span *in, enum ws_event *event, struct span *out)
{
	int r;

	while (in->n > 0) {
		w->head[w->n_head++] = in->p[0];
		*in = span_from(*in, 1);
		if (w->n_head < 2)
			continue;
		if (w->n_head == 2 && (r = check_start(w)) != 0)
			return r;
		if (w->n_head < head_size(w))
			continue;
		if ((r = read_head(w)) != 0)
			return r;
		*event = WS_HEAD;
		*out = span_of(w->head, w->n_head);
		w->n_head = 0;
		return 0;
	}
	*event = WS_MORE;
	return 0;
}

static void
keep_control(struct ws *w, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint64_t at = w->done + i;
		w->control[at] =
		    s.p[i] ^ (w->side == WS_CLIENT ? w->frame.key[at % 4] : 0);
	}
}

static void
take_payload(struct ws *w, struct span *in, struct span *out)
{
	uint64_t left = w->frame.length - w->done;
	size_t n = in->n < left ? in->n : (size_t)left;

	*out = span_of(in->p, n);
	*in = span_from(*in, n);
	if (w->frame.opcode == WS_CLOSE)
		keep_control(w, *out);
	w->done += n;
	if (w->done == w->frame.length)
		w->at = WS_AT_END;
}

/* RFC 6455, 7.4, with the codes registered since. */
static bool
is_close_code(uint64_t code)
{
	return (code >= 1000 && code <= 1003) ||
	       (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/* How many bytes follow this first one; -1: none may begin so. */
static int
utf8_more(uint8_t c)
{
	if (c < 0x80)
		return 0;
	if (c >= 0xc2 && c <= 0xdf)
		return 1;
	if (c >= 0xe0 && c <= 0xef)
		return 2;
	return c >= 0xf0 && c <= 0xf4 ? 3 : -1;
}

/* The second byte decides overlong forms, surrogates, the last plane. */
static bool
utf8_second(uint8_t first, uint8_t c)
{
	uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

	return c >= low && c <= high;
}

static bool
is_utf8(struct span s)
{
	while (s.n > 0) {
		int more = utf8_more(s.p[0]);
		if (more < 0 || s.n <= (size_t)more ||
		    (more > 0 && !utf8_second(s.p[0], s.p[1])))
			return false;
		for (int i = 2; i <= more; i++) {
			if ((s.p[i] & 0xc0) != 0x80)
				return false;
		}
		s = span_from(s, (size_t)more + 1);
	}
	return true;
}

static int
take_end(struct ws *w)
{
	size_t n = (size_t)w->frame.length;

	w->at = WS_AT_HEAD;
	if (w->frame.opcode != WS_CLOSE)
		return 0;
	w->closed = true;
	if (n >= 2 && !is_close_code(number(w->control, 2)))
		return wrong(w, "a close frame with an unlawful code");
	if (n > 2 && !is_utf8(span_of(w->control + 2, n - 2)))
		return wrong(w, "a close frame's reason is not UTF-8");
	return 0;
}

int
ws_next(struct ws *w, struct span *in, enum ws_event *event, struct span *bytes)
{
	*bytes = span_of(NULL, 0);
	*event = WS_MORE;
	if (w->at == WS_AT_END) {
		*event = WS_END;
		return take_end(w);
	}
	if (in->n == 0)
		return 0;
	if (w->closed)
		return wrong(w, "bytes after a close frame");
	if (w->at == WS_AT_HEAD)
		return take_head(w, in, event, bytes);
	*event = WS_PAYLOAD;
	take_payload(w, in, bytes);
	return 0;
}

int
ws_check(struct ws *w, struct span in)
{
	enum ws_event event = WS_HEAD;
	struct span bytes;
	int r = 0;

	while (r == 0 && event != WS_MORE)
		r = ws_next(w, &in, &event, &bytes);
	return r;
}

bool
ws_between(const struct ws *w)
{
	return w->at == WS_AT_HEAD && w->n_head == 0;
}

bool
ws_closed(const struct ws *w)
{
	return w->closed;
}

const char *
ws_why(const struct ws *w)
{
	return w->why;
}
