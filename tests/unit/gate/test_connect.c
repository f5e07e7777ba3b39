/* SPDX-License-Identifier: ISC */
/* CONNECT: interception under the session's CA, tunnels, and what the
 * ClientHello must say. Guests are real OpenSSL clients. */
#include "tests/unit/gate/client.h"

#include <signal.h>

static void
interception(void **state)
{
	struct house *h = *state;
	static struct client c;
	const uint8_t *alpn;
	unsigned n;

	memset(&c, 0, sizeof(c));
	connect_to(h, &c.g, "api.demo.test:443", WAY_INTERCEPT);
	start_tls(&c, "api.demo.test");
	assert_int_equal(c.failed, 0);
	SSL_get0_alpn_selected(c.ssl, &alpn, &n);
	assert_true(span_is(span_of(alpn, n), "http/1.1"));
	for (int i = 0; i < 3; i++) {
		forget_trace(h);
		hush(&c.g);
		tell(&c, "POST /v1/x HTTP/1.1\r\nHost: api.demo.test\r\n"
			 "Content-Length: 2\r\n\r\nhi");
		traced(h,
		    "request way=1 POST /v1/x host=api.demo.test:443 "
		    "sni=api.demo.test said=api.demo.test grant= fam=f-one "
		    "body=1/2 ex=0\nend\n");
		assert_true(span_is(buf_span(h->body), "hi"));
		respond(h, 200, BODY_LENGTH, 2);
		respond_bytes(h, "ok", 2);
		respond_end(h);
		hear(&c);
		has(&c.g, "content-length: 2\r\n\r\nok");
	}
	go(&c);
	turn(h);
	traced(h, "conn_end\n");
}

static void
requests_within_name_the_same_host(void **state)
{
	static const char *const bad[][2] = {
	    {"GET / HTTP/1.1\r\nHost: b.test\r\n\r\n", "names-disagree"},
	    {"GET / HTTP/1.1\r\nHost: api.demo.test:444\r\n\r\n",
		"names-disagree"},
	    {"GET / HTTP/1.1\r\nHost: hatcheck.internal\r\n\r\n",
		"names-disagree"},
	    {"GET / HTTP/1.1\r\nHost: api.demo.test.\r\n\r\n", ""},
	    {"CONNECT b.test:443 HTTP/1.1\r\nHost: api.demo.test\r\n\r\n",
		"unsupported"},
	    {"TRACE / HTTP/1.1\r\nHost: api.demo.test\r\n\r\n", "unsupported"},
	    {"GET http://api.demo.test/ HTTP/1.1\r\nHost: "
	     "api.demo.test\r\n\r\n",
		"bad-path"},
	    {"GET /RaNdOm/demo-read/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"names-disagree"},
	    {"GET /a//b HTTP/1.1\r\nHost: api.demo.test\r\n\r\n", "bad-path"},
	    {"\r\nGET / HTTP/1.1\r\nHost: api.demo.test\r\n\r\n",
		"bad-request"},
	};
	struct house *h = *state;
	static struct client c;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&c, 0, sizeof(c));
		forget_trace(h);
		connect_to(h, &c.g, "api.demo.test:443", WAY_INTERCEPT);
		start_tls(&c, "api.demo.test");
		tell(&c, bad[i][0]);
		if (bad[i][1][0] != '\0') {
			hear(&c);
			has(&c.g, bad[i][1]);
			untraced(h, "request way");
		} else {
			traced(h, "request way=1");
		}
		go(&c);
	}
}

static void
the_hello_must_name_the_host(void **state)
{
	struct house *h = *state;
	static struct client c;
	static const char *const names[] = {"b.test", NULL};

	for (size_t i = 0; i < 2; i++) {
		memset(&c, 0, sizeof(c));
		forget_trace(h);
		connect_to(h, &c.g, "api.demo.test:443",
		    i == 0 ? WAY_INTERCEPT : WAY_TUNNEL);
		start_tls(&c, names[i]);
		assert_int_equal(c.failed, 1);
		traced(h, "note names-disagree\n");
		traced(h, "conn_end\n");
		untraced(h, "tunnel");
		go(&c);
	}
	/* No TLS at all. */
	memset(&c, 0, sizeof(c));
	forget_trace(h);
	connect_to(h, &c.g, "api.demo.test:443", WAY_INTERCEPT);
	say(&c.g, "GET / HTTP/1.1\r\nHost: api.demo.test\r\n\r\n");
	assert_true(c.g.end);
	untraced(h, "request way");
	leave(&c.g);
}

static void
no_leaf_no_200(void **state)
{
	struct house *h = *state;
	struct guest g;

	/* The session's CA does not reach this host, whatever a courier says.
	 */
	come(h, &g);
	say(&g,
	    "ATTACH %s\r\nCONNECT evil.test:443 HTTP/1.1\r\n"
	    "Host: evil.test:443\r\n\r\n",
	    h->token);
	allow_connect(h, WAY_INTERCEPT);
	take(&g);
	has(&g, "503 ");
	traced(h, "note not-ready\nconn_end\n");
	assert_false(g.end);
	leave(&g);
}

/* A served request on a connection to host, which shows ticket (or none): was
 * that resumed? And the ticket that it got. */
static bool
served(
    struct house *h, struct client *c, const char *host, SSL_SESSION **ticket)
{
	char authority[64], request[128];

	(void)snprintf(authority, sizeof(authority), "%s:443", host);
	(void)snprintf(request, sizeof(request),
	    "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host);
	connect_to(h, &c->g, authority, WAY_INTERCEPT);
	c->ticket = *ticket;
	start_tls(c, host);
	assert_int_equal(c->failed, 0);
	bool resumed = SSL_session_reused(c->ssl);
	tell(c, request);
	respond(h, 204, BODY_NONE, 0);
	respond_end(h);
	hear(c);
	has(&c->g, "HTTP/1.1 204 ");
	SSL_SESSION_free(*ticket);
	*ticket = SSL_get1_session(c->ssl);
	assert_true(SSL_SESSION_is_resumable(*ticket));
	assert_int_equal(SSL_SESSION_get_max_early_data(*ticket), 0);
	(void)SSL_shutdown(c->ssl); /* or the ticket counts as bad */
	SSL_free(c->ssl);
	leave(&c->g);
	hush(&c->g);
	return resumed;
}

static void
tls_resumes_within_the_gate(void **state)
{
	static const int versions[] = {TLS1_3_VERSION, TLS1_2_VERSION};
	struct house *h = *state;

	for (size_t i = 0; i < 2; i++) {
		static struct client c;
		SSL_SESSION *ticket = NULL;

		memset(&c, 0, sizeof(c));
		c.version = versions[i];
		assert_false(served(h, &c, "api.demo.test", &ticket));
		assert_true(served(h, &c, "api.demo.test", &ticket));
		assert_true(served(h, &c, "api.demo.test", &ticket));
		/* Another's leaf must be seen before it is believed. */
		assert_false(served(h, &c, "b.test", &ticket));
		assert_true(served(h, &c, "b.test", &ticket));
		assert_false(served(h, &c, "api.demo.test", &ticket));
		SSL_SESSION_free(ticket);
		SSL_CTX_free(c.ctx);
	}
}

static void
who_has_said_all_is_answered(void **state)
{
	struct house *h = *state;
	static struct client c;

	memset(&c, 0, sizeof(c));
	connect_to(h, &c.g, "api.demo.test:443", WAY_INTERCEPT);
	start_tls(&c, "api.demo.test");
	tell(&c, "GET / HTTP/1.1\r\nHost: api.demo.test\r\n\r\n");
	(void)SSL_shutdown(c.ssl); /* close_notify: our half */
	turn(h);
	respond(h, 204, BODY_NONE, 0);
	respond_end(h);
	hear(&c);
	has(&c.g, "HTTP/1.1 204 ");
	assert_true(c.g.end);
	go(&c);
}

static void
a_cut_resets_tls_too(void **state)
{
	struct house *h = *state;
	struct guest_cut m = {.serial = 3, .family = span_str(FAMILY)};
	static struct client c;

	memset(&c, 0, sizeof(c));
	connect_to(h, &c.g, "api.demo.test:443", WAY_INTERCEPT);
	start_tls(&c, "api.demo.test");
	tell(&c, "GET / HTTP/1.1\r\nHost: api.demo.test\r\n\r\n");
	respond(h, 200, BODY_CHUNKED, 0);
	turn(h);
	assert_int_equal(link_send(h->minter, &msg_guest_cut, &m, -1), 0);
	turn(h);
	assert_int_equal(h->cut_done, 3);
	hear(&c);
	assert_true(c.g.end);
	traced(h, "reset\nconn_end\n");
	go(&c);
}

/* A ClientHello as OpenSSL makes it. */
static size_t
make_hello(const char *sni, uint8_t *out, size_t size)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *to = BIO_new(BIO_s_mem());

	SSL_set_bio(ssl, in, to);
	SSL_set_tlsext_host_name(ssl, sni);
	SSL_set_connect_state(ssl);
	(void)SSL_do_handshake(ssl);
	int n = BIO_read(to, out, (int)size);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	assert_true(n > 0);
	return (size_t)n;
}

static void
tunnels_pipe_bytes(void **state)
{
	struct house *h = *state;
	struct guest g;
	uint8_t hello[4096];
	size_t n = make_hello("api.demo.test", hello, sizeof(hello));

	connect_to(h, &g, "api.demo.test:443", WAY_TUNNEL);
	/* In pieces: nothing goes on before the whole hello was read. */
	say_bytes(&g, hello, 100);
	untraced(h, "tunnel");
	assert_int_equal(buf_len(h->body), 0);
	say_bytes(&g, hello + 100, n - 100);
	traced(h, "tunnel api.demo.test\n");
	assert_int_equal(buf_len(h->body), n);
	assert_memory_equal(buf_span(h->body).p, hello, n);
	respond_bytes(h, "from there", 10);
	take(&g);
	assert_string_equal(g.got, "from there");
	shutdown(g.fd, SHUT_WR);
	turn(h);
	traced(h, "end\n");
	respond_bytes(h, "last", 4);
	respond_end(h);
	take(&g);
	has(&g, "last");
	assert_true(g.end);
	leave(&g);
	turn(h);
	assert_int_equal(h->gate->n_conns, 0);
}

static void
tunnels_wait_for_credit(void **state)
{
	struct house *h = *state;
	struct guest g;
	uint8_t hello[4096];
	size_t n = make_hello("api.demo.test", hello, sizeof(hello));
	uint8_t *much = calloc(1, 2 * TRAFFIC_WINDOW);

	connect_to(h, &g, "api.demo.test:443", WAY_TUNNEL);
	say_bytes(&g, hello, n);
	for (int i = 0; i < 20; i++) {
		(void)!send(g.fd, much, TRAFFIC_WINDOW / 10, MSG_DONTWAIT);
		turn(h);
	}
	assert_int_equal(buf_len(h->body), TRAFFIC_WINDOW);
	refuse_stream(h, h->stream, REASON_LIMIT_BYTES);
	take(&g);
	assert_true(g.end);
	free(much);
	leave(&g);
}

static void
encrypted_hellos_are_no_tunnel(void **state)
{
	struct house *h = *state;
	struct guest g;
	uint8_t hello[4096];
	size_t n = make_hello("api.demo.test", hello, sizeof(hello) - 4);
	uint8_t *ext = memmem(hello, n, "\x00\x17\x00\x00", 4); /* EMS */

	assert_non_null(ext);
	ext[0] = 0xfe;
	ext[1] = 0x0d;
	connect_to(h, &g, "api.demo.test:443", WAY_TUNNEL);
	say_bytes(&g, hello, n);
	take(&g);
	assert_true(g.end);
	traced(h, "note unsupported\n");
	untraced(h, "tunnel ");
	leave(&g);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_ready, drop_house)
	const struct CMUnitTest tests[] = {
	    T(interception),
	    T(requests_within_name_the_same_host),
	    T(the_hello_must_name_the_host),
	    T(no_leaf_no_200),
	    T(tls_resumes_within_the_gate),
	    T(who_has_said_all_is_answered),
	    T(a_cut_resets_tls_too),
	    T(tunnels_pipe_bytes),
	    T(tunnels_wait_for_credit),
	    T(encrypted_hellos_are_no_tunnel),
	};

	signal(SIGPIPE, SIG_IGN); /* as jail_begin() does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
