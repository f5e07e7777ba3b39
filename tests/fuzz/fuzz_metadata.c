/* SPDX-License-Identifier: ISC */
/* Credential metadata: what is taken comes out the same twice. */
#include "scope/metadata.h"
#include "tests/fuzz/fuzz.h"

static char *
pass(struct span in)
{
	struct metadata m;
	char *text = NULL;

	if (metadata_parse(in, &m, NULL, 0) == 0) {
		json_t *out = metadata_to_json(&m);

		text = json_dumps(out, JSON_COMPACT);
		json_decref(out);
		(void)metadata_slot_for(&m, "a.test", 443);
		metadata_free(&m);
		MUST(text != NULL);
	}
	return text;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *once = pass(span_of(data, size)), *twice;

	if (once == NULL)
		return 0;
	MUST(
	    (twice = pass(span_str(once))) != NULL && strcmp(once, twice) == 0);
	free(once);
	free(twice);
	return 0;
}
