/* SPDX-License-Identifier: ISC */
/* The scrubber: cut anywhere, no form of the secret comes out whole, and
 * the length is as it was. */
#include "egress/courier/scrub.h"
#include "tests/fuzz/fuzz.h"

#include <sodium.h>

static const char secret[] = "abcabd+abc/ab";

static struct scrub_set *
make_set(void)
{
	struct scrub_set *set = NULL;
	struct keep *k = NULL;

	MUST(sodium_init() >= 0);
	MUST(scrub_set_new(&set) == 0);
	MUST(keep_new(secret, sizeof(secret) - 1, &k) == 0);
	MUST(scrub_set_add(set, k) == 0);
	MUST(scrub_set_seal(set) == 0);
	keep_free(k);
	return set;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scrub_set *set;
	struct buf *out = buf_new(1 << 20);
	struct scrub *s = NULL;

	if (set == NULL)
		set = make_set();
	if (size < 2) {
		buf_free(out);
		return 0;
	}
	size_t step = data[0] % 32 + 1;
	struct span in = span_of(data + 1, size - 1);
	MUST(out != NULL && scrub_new(set, &s) == 0);
	for (struct span rest = in; rest.n > 0; rest = span_from(rest, step)) {
		size_t n = rest.n < step ? rest.n : step;
		MUST(scrub_run(s, span_of(rest.p, n), out) == 0);
		if (data[0] & 0x80)
			MUST(scrub_idle(s, out) == 0);
	}
	MUST(scrub_end(s, out) == 0);
	struct span got = buf_span(out);
	MUST(got.n == in.n);
	MUST(memmem(got.p, got.n, secret, sizeof(secret) - 1) == NULL);
	for (size_t i = 0; i < got.n; i++)
		MUST(got.p[i] == in.p[i] || got.p[i] == '*');
	scrub_free(s);
	buf_free(out);
	return 0;
}
