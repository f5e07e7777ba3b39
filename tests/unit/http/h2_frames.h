/* SPDX-License-Identifier: ISC */
/* HTTP/2 frames by hand, and a core with what it reported. For tests. */
#ifndef TESTS_UNIT_HTTP_H2_FRAMES_H
#define TESTS_UNIT_HTTP_H2_FRAMES_H

#include "egress/http/h2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum {
	DATA,
	HEADERS,
	PRIORITY,
	RST,
	SETTINGS,
	PUSH,
	PING,
	GOAWAY,
	WINDOW,
	CONT
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };
#define CALM 11
#define MAGIC "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
/* GET https://a/ and a bare status, in HPACK's static table. */
#define GET                    \
	"\x82\x87\x84\x01\x01" \
	"a"
#define POST                   \
	"\x83\x87\x84\x01\x01" \
	"a"
#define OK "\x88"
#define NO_CONTENT "\x89"
#define NOT_MODIFIED "\x8b"

struct side {
	struct h2 *h;
	int32_t id;
	int heads, ends, resets;
	size_t body, trailers;
	uint16_t status;
	uint32_t code;
	char cookie[64];
	bool reset_at_head;
	struct buf *log; /* what was reported, when one is kept */
};

/* What a core wrote, by type, and what its GOAWAY said. */
struct wrote {
	size_t frames[256], bytes;
	int64_t goaway;
	uint64_t window; /* given to the connection */
};

static inline void
log_event(struct side *s, const char *what, int32_t id, size_t n)
{
	if (s->log != NULL)
		assert_int_equal(
		    buf_printf(s->log, "%s %d %zu\n", what, id, n), 0);
}

static inline void
on_head(void *arg, int32_t id, struct head *h)
{
	struct side *s = arg;
	struct span v;

	s->heads++;
	s->id = id;
	s->status = h->status;
	if (head_get(h, "cookie", &v))
		(void)snprintf(
		    s->cookie, sizeof(s->cookie), "%.*s", (int)v.n, v.p);
	log_event(s, "head", id, h->n_fields);
	if (s->reset_at_head)
		assert_int_equal(h2_reset(s->h, id, 8), 0);
}

static inline void
on_body(void *arg, int32_t id, struct span b)
{
	struct side *s = arg;

	s->body += b.n;
	/* Pieces may differ with how they came; bytes may not. */
	for (size_t i = 0; s->log != NULL && i < b.n; i++)
		log_event(s, "body", id, b.p[i]);
}

static inline void
on_end(void *arg, int32_t id, struct head *t)
{
	struct side *s = arg;

	s->ends++;
	s->trailers = t->n_fields;
	log_event(s, "end", id, t->n_fields);
}

static inline void
on_reset(void *arg, int32_t id, uint32_t code)
{
	struct side *s = arg;

	s->resets++;
	s->code = code;
	log_event(s, "reset", id, code);
}

static const struct h2_events events = {on_head, on_body, on_end, on_reset};

static inline void
put_frame(struct buf *b, uint8_t type, uint8_t flags, int32_t id, const void *p,
    size_t n)
{
	assert_int_equal(buf_put_u8(b, (uint8_t)(n >> 16)), 0);
	assert_int_equal(buf_put_u16(b, (uint16_t)n), 0);
	assert_int_equal(buf_put_u8(b, type), 0);
	assert_int_equal(buf_put_u8(b, flags), 0);
	assert_int_equal(buf_put_u32(b, (uint32_t)id), 0);
	assert_int_equal(buf_put(b, p, n), 0);
}

/* One frame in; whatever h2_recv() says. */
static inline int
frame(struct side *s, uint8_t type, uint8_t flags, int32_t id, const void *p,
    size_t n)
{
	struct buf *b = buf_new(1 << 20);
	int r;

	assert_non_null(b);
	put_frame(b, type, flags, id, p, n);
	r = h2_recv(s->h, buf_span(b));
	buf_free(b);
	return r;
}

static inline int
head_frame(struct side *s, int32_t id, uint8_t flags, const char *hpack)
{
	return frame(s, HEADERS, flags | END_HEADERS, id, hpack, strlen(hpack));
}

/* Everything that the core has to say. */
static inline struct wrote
drain(struct side *s)
{
	struct wrote w = {.goaway = -1};
	struct buf *b = buf_new(1 << 24);
	struct span in;

	assert_non_null(b);
	assert_int_equal(h2_send(s->h, b), 0);
	in = buf_span(b);
	w.bytes = in.n;
	if (in.n > 24 && memcmp(in.p, MAGIC, 24) == 0)
		in = span_from(in, 24);
	while (in.n >= 9) {
		size_t n =
		    (size_t)in.p[0] << 16 | (size_t)in.p[1] << 8 | in.p[2];
		const uint8_t *p = in.p + 9;
		assert_true(in.n >= 9 + n);
		w.frames[in.p[3]]++;
		if (in.p[3] == GOAWAY)
			w.goaway = p[7];
		if (in.p[3] == WINDOW &&
		    (in.p[5] | in.p[6] | in.p[7] | in.p[8]) == 0)
			w.window += (uint64_t)p[0] << 24 |
				    (uint64_t)p[1] << 16 | (uint64_t)p[2] << 8 |
				    p[3];
		in = span_from(in, 9 + n);
	}
	buf_free(b);
	return w;
}

/* A core whose far end is us, SETTINGS exchanged. */
static inline void
begin(struct side *s, enum h2_role role)
{
	assert_int_equal(h2_new(role, &events, s, &s->h), 0);
	(void)drain(s);
	if (role == H2_SERVER)
		assert_int_equal(h2_recv(s->h, span_str(MAGIC)), 0);
	assert_int_equal(frame(s, SETTINGS, 0, 0, "", 0), 0);
	assert_int_equal(frame(s, SETTINGS, ACK, 0, "", 0), 0);
	(void)drain(s);
}

static inline int
request(struct side *s, const char *method, bool end, int32_t *id)
{
	struct head h;
	int r;

	head_init(&h);
	h.method = span_str(method);
	h.target = span_str("/");
	assert_int_equal(head_add(&h, span_str("host"), span_str("a")), 0);
	r = h2_request(s->h, &h, 1, end, id);
	head_clear(&h);
	return r;
}

static inline int
response(struct side *s, int32_t id, unsigned status, bool end)
{
	struct head h;
	int r;

	head_init(&h);
	h.status = (uint16_t)status;
	r = h2_response(s->h, id, &h, end);
	head_clear(&h);
	return r;
}

/* The connection is over, for this reason, and stays so. */
static inline void
assert_over(struct side *s, int64_t code)
{
	assert_int_equal(drain(s).goaway, code);
	assert_true(h2_done(s->h));
	assert_int_equal(frame(s, PING, 0, 0, "12345678", 8), ERR_FORMAT);
	assert_true(strlen(h2_why(s->h)) > 0);
	assert_int_equal(drain(s).bytes, 0);
}

#endif
