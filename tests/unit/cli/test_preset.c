/* SPDX-License-Identifier: ISC */
/* What for: every preset loads and is narrow; broken ones are refused. Run
 * from the root of the tree. */
#include "cli/preset.h"

#include "scope/decide.h"
#include "scope/grant_json.h"
#include "scope/metadata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct cli cli;

static int
setup(void **state)
{
	(void)state;
	/* From here the presets are at ../../../presets. */
	if (getcwd(cli.bindir, sizeof(cli.bindir) - 32) == NULL)
		return -1;
	strcat(cli.bindir, "/tests/unit/cli");
	return 0;
}

static json_t *
load(const char *name)
{
	struct cli_error e = {0};
	json_t *p = NULL;

	if (preset_load(&cli, name, &p, &e) != 0)
		fail_msg("%s: %s", name, e.why);
	return p;
}

/* The grants of one scope, or of all. */
static void
grants_of(const json_t *p, const char *scope, struct grant_set *out)
{
	json_t *all = json_array();
	const json_t *s;
	char why[256] = "";
	size_t i;

	json_array_foreach(json_object_get(p, "scopes"), i, s)
	{
		if (strcmp(cli_string(s, "name"), scope) == 0)
			json_array_extend(all, json_object_get(s, "grants"));
	}
	assert_true(json_array_size(all) > 0);
	assert_int_equal(grant_set_from_json(all, out, why, sizeof(why)), 0);
	json_decref(all);
}

static void
test_all_load(void **state)
{
	struct cli_error e = {0};
	json_t *names = NULL;
	const json_t *name;
	size_t i;

	(void)state;
	assert_int_equal(preset_names(&cli, &names, &e), 0);
	assert_true(json_array_size(names) >= 9);
	json_array_foreach(names, i, name)
	{
		json_t *p = load(json_string_value(name));
		const json_t *scopes = json_object_get(p, "scopes"), *s;
		size_t k, defaults = 0;
		assert_string_equal(
		    cli_string(p, "preset"), json_string_value(name));
		json_array_foreach(scopes, k, s) defaults +=
		    json_is_true(json_object_get(s, "default"));
		assert_true(defaults >= 1);
		json_decref(p);
	}
	json_decref(names);
}

/* What each default scope must let through, and must not. */
static const struct row {
	const char *preset, *scope, *method, *host, *target;
	bool allowed;
} rows[] = {
    {"anthropic", "inference", "POST", "api.anthropic.com", "/v1/messages", 1},
    {"anthropic", "inference", "GET", "api.anthropic.com", "/v1/models", 1},
    {"anthropic", "inference", "POST", "api.anthropic.com", "/v1/files", 0},
    {"anthropic", "inference", "GET", "api.anthropic.com",
	"/v1/organizations/api_keys", 0},
    {"anthropic", "inference", "POST", "console.anthropic.com", "/v1/messages",
	0},
    {"openai", "inference", "POST", "api.openai.com", "/v1/responses", 1},
    {"openai", "inference", "POST", "api.openai.com", "/v1/files", 0},
    {"openai", "inference", "POST", "api.openai.com", "/v1/uploads", 0},
    {"openai", "inference", "DELETE", "api.openai.com", "/v1/models/x", 0},
    {"github", "read", "GET", "api.github.com", "/repos/a/b/issues?state=open",
	1},
    {"github", "read", "GET", "api.github.com", "/repos/a/b", 1},
    {"github", "read", "POST", "api.github.com", "/repos/a/b/issues", 0},
    {"github", "read", "GET", "api.github.com", "/repos/a/b/actions/secrets",
	0},
    {"github", "read", "GET", "github.com",
	"/a/b.git/info/refs?service=git-upload-pack", 1},
    {"github", "read", "POST", "github.com", "/a/b.git/git-upload-pack", 1},
    {"github", "read", "POST", "github.com", "/a/b.git/git-receive-pack", 0},
    {"github", "write", "POST", "github.com", "/a/b.git/git-receive-pack", 1},
    {"github", "write", "POST", "api.github.com", "/repos/a/b/pulls", 1},
    {"github", "write", "PUT", "api.github.com", "/repos/a/b/pulls/1/merge", 0},
    {"github", "write", "DELETE", "api.github.com", "/repos/a/b", 0},
    {"github", "write", "POST", "api.github.com", "/repos/a/b/hooks", 0},
    {"npm", "read", "GET", "registry.npmjs.org", "/left-pad", 1},
    {"npm", "read", "GET", "registry.npmjs.org",
	"/left-pad/-/left-pad-1.3.0.tgz", 1},
    {"npm", "read", "PUT", "registry.npmjs.org", "/left-pad", 0},
    {"npm", "read", "GET", "registry.npmjs.org", "/@acme%2fkit", 0},
    {"npm", "read-scoped", "GET", "registry.npmjs.org", "/@acme%2fkit", 1},
    {"npm", "read-scoped", "PUT", "registry.npmjs.org", "/@acme%2fkit", 0},
    {"npm", "read", "POST", "registry.npmjs.org", "/-/npm/v1/tokens", 0},
    {"pypi", "read", "GET", "pypi.org", "/simple/requests/", 1},
    {"pypi", "read", "POST", "upload.pypi.org", "/legacy/", 0},
    {"pypi", "upload", "POST", "upload.pypi.org", "/legacy/", 1},
    {"dockerhub", "pull", "GET", "auth.docker.io",
	"/token?service=registry.docker.io&scope=repository:a/b:pull", 1},
    {"dockerhub", "pull", "POST", "auth.docker.io", "/token", 0},
    {"huggingface", "read", "GET", "huggingface.co",
	"/a/b/resolve/main/config.json", 1},
    {"huggingface", "read", "POST", "huggingface.co", "/api/repos/create", 0},
    {"slack", "read", "POST", "slack.com", "/api/conversations.list", 1},
    {"slack", "read", "POST", "slack.com", "/api/chat.postMessage", 0},
    {"slack", "post", "POST", "slack.com", "/api/chat.postMessage", 1},
    {"slack", "post", "POST", "slack.com", "/api/files.upload", 0},
    {"stripe", "read", "GET", "api.stripe.com", "/v1/charges/ch_1", 1},
    {"stripe", "read", "POST", "api.stripe.com", "/v1/charges", 0},
    {"stripe", "read", "GET", "api.stripe.com", "/v1/webhook_endpoints", 0},
};

static void
test_scopes_are_narrow(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *p = load(rows[i].preset);
		struct grant_set set = {0};
		struct decide_result got;
		struct decide_request r = {.host = rows[i].host,
		    .port = 443,
		    .method = span_str(rows[i].method),
		    .target = span_str(rows[i].target)};
		grants_of(p, rows[i].scope, &set);
		decide(&set, &r, &got);
		if ((got.reason == REASON_NONE) != rows[i].allowed)
			fail_msg("row %zu: %s %s %s", i, rows[i].method,
			    rows[i].host, rows[i].target);
		grant_set_free(&set);
		json_decref(p);
	}
}

/* A grant gets the credential only where all its hosts are bound. */
static void
test_credential_only_where_bound(void **state)
{
	struct grant_set set = {0};
	json_t *p = load("pypi");

	(void)state;
	grants_of(p, "read", &set);
	for (size_t i = 0; i < set.n; i++)
		assert_string_equal(set.g[i].credential, "");
	grant_set_free(&set);
	grants_of(p, "upload", &set);
	assert_string_equal(set.g[0].credential, "pypi");
	grant_set_free(&set);
	json_decref(p);
}

#define HEAD                                                              \
	"preset: x\ntitle: X\ncredential:\n  kind: bearer\n  bindings:\n" \
	"    - { hosts: [api.x.test], slot: { type: bearer } }\n"         \
	"test: { method: GET, path: / }\n"
#define SCOPE                                                     \
	"scopes:\n  - name: a\n    title: A\n    default: true\n" \
	"    grants:\n"
#define GRANT                                            \
	"      - name: g\n        hosts: [api.x.test]\n" \
	"        allow: [ { methods: [GET], paths: [/v1/*] } ]\n"

static void
test_broken_ones(void **state)
{
	static const struct {
		const char *text, *why;
	} broken[] = {
	    {"", "no YAML"},
	    {"just: [a", "x.yaml:"},
	    {HEAD, "scopes"},
	    {HEAD "scopes: []\n", "scopes"},
	    {HEAD "surprise: 1\n" SCOPE GRANT, "surprise"},
	    {HEAD "title: Y\n" SCOPE GRANT, "twice"},
	    {HEAD SCOPE GRANT "        surprise: 1\n", "surprise"},
	    {HEAD SCOPE "      - name: g\n        hosts: [api.x.test, o.test]\n"
			"        allow: [ { methods: [GET], paths: [/] } ]\n",
		"mixes"},
	    {HEAD SCOPE "      - name: g\n        credential: other\n"
			"        hosts: [api.x.test]\n"
			"        allow: [ { methods: [GET], paths: [/] } ]\n",
		"names a credential"},
	    {HEAD SCOPE GRANT "---\nsecond: document\n", "second document"},
	    {HEAD SCOPE "      - &a [*a]\n", "x.yaml"},
	};
	struct cli_error e = {0};
	json_t *p = NULL;

	(void)state;
	assert_int_equal(
	    preset_parse(span_str(HEAD SCOPE GRANT), "x.yaml", &p, &e), 0);
	json_decref(p);
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		if (preset_parse(span_str(broken[i].text), "x.yaml", &p, &e) ==
		    0)
			fail_msg("row %zu was accepted", i);
		if (strstr(e.why, broken[i].why) == NULL)
			fail_msg("row %zu: %s", i, e.why);
	}
	assert_int_not_equal(
	    preset_parse(span_of(HEAD "\0" SCOPE GRANT,
			     sizeof(HEAD "\0" SCOPE GRANT) - 1),
		"x.yaml", &p, &e),
	    0);
}

static void
test_names_stay_inside(void **state)
{
	static const char *const names[] = {"", "../presets/github",
	    "/etc/passwd", "github.yaml", "git hub", "GitHub", "nothing"};
	struct cli_error e = {0};
	json_t *p = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(
		    preset_load(&cli, names[i], &p, &e), CLI_NOT_FOUND);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_load),
	    cmocka_unit_test(test_scopes_are_narrow),
	    cmocka_unit_test(test_credential_only_where_bound),
	    cmocka_unit_test(test_broken_ones),
	    cmocka_unit_test(test_names_stay_inside),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
