/* SPDX-License-Identifier: ISC */
/* An upstream's bytes at the client's core, three requests under way. */
#include "tests/fuzz/h2.h"

static const struct h2_events events = {
    fuzz_h2_head, fuzz_h2_body, fuzz_h2_end, fuzz_h2_reset};

static void
ask(struct fuzz_h2 *s, const char *method, bool end)
{
	struct head h;
	int32_t id;

	head_init(&h);
	h.method = span_str(method);
	h.target = span_str("/");
	MUST(head_add(&h, span_str("host"), span_str("a")) == 0);
	MUST(h2_request(s->h, &h, 1, end, &id) == 0);
	head_clear(&h);
}

static void
run(struct span in, size_t piece, struct buf *log, struct buf *answer)
{
	struct fuzz_h2 s = {.log = log, .answer = answer != NULL};
	struct buf *first = buf_new(1 << 20);
	int r = 0;

	MUST(first != NULL);
	MUST(h2_new(H2_CLIENT, &events, &s, &s.h) == 0);
	/* SETTINGS, for until they come one request is all. */
	MUST(h2_recv(s.h, span_of("\0\0\0\4\0\0\0\0", 9)) == 0);
	ask(&s, "GET", true);
	ask(&s, "HEAD", true);
	ask(&s, "POST", false);
	MUST(h2_body(s.h, 5, span_str("body")) == 0);
	MUST(h2_send(s.h, first) == 0);
	fuzz_h2_feed(&s, in, piece, answer, &r);
	h2_free(s.h);
	buf_free(first);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_h2_compare(run, span_of(data, size));
	return 0;
}
