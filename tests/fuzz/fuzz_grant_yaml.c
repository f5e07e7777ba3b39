/* SPDX-License-Identifier: ISC */
/* Grant files. A ca_file is never found: the name leads nowhere. */
#include "scope/grant_yaml.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct grant_set s = {0};
	char why[128];

	/* No file of this machine may be read. */
	if (size > 0 && memmem(data, size, "ca_file", 7) != NULL)
		return 0;
	if (grant_set_from_yaml(span_of(data, size), "/nowhere/g.yaml", &s, why,
		sizeof(why)) == 0) {
		for (size_t i = 0; i < s.n; i++)
			MUST(grant_check(&s.g[i], why, sizeof(why)) == 0);
		grant_set_free(&s);
	}
	return 0;
}
