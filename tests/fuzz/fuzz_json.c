/* SPDX-License-Identifier: ISC */
/* Strict JSON: what is taken has no two readings of a name. */
#include "keys/json.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *j = json_strict(span_of(data, size));

	if (j == NULL)
		return 0;
	MUST(memchr(data, 0, size) == NULL);
	char *once = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
	MUST(once != NULL);
	json_t *again = json_strict(span_str(once));
	MUST(again != NULL);
	json_decref(again);
	free(once);
	json_decref(j);
	return 0;
}
