/* SPDX-License-Identifier: ISC */
/* A pattern, a newline, a path: matching ends, and soon. */
#include "scope/path.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nl = size == 0 ? NULL : memchr(data, '\n', size);
	struct target t;

	if (nl == NULL)
		return 0;
	struct span pattern = span_of(data, (size_t)(nl - data));
	if (path_pattern_check(pattern) != 0 ||
	    target_parse(span_from(span_of(data, size), pattern.n + 1), &t) !=
		0)
		return 0;
	bool m = target_match(pattern, &t);
	/* Without a star only the path itself matches. */
	if (pattern.n == 0 || memchr(pattern.p, '*', pattern.n) == NULL)
		MUST(m == span_eq(pattern, t.path));
	return 0;
}
