/* SPDX-License-Identifier: ISC */
#include "scope/decide.h"
#include "scope/grant_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static const char grants[] =
    "[{\"name\":\"read\",\"credential\":\"demo\",\"hosts\":"
    "[\"api.demo.test\"],\"allow\":[{\"methods\":[\"GET\",\"HEAD\"],"
    "\"paths\":[\"/v1/**\"]},{\"methods\":[\"POST\"],\"paths\":"
    "[\"/v1/messages\"],\"query\":[\"page\"]}]},"
    "{\"name\":\"more\",\"credential\":\"demo\",\"hosts\":"
    "[\"api.demo.test\",\"*.demo.test:8443\"],\"allow\":"
    "[{\"methods\":[\"*\"],\"paths\":[\"/v1/x\",\"/v2\"]}]},"
    "{\"name\":\"two\",\"credential\":\"second\",\"hosts\":"
    "[\"api.demo.test\"],\"allow\":[{\"methods\":[\"GET\"],\"paths\":"
    "[\"/v1/both\",\"/only2\"]}]},"
    "{\"name\":\"plain\",\"hosts\":[\"plain.test\"],\"allow\":"
    "[{\"methods\":[\"GET\"],\"paths\":[\"/**\"]}]},"
    "{\"name\":\"nothing\",\"credential\":\"demo\",\"hosts\":"
    "[\"empty.test\"]},"
    "{\"name\":\"docs\",\"hosts\":[\"docs.test\",\"plain.test\"],"
    "\"tunnel\":true},"
    "{\"name\":\"hole\",\"hosts\":[\"api.demo.test:8000\"],"
    "\"tunnel\":true}]";

static const struct {
	const char *host;
	uint16_t port;
	const char *method, *target, *grant, *credential;
	enum reason reason;
	const char *by;
	size_t rule;
} rows[] = {
    {"api.demo.test", 443, "GET", "/v1/a", NULL, NULL, REASON_NONE, "read", 0},
    {"api.demo.test", 443, "GET", "/v1", NULL, NULL, REASON_NONE, "read", 0},
    {"api.demo.test", 443, "GET", "/v1/a?x=1", NULL, NULL, REASON_NONE, "read",
	0},
    {"api.demo.test", 443, "POST", "/v1/messages?page=1", NULL, NULL,
	REASON_NONE, "read", 1},
    {"api.demo.test", 443, "POST", "/v1/messages?other=1", NULL, NULL,
	REASON_NO_GRANT_METHOD, "read", 0},
    {"api.demo.test", 443, "DELETE", "/v1/a", NULL, NULL,
	REASON_NO_GRANT_METHOD, "read", 0},
    {"api.demo.test", 443, "GET", "/v3", NULL, NULL, REASON_NO_GRANT_PATH,
	"read", 0},
    {"api.demo.test", 443, "get", "/v1/a", NULL, NULL, REASON_NO_GRANT_METHOD,
	"read", 0},
    {"api.demo.test", 8443, "GET", "/v2", NULL, NULL, REASON_NONE, "more", 0},
    {"a.demo.test", 8443, "DELETE", "/v2", NULL, NULL, REASON_NONE, "more", 0},
    {"b.a.demo.test", 8443, "GET", "/v2", NULL, NULL, REASON_NO_GRANT_HOST,
	NULL, 0},
    {"a.demo.test", 443, "GET", "/v2", NULL, NULL, REASON_NO_GRANT_HOST, NULL,
	0},
    {"demo.test", 443, "GET", "/v2", NULL, NULL, REASON_NO_GRANT_HOST, NULL, 0},
    /* two grants, one credential: the first */
    {"api.demo.test", 443, "GET", "/v1/x", NULL, NULL, REASON_NONE, "read", 0},
    {"api.demo.test", 443, "DELETE", "/v1/x", NULL, NULL, REASON_NONE, "more",
	0},
    /* two credentials: only the placeholder decides */
    {"api.demo.test", 443, "GET", "/v1/both", NULL, NULL, REASON_AMBIGUOUS,
	"read", 0},
    {"api.demo.test", 443, "GET", "/v1/both", NULL, "second", REASON_NONE,
	"two", 0},
    {"api.demo.test", 443, "GET", "/v1/both", NULL, "demo", REASON_NONE, "read",
	0},
    {"api.demo.test", 443, "GET", "/v1/both", "two", NULL, REASON_NONE, "two",
	0},
    {"api.demo.test", 443, "GET", "/only2", NULL, NULL, REASON_NONE, "two", 0},
    {"api.demo.test", 443, "GET", "/only2", NULL, "demo", REASON_NO_GRANT_PATH,
	"read", 0},
    /* a placeholder never goes where no credential is */
    {"plain.test", 443, "GET", "/", NULL, NULL, REASON_NONE, "plain", 0},
    {"plain.test", 443, "GET", "/", NULL, "demo", REASON_NO_GRANT_HOST, NULL,
	0},
    /* base URL: only the grant of that name */
    {"api.demo.test", 443, "GET", "/v1/a", "more", NULL, REASON_NO_GRANT_PATH,
	"more", 0},
    {"api.demo.test", 443, "GET", "/v1/a", "gone", NULL, REASON_NO_GRANT_HOST,
	NULL, 0},
    /* an empty allowlist denies all */
    {"empty.test", 443, "GET", "/", NULL, NULL, REASON_NO_GRANT_PATH, "nothing",
	0},
    /* a request is never read on a tunnelled host */
    {"docs.test", 443, "GET", "/", NULL, NULL, REASON_NO_GRANT_HOST, NULL, 0},
    /* what cannot be read in one way */
    {"api.demo.test", 443, "GET", "/v1/../a", NULL, NULL, REASON_BAD_PATH, NULL,
	0},
    {"api.demo.test", 443, "GET", "/v1/%2e%2e/a", NULL, NULL, REASON_BAD_PATH,
	NULL, 0},
    {"api.demo.test", 443, "GET", "*", NULL, NULL, REASON_BAD_PATH, NULL, 0},
    /* what hides a slash is for a rule that allows every path */
    {"plain.test", 443, "GET", "/@acme%2fkit?a=%2f", NULL, NULL, REASON_NONE,
	"plain", 0},
    {"plain.test", 443, "GET", "/v1%2Fa/", NULL, NULL, REASON_NONE, "plain", 0},
    {"plain.test", 443, "PUT", "/@acme%2fkit", NULL, NULL,
	REASON_NO_GRANT_METHOD, "plain", 0},
    {"api.demo.test", 443, "GET", "/v1/a%2fb", NULL, NULL, REASON_HIDDEN_SLASH,
	"read", 0},
    {"api.demo.test", 443, "GET", "/v1%2fa", NULL, NULL, REASON_HIDDEN_SLASH,
	"read", 0},
    {"plain.test", 443, "GET", "/a%2f..%2fb", NULL, NULL, REASON_BAD_PATH, NULL,
	0},
    {"api.demo.test", 443, "", "/v1/a", NULL, NULL, REASON_BAD_REQUEST, NULL,
	0},
    {"api.demo.test", 443, "GE T", "/v1/a", NULL, NULL, REASON_BAD_REQUEST,
	NULL, 0},
    {"api.demo.test", 443, "TRACE", "/v1/x", NULL, NULL, REASON_UNSUPPORTED,
	NULL, 0},
    {"api.demo.test", 443, "Trace", "/v1/x", NULL, NULL, REASON_UNSUPPORTED,
	NULL, 0},
    {"api.demo.test", 443, "connect", "/v1/x", NULL, NULL, REASON_UNSUPPORTED,
	NULL, 0},
};

static struct grant_set set;

static int
setup(void **state)
{
	char why[200] = "";
	json_t *j = json_strict(span_str(grants));

	(void)state;
	int r = grant_set_from_json(j, &set, why, sizeof(why));
	json_decref(j);
	if (r != 0)
		fprintf(stderr, "%s\n", why);
	return r;
}

static int
teardown(void **state)
{
	(void)state;
	grant_set_free(&set);
	return 0;
}

static void
requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct decide_request r = {.host = rows[i].host,
		    .port = rows[i].port,
		    .method = span_str(rows[i].method),
		    .target = span_str(rows[i].target),
		    .grant = rows[i].grant,
		    .credential = rows[i].credential};
		struct decide_result out;

		decide(&set, &r, &out);
		if (out.reason != rows[i].reason)
			fail_msg(
			    "row %zu: %s", i, reason_row(out.reason)->word);
		if (rows[i].by == NULL)
			assert_null(out.grant);
		else
			assert_string_equal(out.grant->name, rows[i].by);
		if (out.reason == REASON_NONE)
			assert_int_equal(out.rule, rows[i].rule);
	}
}

static void
connects(void **state)
{
	(void)state;
	assert_int_equal(
	    decide_connect(&set, "api.demo.test", 443), DECIDE_INTERCEPT);
	assert_int_equal(
	    decide_connect(&set, "x.demo.test", 8443), DECIDE_INTERCEPT);
	assert_int_equal(decide_connect(&set, "docs.test", 443), DECIDE_TUNNEL);
	assert_int_equal(decide_connect(&set, "docs.test", 444), DECIDE_REFUSE);
	assert_int_equal(
	    decide_connect(&set, "other.test", 443), DECIDE_REFUSE);
	/* Read and tunnelled: read. */
	assert_int_equal(
	    decide_connect(&set, "plain.test", 443), DECIDE_INTERCEPT);
	/* A host with a credential is no tunnel, on whatever port. */
	assert_int_equal(
	    decide_connect(&set, "api.demo.test", 8000), DECIDE_REFUSE);
}

static void
tunnels(void **state)
{
	struct decide_request r = {
	    .host = "docs.test", .port = 443, .tunnel = true};
	struct decide_result out;

	(void)state;
	decide(&set, &r, &out);
	assert_int_equal(out.reason, REASON_NONE);
	assert_string_equal(out.grant->name, "docs");
	r.credential = "demo";
	decide(&set, &r, &out);
	assert_int_equal(out.reason, REASON_NO_GRANT_HOST);
	r = (struct decide_request){
	    .host = "api.demo.test", .port = 8000, .tunnel = true};
	decide(&set, &r, &out);
	assert_int_equal(out.reason, REASON_NO_GRANT_HOST);
	r.host = "plain.test"; /* read there, so not tunnelled */
	r.port = 443;
	decide(&set, &r, &out);
	assert_int_equal(out.reason, REASON_NO_GRANT_HOST);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests),
	    cmocka_unit_test(connects),
	    cmocka_unit_test(tunnels),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
