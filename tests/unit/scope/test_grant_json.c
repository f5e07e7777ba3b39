/* SPDX-License-Identifier: ISC */
#include "scope/grant_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char full[] =
    "{\"type\":\"hatcheck-grant\",\"name\":\"demo-read\","
    "\"credential\":\"demo\","
    "\"hosts\":[\"api.demo.test:443\",\"*.demo.test:8443\"],"
    "\"allow\":[{\"methods\":[\"GET\",\"HEAD\"],\"paths\":[\"/v1/**\"],"
    "\"query\":[\"page\"]},{\"methods\":[\"POST\"],"
    "\"paths\":[\"/v1/messages\"]}],"
    "\"limits\":{\"requests\":1000,\"rate\":50,\"rate_ms\":1000,"
    "\"bytes_up\":1,\"bytes_down\":2,\"concurrent\":16},\"ttl\":28800,"
    "\"absolute\":true}";

static int
load(const char *text, struct grant *g, char *why, size_t size)
{
	json_t *j = json_strict(span_str(text));
	int r;

	if (j == NULL)
		return ERR_FORMAT;
	r = grant_from_json(j, g, why, size);
	json_decref(j);
	return r;
}

static void
round_trip(void **state)
{
	struct grant g;
	char why[200] = "";

	(void)state;
	if (load(full, &g, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	assert_string_equal(g.hosts[1].pattern, "*.demo.test");
	assert_int_equal(g.hosts[1].port, 8443);
	assert_true(g.rules[0].has_query);
	assert_false(g.rules[1].has_query);
	assert_int_equal(g.limits.rate_ms, 1000);
	json_t *j = grant_to_json(&g);
	char *text = json_dumps(j, JSON_COMPACT);
	assert_string_equal(text, full);
	free(text);
	json_decref(j);
	grant_free(&g);
}

static void
upstream(void **state)
{
	static const char text[] =
	    "{\"type\":\"hatcheck-grant\",\"name\":\"a\",\"hosts\":"
	    "[\"a.test:443\"],\"upstream\":{\"addresses\":[\"127.0.0.1\","
	    "\"::1\"],\"port\":9443,\"ca_pem\":\"-----BEGIN "
	    "CERTIFICATE-----\\n\"}}";
	struct grant g;

	(void)state;
	assert_int_equal(load(text, &g, NULL, 0), 0);
	assert_int_equal(g.n_addresses, 2);
	assert_int_equal(g.upstream_port, 9443);
	json_t *j = grant_to_json(&g);
	char *again = json_dumps(j, JSON_COMPACT);
	assert_string_equal(again, text);
	free(again);
	json_decref(j);
	grant_free(&g);
}

static const char *const bad[] = {
    "",
    "[]",
    "1",
    "null",
    "\"a\"",
    "{}",
    "{\"name\":\"a\"}",
    "{\"hosts\":[\"a.test\"]}",
    "{\"name\":\"a\",\"hosts\":[]}",
    "{\"name\":\"a\",\"hosts\":\"a.test\"}",
    "{\"name\":\"a\",\"hosts\":[1]}",
    "{\"name\":\"a\",\"hosts\":[\"\"]}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"x\":1}",
    "{\"name\":\"a\",\"name\":\"b\",\"hosts\":[\"a.test\"]}",
    "{\"name\":\"a\",\"n\\u0061me\":\"b\",\"hosts\":[\"a.test\"]}",
    "{\"name\":\"a\\u0000b\",\"hosts\":[\"a.test\"]}",
    "{\"name\":\"A\",\"hosts\":[\"a.test\"]}",
    "{\"name\":\"\",\"hosts\":[\"a.test\"]}",
    "{\"name\":\"-a\",\"hosts\":[\"a.test\"]}",
    "{\"name\":\"a/b\",\"hosts\":[\"a.test\"]}",
    "{\"name\":1,\"hosts\":[\"a.test\"]}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"]} x",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"]}{}",
    "{\"type\":\"other\",\"name\":\"a\",\"hosts\":[\"a.test\"]}",
    "{\"type\":1,\"name\":\"a\",\"hosts\":[\"a.test\"]}",
    "{\"name\":\"a\",\"credential\":\"\",\"hosts\":[\"a.test\"]}",
    "{\"name\":\"a\",\"credential\":\"B\",\"hosts\":[\"a.test\"]}",
    "{\"name\":\"a\",\"credential\":null,\"hosts\":[\"a.test\"]}",
    "{\"name\":\"a\",\"hosts\":[\"*.com\"]}",
    "{\"name\":\"a\",\"hosts\":[\"a.test:0\"]}",
    "{\"name\":\"a\",\"hosts\":[\"a.test:\"]}",
    "{\"name\":\"a\",\"hosts\":[\"hatcheck.internal\"]}",
    "{\"name\":\"a\",\"hosts\":[\"HATCHECK.internal.:80\"]}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"ttl\":-1}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"ttl\":1.0}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"ttl\":\"1\"}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"ttl\":99999999999}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"ttl\":99999999999999999999}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"tunnel\":1}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"tunnel\":true,"
    "\"credential\":\"c\"}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"tunnel\":true,"
    "\"allow\":[{\"methods\":[\"GET\"],\"paths\":[\"/\"]}]}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"tunnel\":true,"
    "\"absolute\":true}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"limits\":{\"rate\":5}}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"limits\":{\"x\":5}}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"limits\":[]}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"limits\":{\"requests\":0}}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"allow\":{}}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"allow\":[{}]}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"allow\":[1]}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"allow\":"
    "[{\"methods\":[\"get\"],\"paths\":[\"/\"]}]}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"allow\":"
    "[{\"methods\":[\"TRACE\"],\"paths\":[\"/\"]}]}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"allow\":"
    "[{\"methods\":[\"GET\"],\"paths\":[\"v1\"]}]}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"allow\":"
    "[{\"methods\":[\"GET\"],\"paths\":[]}]}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"allow\":"
    "[{\"methods\":[\"GET\"],\"paths\":[\"/\"],\"query\":[\"a&b\"]}]}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"allow\":"
    "[{\"methods\":[\"GET\"],\"paths\":[\"/\"],\"query\":null}]}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"upstream\":{\"port\":1}}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"upstream\":"
    "{\"addresses\":[\"127.1\"]}}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"upstream\":"
    "{\"addresses\":[\"0::1\"]}}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"upstream\":"
    "{\"addresses\":[\"a.test\"]}}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"upstream\":"
    "{\"addresses\":[\"127.0.0.1\"],\"port\":65536}}",
    "{\"name\":\"a\",\"hosts\":[\"*.a.test\"],\"upstream\":"
    "{\"addresses\":[\"127.0.0.1\"]}}",
    "{\"name\":\"a\",\"hosts\":[\"a.test\"],\"upstream\":"
    "{\"ca_pem\":\"x\"}}",
};

static void
refused(void **state)
{
	struct grant g;
	char why[200];

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		why[0] = '\0';
		if (load(bad[i], &g, why, sizeof(why)) == 0)
			fail_msg("took %s", bad[i]);
	}
	/* Foreign text in the sentence is escaped. */
	assert_int_equal(load("{\"name\":\"a\\u001b[31m\",\"hosts\":"
			      "[\"a.test\"]}",
			     &g, why, sizeof(why)),
	    ERR_FORMAT);
	assert_null(strchr(why, '\x1b'));
	assert_non_null(strstr(why, "\\x1b"));
}

static void
sets(void **state)
{
	static const char two[] = "[{\"name\":\"a\",\"hosts\":[\"a.test\"]},"
				  "{\"name\":\"b\",\"hosts\":[\"a.test\"]}]";
	static const char same[] = "[{\"name\":\"a\",\"hosts\":[\"a.test\"]},"
				   "{\"name\":\"a\",\"hosts\":[\"b.test\"]}]";
	struct grant_set s = {0};
	json_t *j = json_strict(span_str(two));

	(void)state;
	assert_int_equal(grant_set_from_json(j, &s, NULL, 0), 0);
	assert_int_equal(s.n, 2);
	json_t *again = grant_set_to_json(&s);
	assert_int_equal(json_array_size(again), 2);
	json_decref(again);
	grant_set_free(&s);
	json_decref(j);
	j = json_strict(span_str(same));
	assert_int_equal(grant_set_from_json(j, &s, NULL, 0), ERR_FORMAT);
	json_decref(j);
	j = json_strict(span_str("{}"));
	assert_int_equal(grant_set_from_json(j, &s, NULL, 0), ERR_FORMAT);
	json_decref(j);
	j = json_strict(span_str("[]"));
	assert_int_equal(grant_set_from_json(j, &s, NULL, 0), 0);
	assert_int_equal(s.n, 0);
	grant_set_free(&s);
	json_decref(j);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_trip),
	    cmocka_unit_test(upstream),
	    cmocka_unit_test(refused),
	    cmocka_unit_test(sets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
