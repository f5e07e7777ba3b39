/* SPDX-License-Identifier: ISC */
/* What a guest asks for a child: what is made is within its parent, and
 * reads back the same. */
#include "scope/grant_json.h"
#include "scope/narrow.h"
#include "scope/path_within.h"
#include "scope/subset.h"
#include "tests/fuzz/fuzz.h"

static const char parent[] =
    "[{\"name\":\"demo-read\",\"credential\":\"demo\","
    "\"hosts\":[\"api.demo.test\",\"*.demo.test\"],"
    "\"allow\":[{\"methods\":[\"GET\",\"POST\"],\"paths\":[\"/v1/**\"],"
    "\"query\":[\"page\"]},{\"methods\":[\"*\"],\"paths\":[\"/v2/a*\"]}]},"
    "{\"name\":\"any\",\"hosts\":[\"api.demo.test\"],"
    "\"allow\":[{\"methods\":[\"*\"],\"paths\":[\"/**\"]}]},"
    "{\"name\":\"tun\",\"hosts\":[\"t.test\"],\"tunnel\":true}]";

static struct grant_set outer;

static bool
within(const struct grant *g)
{
	for (size_t i = 0; i < outer.n; i++) {
		uint64_t left = PATH_WORK_MAX;
		if (subset_grant(g, &outer.g[i], &left, NULL, 0) == 0)
			return true;
	}
	return false;
}

static void
check(const struct grant_set *s)
{
	json_t *once = grant_set_to_json(s), *twice;
	struct grant_set again;
	char why[256];

	for (size_t i = 0; i < s->n; i++)
		MUST(within(&s->g[i]));
	MUST(once != NULL && narrow_read(once, &again, why, sizeof(why)) == 0);
	twice = grant_set_to_json(&again);
	MUST(json_equal(once, twice));
	grant_set_free(&again);
	json_decref(once);
	json_decref(twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct narrow_levels v = {.n = 1, .level = {&outer}};
	json_t *j = json_strict(span_of(data, size));
	struct grant_set s;
	char why[256];
	uint64_t ttl;

	if (outer.n == 0) {
		json_t *o = json_strict(span_str(parent));
		MUST(grant_set_from_json(o, &outer, why, sizeof(why)) == 0);
		json_decref(o);
	}
	if (j != NULL && narrow(j, &v, &s, &ttl, why, sizeof(why)) == 0) {
		check(&s);
		grant_set_free(&s);
	}
	json_decref(j);
	return 0;
}
