/* SPDX-License-Identifier: ISC */
/* Targets: what is taken has one reading. */
#include "scope/path.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct target t;

	if (target_parse(span_of(data, size), &t) != 0)
		return 0;
	MUST(t.path.n > 0 && t.path.p[0] == '/');
	MUST(memmem(data, t.path.n, "//", 2) == NULL);
	MUST(memmem(data, t.path.n, "/../", 4) == NULL);
	MUST(memmem(data, t.path.n, "/./", 3) == NULL);
	MUST(memmem(data, t.path.n, "%2e", 3) == NULL &&
	     memmem(data, t.path.n, "%2E", 3) == NULL);
	bool hides = memmem(data, t.path.n, "%2f", 3) != NULL ||
		     memmem(data, t.path.n, "%2F", 3) != NULL;
	MUST(hides == t.hides_slash);
	for (size_t i = 0; i < size; i++)
		MUST(data[i] > ' ' && data[i] < 0x7f && data[i] != '\\' &&
		     data[i] != '#');
	MUST(target_match(span_str("/**"), &t));
	MUST(!hides || !target_match(span_str("/**/*"), &t));
	return 0;
}
