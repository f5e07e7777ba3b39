/* SPDX-License-Identifier: ISC */
/* What the two HTTP/2 targets share: a caller that writes down what is
 * reported and, if it answers, takes part like gate or courier would. */
#ifndef TESTS_FUZZ_H2_H
#define TESTS_FUZZ_H2_H

#include "egress/http/h2.h"
#include "tests/fuzz/fuzz.h"

#include <sodium.h>

#define FUZZ_H2_IDS 256

struct fuzz_h2 {
	struct h2 *h;
	struct buf *log;
	bool answer;
	bool ended[FUZZ_H2_IDS]; /* by id / 2: no more of it but its reset */
	bool headed[FUZZ_H2_IDS];
};

static inline void
fuzz_h2_note(struct fuzz_h2 *s, const char *what, int32_t id, size_t n)
{
	MUST(buf_printf(s->log, "%s %d %zu\n", what, id, n) == 0);
}

static inline void
fuzz_h2_head(void *arg, int32_t id, struct head *h)
{
	struct fuzz_h2 *s = arg;
	struct head own;
	size_t i = (size_t)id / 2 % FUZZ_H2_IDS;

	if (id / 2 < FUZZ_H2_IDS)
		MUST(!s->ended[i]);
	s->headed[i] = true;
	fuzz_h2_note(s, "head", id, h->n_fields);
	MUST(head_count(h, "cookie") < 2 || h->method.n == 0);
	if (!s->answer || h->method.n == 0)
		return;
	head_init(&own);
	own.status = 200;
	if (id % 8 == 1) {
		MUST(h2_reset(s->h, id, 8) == 0);
		s->ended[i] = true;
	} else {
		MUST(h2_response(s->h, id, &own, id % 8 == 3) == 0);
		if (id % 8 != 3)
			MUST(h2_body(s->h, id, span_str("answer")) == 0);
		if (id % 8 == 5)
			MUST(h2_end(s->h, id, NULL) == 0);
	}
	head_clear(&own);
}

static inline void
fuzz_h2_body(void *arg, int32_t id, struct span b)
{
	struct fuzz_h2 *s = arg;

	MUST(s->headed[(size_t)id / 2 % FUZZ_H2_IDS]);
	if (id / 2 < FUZZ_H2_IDS)
		MUST(!s->ended[id / 2]);
	for (size_t i = 0; i < b.n; i++)
		fuzz_h2_note(s, "body", id, b.p[i]);
	MUST(h2_credit(s->h, id, H2_WINDOW + 1) == ERR_ARGUMENT);
	if (s->answer && id % 4 == 1)
		MUST(h2_credit(s->h, id, b.n) == 0);
}

static inline void
fuzz_h2_end(void *arg, int32_t id, struct head *t)
{
	struct fuzz_h2 *s = arg;

	if (id / 2 < FUZZ_H2_IDS) {
		MUST(s->headed[id / 2] && !s->ended[id / 2]);
		s->ended[id / 2] = true;
	}
	fuzz_h2_note(s, "end", id, t->n_fields);
}

static inline void
fuzz_h2_reset(void *arg, int32_t id, uint32_t code)
{
	struct fuzz_h2 *s = arg;

	if (id / 2 < FUZZ_H2_IDS)
		s->ended[id / 2] = true;
	/* Which of several codes it is may hang on when things were sent. */
	(void)code;
	fuzz_h2_note(s, "reset", id, 0);
}

/* in, in pieces; with answer, what is to be sent goes there each time. */
static inline void
fuzz_h2_feed(
    struct fuzz_h2 *s, struct span in, size_t piece, struct buf *answer, int *r)
{
	struct buf *last = buf_new(1 << 24);

	MUST(last != NULL);
	while (*r == 0 && in.n > 0) {
		struct span part = span_of(in.p, piece < in.n ? piece : in.n);
		*r = h2_recv(s->h, part);
		in = span_from(in, part.n);
		if (answer != NULL) {
			MUST(h2_send(s->h, answer) == 0);
			buf_reset(answer);
		}
	}
	MUST(*r == 0 || *r == ERR_FORMAT);
	MUST((*r == 0) == (h2_why(s->h)[0] == '\0') || *r == 0);
	MUST(h2_send(s->h, last) == 0);
	if (*r != 0) {
		MUST(h2_done(s->h));
		MUST(h2_recv(s->h, span_str("x")) == ERR_FORMAT);
	}
	buf_free(last);
}

/* The same, whole and byte by byte; then with answers. */
static inline void
fuzz_h2_compare(void (*run)(struct span in, size_t piece, struct buf *log,
		    struct buf *answer),
    struct span in)
{
	/* Bodies under way are in locked memory. */
	MUST(sodium_init() >= 0);
	struct buf *whole = buf_new(1 << 24), *split = buf_new(1 << 24);
	struct buf *log = buf_new(1 << 24), *answer = buf_new(1 << 20);

	MUST(whole != NULL && split != NULL && log != NULL && answer != NULL);
	run(in, in.n, whole, NULL);
	run(in, 1, split, NULL);
	MUST(span_eq(buf_span(whole), buf_span(split)));
	run(in, 64, log, answer);
	buf_free(whole);
	buf_free(split);
	buf_free(log);
	buf_free(answer);
}

#endif
