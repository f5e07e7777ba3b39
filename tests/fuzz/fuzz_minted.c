/* SPDX-License-Identifier: ISC */
/* Replies that mint, and Accept-Encoding: cut anywhere they are judged the
 * same; what may pass never shrinks; what is kept of a list allows nothing
 * that cannot be looked into, and is kept when it is read again. */
#include "egress/courier/coding.h"
#include "egress/courier/minted.h"
#include "tests/fuzz/fuzz.h"

static int
judge(const char *type, struct span in, size_t step, uint64_t *last)
{
	struct minted m;
	int r = 0;

	minted_start(&m, span_str(type));
	*last = 0;
	for (uint64_t fed = 0; in.n > 0 && r == 0; in = span_from(in, step)) {
		uint64_t pass = 0;
		size_t n = step < in.n ? step : in.n;
		r = minted_run(&m, span_of(in.p, n), &pass);
		fed += n;
		MUST(r == 0 || (r == ERR_DENIED && m.found));
		MUST(r != 0 || (pass >= *last && pass <= fed &&
				   fed - pass <= MINTED_WAIT));
		if (r == 0)
			*last = pass;
	}
	return r;
}

static void
filter(struct span in)
{
	struct buf *once = buf_new(65536), *twice = buf_new(65536);

	MUST(once != NULL && twice != NULL);
	MUST(coding_accept(in, once) == 0);
	MUST(coding_accept(buf_span(once), twice) == 0);
	MUST(span_eq(buf_span(once), buf_span(twice)));
	buf_free(once);
	buf_free(twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = {
	    "application/json", "application/x-www-form-urlencoded", "x"};
	uint64_t a, b;

	if (size < 2 || size > 16384)
		return 0;
	struct span in = span_of(data + 1, size - 1);
	for (size_t i = 0; i < 3; i++) {
		int r = judge(types[i], in, in.n, &a);
		MUST(judge(types[i], in, data[0] % 32 + 1, &b) == r);
		MUST(r != 0 || a == b);
	}
	filter(in);
	return 0;
}
