/* SPDX-License-Identifier: ISC */
/* Grants in JSON: what is taken comes out the same twice. */
#include "scope/grant_json.h"
#include "tests/fuzz/fuzz.h"

static char *
pass(json_t *j)
{
	struct grant_set s;
	char *text = NULL;

	if (grant_set_from_json(j, &s, NULL, 0) == 0) {
		json_t *out = grant_set_to_json(&s);

		text = json_dumps(out, JSON_COMPACT);
		json_decref(out);
		grant_set_free(&s);
		MUST(text != NULL);
	}
	return text;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *j = json_strict(span_of(data, size));
	char *once = j == NULL ? NULL : pass(j), *twice;

	json_decref(j);
	if (once == NULL)
		return 0;
	MUST((j = json_strict(span_str(once))) != NULL);
	MUST((twice = pass(j)) != NULL && strcmp(once, twice) == 0);
	json_decref(j);
	free(once);
	free(twice);
	return 0;
}
