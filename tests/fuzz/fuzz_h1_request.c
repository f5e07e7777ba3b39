/* SPDX-License-Identifier: ISC */
/* Requests: read the same whole and byte by byte, and what is accepted
 * reads back the same once it was written again. */
#include "egress/http/h1_parse.h"
#include "egress/http/h1_write.h"
#include "tests/fuzz/fuzz.h"

/* What was read, as bytes to compare; an err ends it. */
static int
digest(struct span all, size_t piece, struct buf *out)
{
	enum h1_event e = H1_MORE;
	struct span body;
	struct h1 *p;
	int r = h1_new(H1_REQUEST, &p);

	while (r == 0 && all.n > 0) {
		struct span in = span_of(all.p, piece < all.n ? piece : all.n);
		size_t had = in.n;
		do {
			r = h1_next(p, &in, &e, &body);
			if (r == 0 && e == H1_HEAD &&
			    (r = head_strip(h1_head(p))) == 0)
				r = h1_put_head(h1_head(p), false, out);
			else if (r == 0 && e == H1_BODY)
				r = buf_put_span(out, body);
			if (r == 0 && e == H1_END) {
				r = h1_put_last_chunk(h1_trailers(p), out);
				h1_start(p, false);
			}
		} while (r == 0 && (e != H1_MORE || in.n > 0));
		all = span_from(all, had);
	}
	h1_free(p);
	return r;
}

/* One head of ours, read again. */
static void
read_back(struct span written)
{
	struct buf *again = buf_new(1 << 20);
	enum h1_event e;
	struct span body, in = written;
	struct h1 *p;

	MUST(again != NULL && h1_new(H1_REQUEST, &p) == 0);
	MUST(h1_next(p, &in, &e, &body) == 0 && e == H1_HEAD && in.n == 0);
	/* The one hop-by-hop field that we write ourselves: close. */
	MUST(head_strip(h1_head(p)) == 0);
	MUST(h1_put_head(h1_head(p), false, again) == 0);
	MUST(span_eq(buf_span(again), written));
	h1_free(p);
	buf_free(again);
}

static void
first_head(struct span in)
{
	struct buf *out = buf_new(1 << 20);
	enum h1_event e;
	struct span body;
	struct h1 *p;

	MUST(out != NULL && h1_new(H1_REQUEST, &p) == 0);
	if (h1_next(p, &in, &e, &body) == 0 && e == H1_HEAD) {
		struct head *h = h1_head(p);
		/* An old CONNECT is never written again. */
		if (head_count(h, "host") == 1 && head_strip(h) == 0) {
			MUST(h1_put_head(h, false, out) == 0);
			read_back(buf_span(out));
		}
	}
	h1_free(p);
	buf_free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf *whole = buf_new(1 << 22), *split = buf_new(1 << 22);
	struct span in = span_of(data, size);

	MUST(whole != NULL && split != NULL);
	int a = digest(in, size, whole), b = digest(in, 1, split);
	MUST((a == 0) == (b == 0));
	if (a == 0)
		MUST(span_eq(buf_span(whole), buf_span(split)));
	first_head(in);
	buf_free(whole);
	buf_free(split);
	return 0;
}
