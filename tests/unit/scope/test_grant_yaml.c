/* SPDX-License-Identifier: ISC */
#include "scope/grant_json.h"
#include "scope/grant_yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char full[] =
    "# what the demo may do\n"
    "grants:\n"
    "  - name: demo-read\n"
    "    credential: demo\n"
    "    hosts: [api.demo.test, \"*.demo.test:8443\"]  # within\n"
    "    allow:\n"
    "      - { methods: [GET, HEAD], paths: [\"/v1/**\"] }\n"
    "      - { methods: [POST], paths: [\"/v1/messages\"], query: [page] }\n"
    "      - { methods: [PUT], paths: [/x], query: [] }\n"
    "    limits: { requests: 1000, rate: 50/s, bytes_up: 10MiB,\n"
    "              bytes_down: 1GiB, concurrent: 16 }\n"
    "    ttl: 8h\n"
    "    absolute: true\n"
    "  - name: docs\n"
    "    hosts: [docs.example.com:443]\n"
    "    tunnel: true\n";

static void
whole(void **state)
{
	static const char want[] =
	    "[{\"type\":\"hatcheck-grant\",\"name\":\"demo-read\","
	    "\"credential\":\"demo\",\"hosts\":[\"api.demo.test:443\","
	    "\"*.demo.test:8443\"],\"allow\":[{\"methods\":[\"GET\","
	    "\"HEAD\"],\"paths\":[\"/v1/**\"]},{\"methods\":[\"POST\"],"
	    "\"paths\":[\"/v1/messages\"],\"query\":[\"page\"]},"
	    "{\"methods\":[\"PUT\"],\"paths\":[\"/x\"],\"query\":[]}],"
	    "\"limits\":{\"requests\":1000,\"rate\":50,\"rate_ms\":1000,"
	    "\"bytes_up\":10485760,\"bytes_down\":1073741824,"
	    "\"concurrent\":16},\"ttl\":28800,\"absolute\":true},"
	    "{\"type\":\"hatcheck-grant\",\"name\":\"docs\",\"hosts\":"
	    "[\"docs.example.com:443\"],\"tunnel\":true}]";
	struct grant_set s;
	char why[300];

	(void)state;
	if (grant_set_from_yaml(
		span_str(full), "g.yaml", &s, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	json_t *j = grant_set_to_json(&s);
	char *text = json_dumps(j, JSON_COMPACT);
	assert_string_equal(text, want);
	free(text);
	json_decref(j);
	grant_set_free(&s);
	assert_int_equal(
	    grant_set_from_yaml(span_str("grants: []\n"), "g", &s, NULL, 0), 0);
	assert_int_equal(s.n, 0);
	grant_set_free(&s);
}

#define A "grants:\n  - name: a\n    hosts: [a.test]\n"

static const struct {
	const char *yaml, *why; /* what the sentence begins with */
} bad[] = {
    {"", "g.yaml:1: the file is empty"},
    {"a", "g.yaml:1: not a mapping"},
    {"[]\n", "g.yaml:1: "},
    {"grants:\n", "g.yaml:1: a value is missing"},
    {"grants: {}\n", "g.yaml:1: "},
    {"grants: ~\n", "g.yaml:1: a value is missing"},
    {"{}\n", "g.yaml:1: "},
    {"grants: []\nother: 1\n", "g.yaml:2: unknown key \"other\""},
    {"grants: [a]\n", "g.yaml:1: a grant must be a mapping"},
    {A "    host: b\n", "g.yaml:4: unknown key \"host\""},
    {A "    ca_pem: b\n", "g.yaml:4: unknown key \"ca_pem\""},
    {A "    type: b\n", "g.yaml:4: unknown key \"type\""},
    {A "    name: b\n", "g.yaml:4: key \"name\" is given twice"},
    {A "    \"na\\x6de\": b\n", "g.yaml:4: key \"name\" is given twice"},
    {A "    ttl: 8\n", "g.yaml:4: ttl:"},
    {A "    ttl: [8h]\n", "g.yaml:4: ttl:"},
    {A "    ttl: 0h\n", "g.yaml:4: ttl:"},
    {A "    tunnel: maybe\n", "g.yaml:2: tunnel"},
    {A "    tunnel: \"true\"\n", "g.yaml:2: tunnel"},
    {A "    tunnel: yes\n", "g.yaml:2: tunnel"},
    {A "    limits:\n      requests: 0\n", "g.yaml:5: requests:"},
    {A "    limits:\n      requests: -1\n", "g.yaml:5: requests:"},
    {A "    limits:\n      requests: 10MiB\n", "g.yaml:5: requests:"},
    {A "    limits:\n      rate: 50\n", "g.yaml:5: rate:"},
    {A "    limits:\n      bytes_up: 10 MB\n", "g.yaml:5: bytes_up:"},
    {A "    limits:\n      rate_ms: 1\n", "g.yaml:5: unknown key"},
    {A "    limits: 5\n", "g.yaml:4: limits: not a mapping"},
    {A "    allow:\n      - { methods: [GET], path: [/] }\n",
	"g.yaml:5: unknown key \"path\""},
    {A "    allow:\n      - GET /\n", "g.yaml:5: allow"},
    {A "    allow: { methods: [GET], paths: [/] }\n", "g.yaml:2: allow"},
    {A "    allow:\n      - { methods: [GET], paths: [/../x] }\n",
	"g.yaml:2: path \"/../x\""},
    {A "    upstream: { ca_pem: x }\n", "g.yaml:4: unknown key"},
    {A "    upstream: { ca_file: 5 }\n", "g.yaml:4: ca_file:"},
    {A "    upstream: { ca_file: /no/such/file.pem }\n", "g.yaml:4: ca_file:"},
    {A "    upstream: 5\n", "g.yaml:4: upstream: not a mapping"},
    {A "  - name: a\n    hosts: [b.test]\n", "g.yaml:4: a second grant"},
    {A "  - name: b\n    hosts: [\"*.com\"]\n", "g.yaml:4: host \"*.com\""},
    {A "  - name: 5\n    hosts: [b.test]\n", "g.yaml:4: name"},
    {A "  - name: b\n", "g.yaml:4: hosts"},
    {A "---\ngrants: []\n", "g.yaml:4: a second document"},
    {A "...\n---\ngrants: []\n", "g.yaml:5: a second document"},
    {A "    credential: !!str b\n", "g.yaml:4: anchors and tags"},
    {A "    credential: &x b\n", "g.yaml:4: anchors and tags"},
    {"x: &a [1]\ngrants: *a\n", "g.yaml:1: anchors and tags"},
    {"grants: *a\n", "g.yaml:1: aliases"},
    {A "    <<: {ttl: 8h}\n", "g.yaml:4: unknown key \"<<\""},
    {A "    ? [a]\n    : b\n", "g.yaml:4: a key must be a plain word"},
    {A "    credential: \"a\\0b\"\n", "g.yaml:4: a NUL byte"},
    {A "    credential:\n", "g.yaml:4: a value is missing"},
    {A "    credential: [a\n", "g.yaml:5: "},
    {A "\tx: 1\n", "g.yaml:4: "},
    {"grants: [[[[[[[[[[1]]]]]]]]]]\n", "g.yaml:1: nested too deep"},
    {A "    \"\x1b[31m\": 1\n", "g.yaml:"},
};

static void
refused(void **state)
{
	struct grant_set s;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		char why[300] = "";

		if (grant_set_from_yaml(span_str(bad[i].yaml), "g.yaml", &s,
			why, sizeof(why)) == 0)
			fail_msg("took %s", bad[i].yaml);
		if (strncmp(why, bad[i].why, strlen(bad[i].why)) != 0)
			fail_msg("%s\n%s", bad[i].yaml, why);
		assert_null(strchr(why, '\x1b'));
	}
	assert_int_not_equal(
	    grant_set_from_yaml(
		span_of(A "\0    x: 1\n", sizeof(A) + 9), "g", &s, NULL, 0),
	    0);
	/* UTF-16 would be another text than the one we looked at. */
	assert_int_not_equal(
	    grant_set_from_yaml(span_of("\xff\xfeg\0r\0", 6), "g", &s, NULL, 0),
	    0);
	/* The frame around the bad ones is good. */
	assert_int_equal(grant_set_from_yaml(span_str(A), "g", &s, NULL, 0), 0);
	grant_set_free(&s);
}

/* ca_file is found beside the YAML file. */
static void
ca_file(void **state)
{
	char dir[] = "/tmp/hatcheck-yaml-XXXXXX", path[64], yaml[64];
	struct grant_set s;
	char why[300];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ca.pem", dir);
	snprintf(yaml, sizeof(yaml), "%s/grants.yaml", dir);
	FILE *f = fopen(path, "w");
	fputs(
	    "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n", f);
	fclose(f);
	int r = grant_set_from_yaml(
	    span_str(A "    upstream: { addresses: [127.0.0.1], port: 9443,"
		       " ca_file: ca.pem }\n"),
	    yaml, &s, why, sizeof(why));
	if (r != 0)
		fail_msg("%s", why);
	assert_memory_equal(s.g[0].ca_pem, "-----BEGIN CERT", 15);
	assert_int_equal(s.g[0].upstream_port, 9443);
	grant_set_free(&s);
	unlink(path);
	rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whole),
	    cmocka_unit_test(refused),
	    cmocka_unit_test(ca_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
