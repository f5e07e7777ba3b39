/* SPDX-License-Identifier: ISC */
/* A guest's bytes at the server's core, whole and in pieces: what is
 * reported is the same, answers go out, and an end stays an end. */
#include "tests/fuzz/h2.h"

static const struct h2_events events = {
    fuzz_h2_head, fuzz_h2_body, fuzz_h2_end, fuzz_h2_reset};

static void
run(struct span in, size_t piece, struct buf *log, struct buf *answer)
{
	struct fuzz_h2 s = {.log = log, .answer = answer != NULL};
	int r = 0;

	MUST(h2_new(H2_SERVER, &events, &s, &s.h) == 0);
	MUST(h2_recv(s.h, span_str("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")) == 0);
	fuzz_h2_feed(&s, in, piece, answer, &r);
	h2_free(s.h);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_h2_compare(run, span_of(data, size));
	return 0;
}
