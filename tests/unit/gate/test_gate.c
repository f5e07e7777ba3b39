/* SPDX-License-Identifier: ISC */
/* The whole gate but its process: every way in, what reaches the courier,
 * what a guest is told, what a cut does. */
#include "tests/unit/gate/driver.h"

static const char get_absolute[] =
    "GET http://api.demo.test/v1/x?a=b HTTP/1.1\r\nHost: api.demo.test\r\n";

static void
attached(struct house *h, struct guest *g)
{
	come(h, g);
	say(g, "ATTACH %s\r\n", h->token);
	assert_int_equal(g->n, 0); /* success says nothing */
	assert_false(g->end);
}

static void
absolute_form_under_an_attached_token(void **state)
{
	struct house *h = *state;
	struct guest g;

	attached(h, &g);
	say(&g,
	    "%sX-Test: 1\r\nConnection: keep-alive, x-hop\r\nTE: trailers\r\n"
	    "Proxy-Authorization: Bearer nonsense\r\n\r\n",
	    get_absolute);
	untraced(h, "x-hop");
	/* Naming an x- field in Connection is refused as smuggling. */
	has(&g, "400 Bad Request");
	say(&g,
	    "%sX-Test: 1\r\nConnection: keep-alive\r\nTE: trailers\r\n"
	    "Proxy-Authorization: Bearer nonsense\r\n\r\n",
	    get_absolute);
	traced(h, "request way=2 GET /v1/x?a=b host=api.demo.test:443 sni= "
		  "said=api.demo.test grant= fam=f-one body=0/0 ex=0\n"
		  "[x-test=1]end\n");
	hush(&g);
	respond(h, 200, BODY_LENGTH, 5);
	respond_bytes(h, "hel", 3);
	respond_bytes(h, "lo", 2);
	respond_end(h);
	take(&g);
	assert_string_equal(g.got,
	    "HTTP/1.1 200 OK\r\nx-from: upstream\r\ncontent-length: 5\r\n\r\n"
	    "hello");
	/* And again on the same connection. */
	forget_trace(h);
	hush(&g);
	say(&g, "%s\r\n", get_absolute);
	respond(h, 204, BODY_NONE, 0);
	respond_end(h);
	take(&g);
	assert_string_equal(
	    g.got, "HTTP/1.1 204 No Content\r\nx-from: upstream\r\n\r\n");
	leave(&g);
}

static void
a_407_keeps_the_connection_for_the_retry(void **state)
{
	struct house *h = *state;
	struct guest g;

	come(h, &g);
	say(&g, "CONNECT api.demo.test:443 HTTP/1.1\r\n"
		"Host: api.demo.test:443\r\n\r\n");
	has(&g, "HTTP/1.1 407 Proxy Authentication Required\r\n");
	has(&g, "proxy-authenticate: Basic realm=\"hatcheck\"\r\n");
	has(&g, "proxy-status: hatcheck; error=http_request_denied; "
		"details=\"no-token\"\r\n");
	has(&g, "urn:hatcheck:refusal:no-token");
	traced(h, "note no-token\n");
	untraced(h, "connect");
	say(&g,
	    "CONNECT api.demo.test:443 HTTP/1.1\r\n"
	    "Host: api.demo.test:443\r\n"
	    "Proxy-Authorization: bearer %s\r\n\r\n",
	    h->token);
	traced(h, "connect api.demo.test:443 f-one\n");
	/* Refused by the courier: once more, the connection stays. */
	hush(&g);
	refuse_stream(h, h->conn, REASON_NO_GRANT_HOST);
	take(&g);
	has(&g, "HTTP/1.1 403 ");
	has(&g, "\"detail\":\"a \\\"quoted\\\" detail\"");
	has(&g, "\"grant\":\"demo-read\"");
	assert_false(g.end);
	/* A token in the header binds only the CONNECT that had it. */
	say(&g, "%s\r\n", get_absolute);
	has(&g, "no-token");
	leave(&g);
}

static void
basic_carries_a_token(void **state)
{
	struct house *h = *state;
	struct guest g;
	char plain[JWT_MAX + 8], coded[2 * JWT_MAX];

	snprintf(plain, sizeof(plain), "x:%s", h->token);
	EVP_EncodeBlock(
	    (uint8_t *)coded, (const uint8_t *)plain, (int)strlen(plain));
	come(h, &g);
	say(&g, "%sProxy-Authorization: Basic %s\r\n\r\n", get_absolute, coded);
	traced(h, "request way=2 GET /v1/x?a=b ");
	untraced(h, "authorization");
	leave(&g);
	traced(h, "reset\n");
}

static void
bad_tokens_are_refused(void **state)
{
	struct house *h = *state;
	struct guest g;
	char t[JWT_MAX + 1];

	mint(h, "unix:s-other", FAMILY, 300, t);
	come(h, &g);
	say(&g, "ATTACH %s\r\n%s\r\n", t, get_absolute);
	has(&g, "bad-token");
	assert_true(g.end);
	leave(&g);
	mint(h, CHANNEL, "f-unknown", 300, t);
	come(h, &g);
	say(&g, "ATTACH %s\r\n%s\r\n", t, get_absolute);
	has(&g, "bad-token");
	leave(&g);
	mint(h, CHANNEL, FAMILY, -1, t);
	come(h, &g);
	say(&g, "ATTACH %s\r\n%s\r\n", t, get_absolute);
	has(&g, "token-expired");
	leave(&g);
	memcpy(t, h->token, sizeof(t));
	t[strlen(t) - 9] ^= 1;
	come(h, &g);
	say(&g, "%sProxy-Authorization: Bearer %s\r\n\r\n", get_absolute, t);
	has(&g, "bad-token");
	leave(&g);
	untraced(h, "request way");
}

static void
attach_lines_are_exact(void **state)
{
	static const char *const bad[] = {"ATTACH  x\r\n", "ATTACH x \r\n",
	    "ATTACH x\n", "ATTACH \r\n", "ATTACH x/y\r\n"};
	struct house *h = *state;
	struct guest g;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		come(h, &g);
		say(&g, "%s", bad[i]);
		assert_int_equal(g.n, 0);
		say(&g, "GET http://hatcheck.internal/v1/status HTTP/1.1\r\n"
			"Host: hatcheck.internal\r\n\r\n");
		has(&g, "407 ");
		assert_true(g.end);
		leave(&g);
	}
	come(h, &g);
	char *line = calloc(1, 5000);
	memset(line, 'a', 4990);
	memcpy(line, "ATTACH ", 7);
	say_bytes(&g, line, 4990);
	take(&g);
	assert_true(g.end);
	assert_int_equal(g.n, 0);
	free(line);
	leave(&g);
}

static void
names_must_agree(void **state)
{
	static const char *const bad[][2] = {
	    {"GET http://api.demo.test/ HTTP/1.1\r\nHost: evil.test\r\n",
		"names-disagree"},
	    {"GET http://api.demo.test/ HTTP/1.1\r\nHost: api.demo.test:80\r\n",
		"names-disagree"},
	    {"CONNECT api.demo.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n",
		"names-disagree"},
	    {"CONNECT api.demo.test:443 HTTP/1.1\r\nHost: "
	     "api.demo.test:444\r\n",
		"names-disagree"},
	    {"CONNECT api.demo.test HTTP/1.1\r\nHost: api.demo.test\r\n",
		"bad-"},
	    {"CONNECT hatcheck.internal:80 HTTP/1.1\r\n"
	     "Host: hatcheck.internal:80\r\n",
		"host-not-granted"},
	    {"GET http://u@api.demo.test/ HTTP/1.1\r\nHost: api.demo.test\r\n",
		"bad-host"},
	    {"GET http://api_demo.test/ HTTP/1.1\r\nHost: api.demo.test\r\n",
		"bad-host"},
	    {"GET https://api.demo.test/ HTTP/1.1\r\nHost: api.demo.test\r\n",
		"bad-request"},
	    {"GET http://api.demo.test/a/../b HTTP/1.1\r\n"
	     "Host: api.demo.test\r\n",
		"bad-path"},
	    {"GET / HTTP/1.1\r\nHost: api.demo.test\r\n", "names-disagree"},
	    {"GET /RaNdOm/demo-read/x HTTP/1.1\r\nHost: evil.test\r\n",
		"names-disagree"},
	    {"GET /random/demo-read/x HTTP/1.1\r\nHost: localhost:1\r\n",
		"not-found"},
	    {"GET /RaNdOm/other/x HTTP/1.1\r\nHost: localhost:1\r\n",
		"not-found"},
	    {"GET /RaNdOm HTTP/1.1\r\nHost: localhost:1\r\n", "not-found"},
	    {"TRACE http://api.demo.test/ HTTP/1.1\r\nHost: api.demo.test\r\n",
		"unsupported"},
	    {"GET http://api.demo.test/ HTTP/1.1\r\nHost: api.demo.test\r\n"
	     "Upgrade: h2c\r\nConnection: upgrade\r\n",
		"unsupported"},
	    {"GET http://api.demo.test/ HTTP/1.1\r\nHost: api.demo.test\r\n"
	     "Upgrade: websocket, h2c\r\nConnection: upgrade\r\n",
		"unsupported"},
	    {"GET http://api.demo.test/ HTTP/1.1\r\nHost: api.demo.test\r\n"
	     "Upgrade: websocket\r\nConnection: keep-alive\r\n",
		"unsupported"},
	    {"GET http://api.demo.test/ HTTP/1.1\r\nHost: api.demo.test\r\n"
	     "Upgrade: websocket\r\nConnection: upgrade\r\n"
	     "Transfer-Encoding: chunked\r\n",
		"unsupported"},
	    {"GET http://api.demo.test/ HTTP/1.1\r\nHost: api.demo.test\r\n"
	     "HTTP2-Settings: AAA\r\n",
		"unsupported"},
	    {"GET http://api.demo.test/ HTTP/1.1\r\nHost: api.demo.test\r\n"
	     "Connection: authorization\r\n",
		"bad-request"},
	    {"OPTIONS * HTTP/1.1\r\nHost: api.demo.test\r\n", "bad-request"},
	};
	struct house *h = *state;
	struct guest g;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		attached(h, &g);
		say(&g, "%s\r\n", bad[i][0]);
		if (strstr(g.got, bad[i][1]) == NULL)
			print_message("%s", bad[i][0]);
		has(&g, bad[i][1]);
		leave(&g);
	}
	untraced(h, "request way");
	untraced(h, "connect");
}

/* Python before 3.12. */
static void
connect_may_be_old(void **state)
{
	struct house *h = *state;
	struct guest g;

	attached(h, &g);
	say(&g, "CONNECT api.demo.test:443 HTTP/1.0\r\n\r\n");
	traced(h, "connect api.demo.test:443 f-one\n");
	allow_connect(h, WAY_TUNNEL);
	take(&g);
	assert_string_equal(g.got, "HTTP/1.1 200 OK\r\n\r\n");
	leave(&g);
	/* And Node's names the proxy. */
	forget_trace(h);
	attached(h, &g);
	say(&g, "CONNECT api.demo.test:443 HTTP/1.1\r\n"
		"Host: 127.0.0.1:4711\r\n\r\n");
	traced(h, "connect api.demo.test:443 f-one\n");
	leave(&g);
	come(h, &g);
	say(&g, "CONNECT api.demo.test:443 HTTP/1.0\r\n\r\n");
	has(&g, "407 ");
	assert_true(g.end);
	leave(&g);
}

static void
base_urls(void **state)
{
	static const char *const hosts[] = {
	    "127.0.0.1:4711", "localhost:1", "[::1]:80", "localhost"};
	struct house *h = *state;
	struct guest g;

	for (size_t i = 0; i < 4; i++) {
		forget_trace(h);
		attached(h, &g);
		say(&g,
		    "GET /RaNdOm/demo-read/v1/x?y=z HTTP/1.1\r\nHost: "
		    "%s\r\n\r\n",
		    hosts[i]);
		traced(h, "request way=3 GET /v1/x?y=z host=api.demo.test:443 "
			  "sni= said=");
		traced(h, "grant=demo-read");
		leave(&g);
	}
	forget_trace(h);
	attached(h, &g);
	say(&g, "GET /RaNdOm/demo-read HTTP/1.1\r\nHost: localhost\r\n\r\n");
	traced(h, "request way=3 GET / host=");
	leave(&g);
}

static void
framing_attacks_reach_nobody(void **state)
{
	static const char *const bad[] = {
	    "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
	    "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
	    "X : y\r\n\r\n", "X: y\r\n z\r\n\r\n", "X: a\rb\r\n\r\n"};
	struct house *h = *state;
	struct guest g;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		attached(h, &g);
		say(&g,
		    "POST http://api.demo.test/ HTTP/1.1\r\n"
		    "Host: api.demo.test\r\n%s",
		    bad[i]);
		has(&g, "HTTP/1.1 400 Bad Request\r\n");
		has(&g, "connection: close\r\n");
		assert_true(g.end);
		leave(&g);
	}
	untraced(h, "request way");
	traced(h, "note bad-request\n");
}

static void
uploads_wait_for_credit(void **state)
{
	struct house *h = *state;
	struct guest g;
	size_t n = TRAFFIC_WINDOW + 60000;
	uint8_t *body = malloc(n);

	for (size_t i = 0; i < n; i++)
		body[i] = (uint8_t)(i * 13);
	attached(h, &g);
	say(&g,
	    "PUT http://api.demo.test/up HTTP/1.1\r\nHost: api.demo.test\r\n"
	    "Content-Length: %zu\r\nExpect: 100-continue\r\n\r\n",
	    n);
	traced(h, "body=1/191072 ex=1");
	respond(h, 100, BODY_NONE, 0);
	take(&g);
	has(&g, "HTTP/1.1 100 Continue\r\nx-from: upstream\r\n\r\n");
	say_bytes(&g, body, n);
	turn(h);
	assert_int_equal(buf_len(h->body), TRAFFIC_WINDOW);
	untraced(h, "end\n");
	give_window(h, 50000);
	turn(h);
	assert_int_equal(buf_len(h->body), TRAFFIC_WINDOW + 50000);
	give_window(h, 10000);
	turn(h);
	assert_int_equal(buf_len(h->body), n);
	assert_memory_equal(buf_span(h->body).p, body, n);
	traced(h, "end\n");
	free(body);
	leave(&g);
}

static void
downloads_give_credit_as_they_are_read(void **state)
{
	struct house *h = *state;
	struct guest g;
	static uint8_t piece[TRAFFIC_BODY_MAX];

	attached(h, &g);
	say(&g, "%s\r\n", get_absolute);
	respond(h, 200, BODY_CHUNKED, 0);
	for (int i = 0; i < 4; i++)
		respond_bytes(h, piece, sizeof(piece));
	turn(h);
	/* The guest has not read yet: at most what its socket took. */
	size_t early = h->window;
	assert_true(early <= TRAFFIC_WINDOW);
	take(&g);
	assert_true(h->window >= 3 * TRAFFIC_BODY_MAX);
	respond_end(h);
	take(&g);
	has(&g, "transfer-encoding: chunked\r\n\r\n8000\r\n");
	assert_memory_equal(g.got + g.n - 7, "\r\n0\r\n\r\n", 7);
	leave(&g);
}

static void
chunked_uploads_and_trailers(void **state)
{
	struct house *h = *state;
	struct guest g;

	attached(h, &g);
	say(&g,
	    "POST http://api.demo.test/c HTTP/1.1\r\nHost: api.demo.test\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n"
	    "3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\nAuthorization: x\r\n\r\n");
	traced(h, "body=2/0");
	traced(h, "{x-sum=5}{authorization=x}end\n"); /* the courier judges */
	assert_true(span_is(buf_span(h->body), "abcde"));
	leave(&g);
}

static void
pipelined_requests_go_one_at_a_time(void **state)
{
	struct house *h = *state;
	struct guest g;

	attached(h, &g);
	say(&g, "%s\r\n%sX-Second: 1\r\n\r\n", get_absolute, get_absolute);
	untraced(h, "x-second");
	respond(h, 200, BODY_LENGTH, 1);
	respond_bytes(h, "1", 1);
	respond_end(h);
	take(&g);
	traced(h, "x-second");
	respond(h, 200, BODY_LENGTH, 1);
	respond_bytes(h, "2", 1);
	respond_end(h);
	take(&g);
	has(&g, "\r\n\r\n1HTTP/1.1 200");
	assert_int_equal(g.got[g.n - 1], '2');
	leave(&g);
}

static void
an_early_answer_ends_the_upload(void **state)
{
	struct house *h = *state;
	struct guest g;

	attached(h, &g);
	say(&g, "PUT http://api.demo.test/ HTTP/1.1\r\nHost: api.demo.test\r\n"
		"Content-Length: 100\r\n\r\nabc");
	refuse_stream(h, h->stream, REASON_NO_GRANT_PATH);
	take(&g);
	has(&g, "path-not-granted");
	has(&g, "connection: close");
	assert_true(g.end);
	leave(&g);
	untraced(h, "reset");
}

static void
a_broken_download_is_seen_as_broken(void **state)
{
	struct house *h = *state;
	struct traffic_reset m = {.reason = REASON_UPSTREAM_BROKEN};
	struct guest g;

	attached(h, &g);
	say(&g, "%s\r\n", get_absolute);
	respond(h, 200, BODY_CHUNKED, 0);
	respond_bytes(h, "part", 4);
	turn(h);
	m.stream = h->stream;
	assert_int_equal(link_send(h->courier, &msg_traffic_reset, &m, -1), 0);
	take(&g);
	assert_true(g.end);
	assert_null(strstr(g.got, "\r\n0\r\n"));
	leave(&g);
	/* Before the head there is still time to say so. */
	attached(h, &g);
	say(&g, "%s\r\n", get_absolute);
	m.stream = h->stream;
	assert_int_equal(link_send(h->courier, &msg_traffic_reset, &m, -1), 0);
	take(&g);
	has(&g, "502 ");
	has(&g, "upstream-broken");
	leave(&g);
}

/* ------------------------------------------------------------------ API */

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

/* ------------------------------------------------------- readiness, cuts */

static void
not_ready_is_503(void **state)
{
	struct house *h = *state;
	struct guest g;

	come(h, &g);
	say(&g, "%s\r\n", get_absolute);
	assert_int_equal(g.n, 0); /* for a moment it waits */
	lose_patience(h);
	take(&g);
	has(&g, "503 ");
	has(&g, "not-ready");
	say(&g, "GET /v1/status HTTP/1.1\r\nHost: hatcheck.internal\r\n\r\n");
	has(&g, "not-ready");
	leave(&g);
	h->refuse_ca = true;
	h->courier = join_courier(h);
	h->minter = join_minter(h);
	h->vault = join(h, LINK_VAULT, vault_rules, 1);
	say_session(h, getuid());
	say_family(h, FAMILY, 600000);
	mint(h, CHANNEL, FAMILY, 300, h->token);
	turn(h);
	attached(h, &g);
	say(&g, "%s\r\n", get_absolute);
	has(&g, "not-ready");
	leave(&g);
	untraced(h, "request way");
}

static void
another_uid_is_not_heard(void **state)
{
	struct house *h = *state;
	struct guest g;

	say_session(h, getuid() + 1);
	turn(h);
	come(h, &g);
	say(&g, "GET /v1/status HTTP/1.1\r\nHost: hatcheck.internal\r\n\r\n");
	assert_int_equal(g.n, 0);
	assert_true(g.end);
	leave(&g);
}

/* Who comes by the supervisor has no uid, and only such a session; a uid is
 * none of its. */
static void
guests_that_are_brought(void **state)
{
	static const char ask[] =
	    "GET /v1/status HTTP/1.1\r\nHost: hatcheck.internal\r\n\r\n";
	struct house *h = *state;
	struct guest g;

	bring(h, &g);
	say(&g, ask);
	assert_int_equal(g.n, 0);
	assert_true(g.end);
	leave(&g);
	say_session(h, CHANNEL_NO_UID);
	turn(h);
	bring(h, &g);
	say(&g, ask);
	has(&g, "HTTP/1.1 200 OK");
	leave(&g);
	come(h, &g);
	say(&g, ask);
	assert_int_equal(g.n, 0);
	assert_true(g.end);
	leave(&g);
}

/* A request that came too early is served once all is there, and only to
 * the session's own uid. */
static void
early_guests_wait(void **state)
{
	struct house *h = *state;
	struct guest g;

	for (int other = 1; other >= 0; other--) {
		come(h, &g);
		say(&g, "GET /v1/status HTTP/1.1\r\n"
			"Host: hatcheck.internal\r\n\r\n");
		assert_int_equal(g.n, 0);
		link_free(h->courier);
		link_free(h->minter);
		link_free(h->vault);
		h->courier = join_courier(h);
		h->minter = join_minter(h);
		h->vault = join(h, LINK_VAULT, vault_rules, 1);
		say_session(h, getuid() + (uint32_t)other);
		take(&g);
		assert_int_equal(g.end, other);
		if (!other)
			has(&g, "HTTP/1.1 200 OK");
		leave(&g);
		gate_free(h->gate);
		assert_int_equal(gate_new(h->loop, &h->gate), 0);
		gate_begin(h->gate, -1);
	}
}

static void
cut_family(struct house *h, const char *family, uint32_t serial)
{
	struct guest_cut m = {.serial = serial, .family = span_str(family)};

	assert_int_equal(link_send(h->minter, &msg_guest_cut, &m, -1), 0);
	turn(h);
	assert_int_equal(h->cut_done, serial);
}

static void
a_cut_resets_its_family_alone(void **state)
{
	struct house *h = *state;
	struct guest one, two, idle, api;
	char t[JWT_MAX + 1];

	say_family(h, "f-two", 600000);
	mint(h, CHANNEL, "f-two", 300, t);
	turn(h);
	attached(h, &one);
	attached(h, &idle);
	come(h, &two);
	say(&two, "ATTACH %s\r\n", t);
	come(h, &api);
	say(&two, "%s\r\n", get_absolute);
	uint32_t stream_two = h->stream;
	say(&one, "%s\r\n", get_absolute);
	respond(h, 200, BODY_CHUNKED, 0);
	respond_bytes(h, "part", 4);
	turn(h);
	forget_trace(h);
	cut_family(h, FAMILY, 7);
	traced(h, "reset\n");
	take(&one);
	take(&idle);
	assert_true(one.end);
	assert_true(idle.end);
	/* What the courier still sends for it is dropped. */
	respond_bytes(h, "late", 4);
	turn(h);
	assert_false(link_broken(h->courier));
	h->stream = stream_two;
	respond(h, 200, BODY_LENGTH, 2);
	respond_bytes(h, "ok", 2);
	respond_end(h);
	take(&two);
	has(&two, "\r\n\r\nok");
	take(&api);
	assert_false(api.end);
	/* Its token is worth nothing any more. */
	leave(&one);
	come(h, &one);
	say(&one, "ATTACH %s\r\n%s\r\n", h->token, get_absolute);
	has(&one, "bad-token");
	cut_family(h, "", 8);
	take(&two);
	take(&api);
	assert_true(two.end);
	assert_true(api.end);
	leave(&one);
	leave(&two);
	leave(&idle);
	leave(&api);
}

static void
a_lost_courier_ends_what_hung_on_it(void **state)
{
	struct house *h = *state;
	struct guest waiting, streaming;

	attached(h, &streaming);
	say(&streaming, "%s\r\n", get_absolute);
	respond(h, 200, BODY_CHUNKED, 0);
	turn(h);
	attached(h, &waiting);
	say(&waiting, "%s\r\n", get_absolute);
	link_free(h->courier);
	h->courier = NULL;
	take(&waiting);
	take(&streaming);
	has(&waiting, "retired-connection");
	assert_true(streaming.end);
	hush(&waiting);
	lose_patience(h);
	say(&waiting, "%s\r\n", get_absolute);
	has(&waiting, "not-ready");
	h->courier = join_courier(h);
	turn(h);
	hush(&waiting);
	say(&waiting, "%s\r\n", get_absolute);
	assert_int_equal(waiting.n, 0);
	traced(h, "request way");
	leave(&waiting);
	leave(&streaming);
}

/* A head with one field of n bytes. */
static void
respond_long(struct house *h, uint16_t status, size_t n)
{
	uint8_t *value = malloc(n);

	memset(value, 'a', n);
	respond_head(h,
	    (struct traffic_response){.stream = h->stream, .status = status},
	    "x", span_of(value, n));
	free(value);
}

/* The last bytes of an answer, after which the connection would close, find
 * no room with a guest that has read nothing. */
static void
the_end_of_an_answer_finds_no_room(void **state)
{
	struct house *h = *state;
	struct guest g;

	attached(h, &g);
	say(&g, "%sConnection: close\r\n\r\n", get_absolute);
	traced(h, "request way");
	struct stream *s = h->gate->conns[0]->s;
	while (stream_queued(s) + 60000 < STREAM_QUEUE_MAX) {
		respond_long(h, 103, 50000);
		turn(h);
	}
	while (stream_queued(s) + 8000 < STREAM_QUEUE_MAX) {
		respond_long(h, 103, 1000);
		turn(h);
	}
	assert_int_equal(h->gate->n_conns, 1);
	respond_long(h, 204, 10000);
	respond_end(h);
	assert_int_equal(h->gate->n_conns, 0);
	leave(&g);
}

static void
a_new_minter_confirms_families(void **state)
{
	struct house *h = *state;
	struct guest g;

	attached(h, &g);
	link_free(h->minter);
	h->minter = NULL;
	lose_patience(h);
	say(&g, "%s\r\n", get_absolute);
	has(&g, "not-ready");
	h->minter = join_minter(h);
	say_session(h, getuid());
	turn(h);
	hush(&g);
	say(&g, "%s\r\n", get_absolute);
	has(&g, "not-ready"); /* in doubt */
	say_family(h, FAMILY, 600000);
	turn(h);
	hush(&g);
	say(&g, "%s\r\n", get_absolute);
	traced(h, "request way");
	leave(&g);
}

static void
guests_are_limited(void **state)
{
	struct house *h = *state;
	static struct guest g[32];
	struct guest *more = calloc(1, sizeof(*more));
	struct bounds b = bounds_default();
	const size_t n = sizeof(g) / sizeof(g[0]);

	b.connections = n;
	gate_bound(h->gate, &b);

	for (size_t i = 0; i < n; i++)
		come(h, &g[i]);
	come(h, more);
	take(more);
	has(more, "429 ");
	has(more, "limit-guest");
	assert_true(more->end);
	leave(&g[3]);
	leave(more);
	come(h, more);
	take(more);
	assert_false(more->end);
	leave(more);
	for (size_t i = 0; i < n; i++) {
		if (i != 3)
			leave(&g[i]);
	}
	assert_int_equal(h->gate->n_conns, 0);
	free(more);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_ready, drop_house)
	const struct CMUnitTest tests[] = {
	    T(absolute_form_under_an_attached_token),
	    T(a_407_keeps_the_connection_for_the_retry),
	    T(basic_carries_a_token),
	    T(bad_tokens_are_refused),
	    T(attach_lines_are_exact),
	    T(names_must_agree),
	    T(connect_may_be_old),
	    T(base_urls),
	    T(framing_attacks_reach_nobody),
	    T(uploads_wait_for_credit),
	    T(downloads_give_credit_as_they_are_read),
	    T(chunked_uploads_and_trailers),
	    T(pipelined_requests_go_one_at_a_time),
	    T(an_early_answer_ends_the_upload),
	    T(a_broken_download_is_seen_as_broken),
	    T(the_guest_api_answers),
	    T(tokens_are_asked_of_the_minter),
	    cmocka_unit_test_setup_teardown(
		not_ready_is_503, make_house, drop_house),
	    cmocka_unit_test_setup_teardown(
		early_guests_wait, make_house, drop_house),
	    T(another_uid_is_not_heard),
	    T(guests_that_are_brought),
	    T(a_cut_resets_its_family_alone),
	    T(a_lost_courier_ends_what_hung_on_it),
	    T(a_new_minter_confirms_families),
	    T(guests_are_limited),
	    T(the_end_of_an_answer_finds_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
