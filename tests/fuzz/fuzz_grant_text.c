/* SPDX-License-Identifier: ISC */
/* --allow and quantities. */
#include "scope/grant_text.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct grant g;
	uint64_t a = 0, b = 0;
	char why[128];

	if (grant_from_text(in, &g, why, sizeof(why)) == 0) {
		MUST(g.n_hosts == 1 && g.n_rules == 1);
		grant_free(&g);
	}
	if (grant_bytes_from_text(in, &a) == 0)
		MUST(a > 0 && a <= INT64_MAX);
	if (grant_time_from_text(in, &a) == 0)
		MUST(a > 0 && a <= INT64_MAX);
	if (grant_rate_from_text(in, &a, &b) == 0)
		MUST(a > 0 && b > 0);
	return 0;
}
