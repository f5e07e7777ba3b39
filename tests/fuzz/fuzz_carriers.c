/* SPDX-License-Identifier: ISC */
/* Carriers: the clean target holds none, and is clean once more. Input: a
 * packed header list, NUL NUL NUL NUL, a target. */
#include "egress/courier/carriers.h"
#include "tests/fuzz/fuzz.h"

static const char *
resolve(void *ctx, struct span value)
{
	(void)ctx;
	return span_is(value, "ticket") ? "demo" : NULL;
}

static const struct slot slots[] = {
	{.type = SLOT_HEADER, .name = "x-odd", .prefix = "Key "},
	{.type = SLOT_QUERY, .name = "odd"},
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct slot *const both[] = {&slots[0], &slots[1]};
	const uint8_t *mark = size == 0 ? NULL : memmem(data, size, "\0\0\0", 4);
	size_t n = mark == NULL ? 0 : (size_t)(mark - data);
	struct span target = span_from(span_of(data, size), n == 0 ? 0 : n + 4);
	struct buf *clean = buf_new(1 << 20), *again = buf_new(1 << 20);
	struct carriers c, d;

	MUST(clean != NULL && again != NULL);
	if (carriers_scan(span_of(data, n), target, both, 2, resolve, NULL,
		clean, &c) == 0) {
		MUST(c.carried != CARRIED_PLACEHOLDER || c.credential != NULL);
		MUST(buf_len(clean) <= target.n);
		MUST(c.in_query || span_eq(buf_span(clean), target));
		if (buf_len(clean) > 0) {
			MUST(carriers_scan((struct span){0}, buf_span(clean),
				 both, 2, resolve, NULL, again, &d) == 0);
			MUST(d.carried == CARRIED_NOTHING && !d.in_query);
			MUST(span_eq(buf_span(again), buf_span(clean)));
		}
	}
	(void)carriers_cross_site(span_of(data, n), "a.test", 443);
	buf_free(clean);
	buf_free(again);
	return 0;
}
