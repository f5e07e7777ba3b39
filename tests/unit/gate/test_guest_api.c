/* SPDX-License-Identifier: ISC */
/* hatcheck.internal, as the guest asks it. */
#include "tests/unit/gate/driver.h"

static void
ask_api(struct guest *g, const char *what, const char *rest)
{
	hush(g);
	say(g, "%s HTTP/1.1\r\nHost: hatcheck.internal\r\n%s", what, rest);
}

static void
the_guest_api_answers(void **state)
{
	struct house *h = *state;
	struct guest g;

	come(h, &g);
	ask_api(&g, "GET /v1/environment", "\r\n");
	has(&g, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n");
	has(&g, "{\"session\":\"s-test\"}");
	ask_api(&g, "GET http://hatcheck.internal/v1/ca", "\r\n");
	has(&g, "-----BEGIN CERTIFICATE-----");
	ask_api(&g, "HEAD /v1/ca", "\r\n");
	has(&g, "content-length: ");
	assert_null(strstr(g.got, "BEGIN"));
	ask_api(&g, "GET /v1/jwks", "\r\n");
	has(&g, "\"kty\":\"OKP\"");
	ask_api(&g, "GET /v1/status", "\r\n");
	has(&g, "\"guest\":\"tester\",\"expires_in\":3");
	ask_api(&g, "GET /token", "\r\n");
	has(&g, "404 ");
	has(&g, "versioned");
	ask_api(&g, "GET /v1/status?x", "\r\n");
	has(&g, "404 ");
	ask_api(&g, "GET /v1/token", "\r\n");
	has(&g, "405 ");
	has(&g, "allow: POST\r\n");
	assert_false(g.end);
	leave(&g);
	untraced(h, "request way");
}

#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"
static void
tokens_are_asked_of_the_minter(void **state)
{
	struct house *h = *state;
	struct guest_token_given m = {
	    .status = 200, .token = span_str("aa.bb.cc"), .expires_in = 300};
	struct guest g;

	come(h, &g);
	ask_api(&g, "POST /v1/token",
	    FORM "Content-Length: 29\r\n\r\ngrant_type=client_credentials");
	assert_string_equal(h->subject, "client_credentials/");
	m.rid = h->asked;
	assert_int_equal(
	    link_send(h->minter, &msg_guest_token_given, &m, -1), 0);
	take(&g);
	has(&g, "cache-control: no-store");
	has(&g, "{\"access_token\":\"aa.bb.cc\",\"token_type\":\"Bearer\","
		"\"expires_in\":300}");
	ask_api(&g, "POST /v1/token",
	    FORM
	    "Transfer-Encoding: chunked\r\n\r\n"
	    "1c\r\ngrant_type=x%2Dy&subject_tok\r\n6\r\nen=a.b\r\n0\r\n\r\n");
	assert_string_equal(h->subject, "x-y/a.b");
	m.rid = h->asked;
	assert_int_equal(
	    link_send(h->minter, &msg_guest_token_given, &m, -1), 0);
	take(&g);
	has(&g, "issued_token_type");
	ask_api(&g, "POST /v1/token",
	    FORM "Content-Length: 12\r\n\r\ngrant_type=x");
	m = (struct guest_token_given){.rid = h->asked,
	    .status = 400,
	    .error = span_str("invalid_grant"),
	    .description = span_str("no")};
	assert_int_equal(
	    link_send(h->minter, &msg_guest_token_given, &m, -1), 0);
	take(&g);
	has(&g, "HTTP/1.1 400 Bad Request\r\n");
	has(&g, "{\"error\":\"invalid_grant\",\"error_description\":\"no\"}");
	static const char *const bad[] = {"Content-Length: 3\r\n\r\na=b",
	    "Content-Length: 0\r\n\r\n", "\r\n",
	    "Content-Length: 25\r\n\r\ngrant_type=a&grant_type=b",
	    "Content-Length: 13\r\n\r\ngrant_type=%0",
	    "Content-Length: 14\r\n\r\ngrant_type=%00",
	    "Content-Length: 14\r\n\r\ngrant_type=%ff"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char rest[200];
		snprintf(rest, sizeof(rest), FORM "%s", bad[i]);
		ask_api(&g, "POST /v1/token", rest);
		has(&g, "invalid_request");
	}
	ask_api(&g, "POST /v1/token", "Content-Length: 12\r\n\r\ngrant_type=x");
	has(&g, "415 ");
	assert_true(g.end);
	leave(&g);
	come(h, &g);
	ask_api(&g, "POST /v1/revoke", FORM "Content-Length: 7\r\n\r\ntoken=x");
	m = (struct guest_token_given){.rid = h->revoked, .status = 200};
	assert_int_equal(
	    link_send(h->minter, &msg_guest_token_given, &m, -1), 0);
	take(&g);
	has(&g, "HTTP/1.1 200 OK\r\n");
	has(&g, "content-length: 0\r\n");
	leave(&g);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_ready, drop_house)
	const struct CMUnitTest tests[] = {
	    T(the_guest_api_answers),
	    T(tokens_are_asked_of_the_minter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
