/* SPDX-License-Identifier: ISC */
/* Requests through the whole gate but its process: every way in, what reaches
 * the courier, what comes back. */
#include "tests/unit/gate/driver.h"

static void
absolute_form_under_an_attached_token(void **state)
{
	struct house *h = *state;
	struct guest g;

	attached(h, &g);
	say(&g,
	    "%sX-Test: 1\r\nConnection: keep-alive, x-hop\r\nTE: trailers\r\n"
	    "Proxy-Authorization: Bearer nonsense\r\n\r\n",
	    GET_ABSOLUTE);
	untraced(h, "x-hop");
	/* Naming an x- field in Connection is refused as smuggling. */
	has(&g, "400 Bad Request");
	say(&g,
	    "%sX-Test: 1\r\nConnection: keep-alive\r\nTE: trailers\r\n"
	    "Proxy-Authorization: Bearer nonsense\r\n\r\n",
	    GET_ABSOLUTE);
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
	say(&g, "%s\r\n", GET_ABSOLUTE);
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
	say(&g, "%s\r\n", GET_ABSOLUTE);
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
	say(&g, "%sProxy-Authorization: Basic %s\r\n\r\n", GET_ABSOLUTE, coded);
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
	say(&g, "ATTACH %s\r\n%s\r\n", t, GET_ABSOLUTE);
	has(&g, "bad-token");
	assert_true(g.end);
	leave(&g);
	mint(h, CHANNEL, "f-unknown", 300, t);
	come(h, &g);
	say(&g, "ATTACH %s\r\n%s\r\n", t, GET_ABSOLUTE);
	has(&g, "bad-token");
	leave(&g);
	mint(h, CHANNEL, FAMILY, -1, t);
	come(h, &g);
	say(&g, "ATTACH %s\r\n%s\r\n", t, GET_ABSOLUTE);
	has(&g, "token-expired");
	leave(&g);
	memcpy(t, h->token, sizeof(t));
	t[strlen(t) - 9] ^= 1;
	come(h, &g);
	say(&g, "%sProxy-Authorization: Bearer %s\r\n\r\n", GET_ABSOLUTE, t);
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
	say(&g, "%s\r\n", GET_ABSOLUTE);
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
	say(&g, "%s\r\n%sX-Second: 1\r\n\r\n", GET_ABSOLUTE, GET_ABSOLUTE);
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
	say(&g, "%s\r\n", GET_ABSOLUTE);
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
	say(&g, "%s\r\n", GET_ABSOLUTE);
	m.stream = h->stream;
	assert_int_equal(link_send(h->courier, &msg_traffic_reset, &m, -1), 0);
	take(&g);
	has(&g, "502 ");
	has(&g, "upstream-broken");
	leave(&g);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
