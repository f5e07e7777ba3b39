/* SPDX-License-Identifier: ISC */
#include "keys/json.h"
#include "scope/metadata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char full[] =
    "{\"name\":\"github-work\",\"kind\":\"bearer\",\"version\":3,"
    "\"created\":1790000000,\"rotated\":1790000001,"
    "\"note\":\"work acc\xc3\xb6unt\",\"bindings\":["
    "{\"hosts\":[\"api.github.com\"],\"slot\":{\"type\":\"bearer\"}},"
    "{\"hosts\":[\"github.com\",\"*.demo.test:8443\"],"
    "\"slot\":{\"type\":\"basic\",\"user\":\"x-access-token\"}},"
    "{\"hosts\":[\"h.test\"],\"slot\":{\"type\":\"header\","
    "\"name\":\"x-api-key\",\"prefix\":\"\"}},"
    "{\"hosts\":[\"q.test\"],\"slot\":{\"type\":\"query\","
    "\"name\":\"key\"}}],"
    "\"placeholder\":{\"prefix\":\"ghp_\",\"length\":40,"
    "\"alphabet\":\"base62\"},\"env\":[\"GITHUB_TOKEN\",\"GH_TOKEN\"],"
    "\"preset\":\"github\",\"unscrubbable\":false}";

static void
round_trip(void **state)
{
	struct metadata m;
	char why[200] = "";

	(void)state;
	if (metadata_parse(span_str(full), &m, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	assert_int_equal(m.version, 3);
	assert_int_equal(m.n_bindings, 4);
	assert_string_equal(m.bindings[1].slot.user, "x-access-token");
	json_t *j = metadata_to_json(&m);
	char *text = json_dumps(j, JSON_COMPACT);
	assert_string_equal(text, full);
	free(text);
	json_decref(j);

	assert_int_equal(
	    metadata_slot_for(&m, "api.github.com", 443)->type, SLOT_BEARER);
	assert_int_equal(
	    metadata_slot_for(&m, "a.demo.test", 8443)->type, SLOT_BASIC);
	assert_null(metadata_slot_for(&m, "a.demo.test", 443));
	assert_null(metadata_slot_for(&m, "b.a.demo.test", 8443));
	assert_null(metadata_slot_for(&m, "api.github.com", 80));
	assert_null(metadata_slot_for(&m, "evil.test", 443));
	assert_true(metadata_covers(&m, "*.demo.test", 8443));
	assert_true(metadata_covers(&m, "x.demo.test", 8443));
	assert_false(metadata_covers(&m, "*.x.demo.test", 8443));
	assert_false(metadata_covers(&m, "*.github.com", 443));
	metadata_free(&m);
}

static void
defaults(void **state)
{
	struct metadata m;

	(void)state;
	assert_int_equal(
	    metadata_parse(span_str("{\"name\":\"a\",\"kind\":\"bearer\","
				    "\"bindings\":[{\"hosts\":[\"a.test\"]}]}"),
		&m, NULL, 0),
	    0);
	assert_string_equal(m.placeholder.prefix, "hck_");
	assert_int_equal(m.placeholder.length, 40);
	assert_int_equal(m.bindings[0].slot.type, SLOT_DEFAULT);
	assert_int_equal(m.version, 0);
	json_t *j = metadata_to_json(&m);
	assert_null(json_object_get(j, "version"));
	json_decref(j);
	metadata_free(&m);
}

#define BIND(slot)                                                 \
	"{\"name\":\"a\",\"kind\":\"b\",\"bindings\":[{\"hosts\":" \
	"[\"a.test\"],\"slot\":" slot "}]}"
#define WITH(more) "{\"name\":\"a\",\"kind\":\"b\"," more "}"

static const char *const bad[] = {
    "",
    "[]",
    "{}",
    "{\"name\":\"a\"}",
    "{\"kind\":\"b\"}",
    WITH("\"x\":1"),
    WITH("\"name\":\"c\""),
    WITH("\"note\":1"),
    WITH("\"note\":\"a\\u0000\""),
    WITH("\"note\":\"a\\n\""),
    WITH("\"note\":\"\\u009b\""),
    WITH("\"version\":-1"),
    WITH("\"version\":4294967296"),
    WITH("\"version\":\"1\""),
    WITH("\"created\":1.5"),
    WITH("\"unscrubbable\":0"),
    WITH("\"bindings\":{}"),
    WITH("\"bindings\":[1]"),
    WITH("\"bindings\":[{}]"),
    WITH("\"bindings\":[{\"hosts\":[]}]"),
    WITH("\"bindings\":[{\"hosts\":[\"*.com\"]}]"),
    WITH("\"bindings\":[{\"hosts\":[\"hatcheck.internal\"]}]"),
    WITH("\"bindings\":[{\"hosts\":[\"a.test\"],\"x\":1}]"),
    WITH("\"env\":[\"lower\"]"),
    WITH("\"env\":[\"A=B\"]"),
    WITH("\"env\":[\"1A\"]"),
    WITH("\"env\":\"A\""),
    WITH("\"preset\":\"A b\""),
    WITH("\"value\":\"secret\""),
    WITH("\"placeholder\":[]"),
    WITH("\"placeholder\":{\"length\":23}"),
    WITH("\"placeholder\":{\"length\":257}"),
    WITH("\"placeholder\":{\"prefix\":\"a b\"}"),
    WITH("\"placeholder\":{\"prefix\":\"aaaaaaaaaaaaaaaaaaaaaaaaaa\"}"),
    WITH("\"placeholder\":{\"alphabet\":\"base32\"}"),
    WITH("\"placeholder\":{\"alphabet\":1}"),
    BIND("1"),
    BIND("{}"),
    BIND("{\"type\":\"default\"}"),
    BIND("{\"type\":\"cookie\"}"),
    BIND("{\"type\":\"bearer\",\"name\":\"x\"}"),
    BIND("{\"type\":\"header\"}"),
    BIND("{\"type\":\"header\",\"name\":\"X-Api-Key\"}"),
    BIND("{\"type\":\"header\",\"name\":\"x key\"}"),
    BIND("{\"type\":\"header\",\"name\":\"host\"}"),
    BIND("{\"type\":\"header\",\"name\":\"content-length\"}"),
    BIND("{\"type\":\"header\",\"name\":\"transfer-encoding\"}"),
    BIND("{\"type\":\"header\",\"name\":\"x\",\"prefix\":\"a\\r\\nb\"}"),
    BIND("{\"type\":\"header\",\"name\":\"x\",\"user\":\"u\"}"),
    BIND("{\"type\":\"basic\",\"user\":\"a:b\"}"),
    BIND("{\"type\":\"query\",\"name\":\"a&b\"}"),
    BIND("{\"type\":\"query\",\"name\":\"\"}"),
    BIND("{\"type\":\"query\",\"name\":\"a%26\"}"),
};

static void
refused(void **state)
{
	struct metadata m;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		char why[200] = "";

		if (metadata_parse(span_str(bad[i]), &m, why, sizeof(why)) == 0)
			fail_msg("took %s", bad[i]);
		assert_true(why[0] != '\0');
	}
	/* The frame around them is good. */
	assert_int_equal(
	    metadata_parse(span_str(WITH("\"note\":\"\"")), &m, NULL, 0), 0);
	metadata_free(&m);
	assert_int_equal(
	    metadata_parse(span_str(BIND("{\"type\":\"basic\",\"user\":\"\"}")),
		&m, NULL, 0),
	    0);
	metadata_free(&m);
}

static void
rebind(void **state)
{
	struct metadata m;
	json_t *good = json_strict(span_str("[{\"hosts\":[\"b.test\"]}]"));
	json_t *odd = json_strict(span_str("[{\"hosts\":[\"*.test\"]}]"));

	(void)state;
	assert_int_equal(metadata_parse(span_str(full), &m, NULL, 0), 0);
	assert_int_equal(
	    metadata_bindings_from_json(odd, &m, NULL, 0), ERR_FORMAT);
	assert_int_equal(m.n_bindings, 4);
	assert_int_equal(
	    metadata_bindings_from_json(NULL, &m, NULL, 0), ERR_FORMAT);
	assert_int_equal(metadata_bindings_from_json(good, &m, NULL, 0), 0);
	assert_int_equal(m.n_bindings, 1);
	assert_null(metadata_slot_for(&m, "api.github.com", 443));
	json_decref(good);
	json_decref(odd);
	metadata_free(&m);
}

static void
placeholders(void **state)
{
	static const struct placeholder_shape shapes[] = {
	    {"ghp_", 40, PLACEHOLDER_BASE62},
	    {"", 24, PLACEHOLDER_HEX},
	    {"sk-ant-api03-", 108, PLACEHOLDER_BASE64URL},
	    {"x", 256, PLACEHOLDER_BASE62},
	};
	uint8_t random[512];
	char out[PLACEHOLDER_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(random); i++)
		random[i] = (uint8_t)(i * 37 + 11);
	for (size_t i = 0; i < COUNT(shapes); i++) {
		const struct placeholder_shape *s = &shapes[i];

		assert_int_equal(
		    placeholder_make(s, span_of(random, sizeof(random)), out),
		    0);
		assert_int_equal(strlen(out), s->length);
		assert_memory_equal(out, s->prefix, strlen(s->prefix));
		assert_true(placeholder_looks_like(s, span_str(out)));
		out[s->length - 1] = '.';
		assert_false(placeholder_looks_like(s, span_str(out)));
		assert_false(
		    placeholder_looks_like(s, span_of(out, s->length - 1)));
		assert_int_equal(
		    placeholder_make(s, span_of(random, s->length), out),
		    ERR_TRUNCATED);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_trip),
	    cmocka_unit_test(defaults),
	    cmocka_unit_test(refused),
	    cmocka_unit_test(rebind),
	    cmocka_unit_test(placeholders),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
