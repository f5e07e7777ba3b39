/* SPDX-License-Identifier: ISC */
/* Requirements 15 and 18: what is not strict HTTP/1.1 is refused, wherever
 * the bytes are split, and what is accepted reads the same at every split. */
#include "egress/http/h1_parse.h"
#include "egress/http/h1_write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* A message stream read whole, as text. */
static int
read_all(enum h1_role role, bool to_head, struct span all, size_t piece,
    bool eof, struct buf *out, const char **why)
{
	enum h1_event e = H1_MORE;
	struct span body;
	struct h1 *p;
	int r = 0;

	assert_int_equal(h1_new(role, &p), 0);
	h1_start(p, to_head);
	while (all.n > 0 && r == 0) {
		struct span in = span_of(all.p, piece < all.n ? piece : all.n);
		/* A copy of exact size, so that ASan sees an overread. */
		uint8_t *copy = malloc(in.n);
		memcpy(copy, in.p, in.n);
		struct span c = span_of(copy, in.n);
		do {
			r = h1_next(p, &c, &e, &body);
			if (r == 0 && e == H1_HEAD) {
				struct head *h = h1_head(p);
				assert_int_equal(
				    buf_printf(out,
					"%.*s %.*s %u body=%d len=%llu "
					"close=%d up=%d ex=%d\n",
					(int)h->method.n, h->method.p,
					(int)h->target.n, h->target.p,
					h->status, h->body,
					(unsigned long long)h->length, h->close,
					h->upgrade, h->expect),
				    0);
				for (size_t i = 0; i < h->n_fields; i++)
					assert_int_equal(
					    buf_printf(out, "[%.*s=%.*s]\n",
						(int)h->fields[i].name.n,
						h->fields[i].name.p,
						(int)h->fields[i].value.n,
						h->fields[i].value.p),
					    0);
			} else if (r == 0 && e == H1_BODY) {
				assert_int_equal(buf_put_span(out, body), 0);
			} else if (r == 0 && e == H1_END) {
				struct head *t = h1_trailers(p);
				for (size_t i = 0; i < t->n_fields; i++)
					assert_int_equal(
					    buf_printf(out, "{%.*s=%.*s}",
						(int)t->fields[i].name.n,
						t->fields[i].name.p,
						(int)t->fields[i].value.n,
						t->fields[i].value.p),
					    0);
				assert_int_equal(
				    buf_put_str(out, "\nEND\n"), 0);
				if (role == H1_REQUEST)
					h1_start(p, false);
			}
		} while (r == 0 && (e != H1_MORE || c.n > 0) &&
			 !(e == H1_MORE && c.n > 0 && role == H1_RESPONSE));
		if (r == 0 && c.n > 0)
			r = ERR_EXISTS; /* bytes after the end */
		free(copy);
		all = span_from(all, in.n);
	}
	if (r == 0 && eof && (r = h1_eof(p, &e)) == 0 && e == H1_END)
		assert_int_equal(buf_put_str(out, "\nEND\n"), 0);
	*why = r == 0 ? "" : h1_why(p);
	h1_free(p);
	return r;
}

static void
check(enum h1_role role, bool to_head, const char *text, size_t n, bool eof,
    int want, const char *want_text)
{
	for (size_t piece = 1; piece <= n; piece++) {
		struct buf *out = buf_new(1 << 20);
		const char *why;
		int r = read_all(
		    role, to_head, span_of(text, n), piece, eof, out, &why);
		if (r != want)
			print_message("piece %zu of %.*s: %d (%s)\n", piece,
			    (int)n, text, r, why);
		assert_int_equal(r, want);
		if (want_text != NULL) {
			struct span s = buf_span(out);
			if (!span_is(s, want_text))
				print_message("%.*s\n", (int)s.n, s.p);
			assert_true(span_is(s, want_text));
		}
		buf_free(out);
	}
}

#define H "Host: a.test\r\n"

static const char *const bad_requests[] = {
    "\r\nGET / HTTP/1.1\r\n" H "\r\n",
    "\nGET / HTTP/1.1\r\n" H "\r\n",
    "GET / HTTP/1.1\n" H "\r\n",
    "GET / HTTP/1.1\r\nHost: a.test\n\r\n",
    "GET / HTTP/1.1\r\n" H "\n",
    "GET / HTTP/1.1\rX: y\r\n" H "\r\n",
    "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n",
    "GET / HTTP/1.1\r\n" H "X: a\r\r\n\r\n",
    "GET / HTTP/1.1\r\n" H "X: a\x01z\r\n\r\n",
    "GET / HTTP/1.1\r\n" H "X: a\x7fz\r\n\r\n",
    "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n",
    "GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n",
    "GET / HTTP/1.1\r\n X: a\r\n" H "\r\n",
    "GET / HTTP/1.1\r\nHost : a.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost\t: a.test\r\n\r\n",
    "GET / HTTP/1.1\r\n" H "X Y: a\r\n\r\n",
    "GET / HTTP/1.1\r\n" H ": a\r\n\r\n",
    "GET / HTTP/1.1\r\n" H "X\r\n\r\n",
    "GET / HTTP/1.1\r\n" H "X\x80: a\r\n\r\n",
    "GET / HTTP/1.1\r\n" H "(x): a\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "GET / HTTP/1.1\r\n" H H "\r\n",
    "GET / HTTP/1.1\r\n" H "host: b.test\r\n\r\n",
    "GET /\r\n\r\n",
    "GET / HTTP/1.0\r\n" H "\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "CONNECT a.test:443 HTTP/1.1\r\n\r\n",
    "CONNECT a.test:443 HTTP/1.1\r\nConnection: close\r\n\r\n",
    "CONNECT a.test:443 HTTP/1.0\r\nHost:\r\n\r\n",
    "CONNECT a.test:443 HTTP/1.0\r\n" H H "\r\n",
    "GET / HTTP/0.9\r\n" H "\r\n",
    "GET / HTTP/2.0\r\n" H "\r\n",
    "GET / HTTP/1.2\r\n" H "\r\n",
    "GET / HTTP/1.1 \r\n" H "\r\n",
    "GET / http/1.1\r\n" H "\r\n",
    "GET  / HTTP/1.1\r\n" H "\r\n",
    "GET /  HTTP/1.1\r\n" H "\r\n",
    "GET\t/ HTTP/1.1\r\n" H "\r\n",
    " GET / HTTP/1.1\r\n" H "\r\n",
    "GET /a b HTTP/1.1\r\n" H "\r\n",
    "GET /#x HTTP/1.1\r\n" H "\r\n",
    "GET /\x80 HTTP/1.1\r\n" H "\r\n",
    "GET HTTP/1.1\r\n" H "\r\n",
    "G=T / HTTP/1.1\r\n" H "\r\n",
    "get / HTTP/1.1\r\n" H "\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "PRI * HTTP/1.1\r\n" H "\r\n",
    "SOURCE / ICE/1.0\r\n" H "\r\n",
    "POST / HTTP/1.1\r\n" H
    "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\n" H
    "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Content-Length: -3\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Content-Length: 0x3\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Content-Length: 03\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Content-Length: 3 3\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551619\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;q=1\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \x0b"
    "chunked\r\n\r\n",
    "POST / HTTP/1.1\r\n" H
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Expect: 200-ok\r\nContent-Length: 1\r\n\r\n",
    "CONNECT a.test:443 HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\n",
    "CONNECT a.test:443 HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n",
};

#define C "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
static const char *const bad_chunks[] = {
    C "\r\n",
    C "x\r\n",
    C "-1\r\n",
    C "+1\r\na\r\n",
    C "0x1\r\n",
    C " 1\r\na\r\n",
    C "1 \r\na\r\n",
    C "1;x=y\r\na\r\n",
    C "1;\r\na\r\n",
    C "1\na\r\n",
    C "1\r\r\na\r\n",
    C "1\r\nab\r\n",
    C "1\r\na\n",
    C "1\r\na\rx",
    C "8000000000000000\r\n",
    C "ffffffffffffffff\r\n",
    C "10000000000000001\r\n",
    C "00000000000000000\r\n",
    C "0\r\nX : y\r\n\r\n",
    C "0\r\n y\r\n\r\n",
    C "0\r\nX: y\n\r\n",
    C "0\r\nX: y\r\n z\r\n\r\n",
    C "0\n\r\n",
    C "0\r\n\n",
};

static const char *const bad_responses[] = {
    "\r\nHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\n\r\n",
    "HTTP/1.1 200 OK\r\n\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    "HTTP/1.1 99 OK\r\n\r\n",
    "HTTP/1.1 600 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 +20 OK\r\n\r\n",
    "HTTP/1.1 20\r\n\r\n",
    "HTTP/2 200 OK\r\n\r\n",
    "HTTP/1.2 200 OK\r\n\r\n",
    "ICY 200 OK\r\n\r\n",
    "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "HTTP/1.1 100 C\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.1 204 N\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.1 204 N\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"
    "\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: y\rSet-Cookie: z\r\n\r\n",
};

static void
refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_requests) / sizeof(char *); i++)
		check(H1_REQUEST, false, bad_requests[i],
		    strlen(bad_requests[i]), false, ERR_FORMAT, NULL);
	for (size_t i = 0; i < sizeof(bad_chunks) / sizeof(char *); i++)
		check(H1_REQUEST, false, bad_chunks[i], strlen(bad_chunks[i]),
		    false, ERR_FORMAT, NULL);
	for (size_t i = 0; i < sizeof(bad_responses) / sizeof(char *); i++)
		check(H1_RESPONSE, false, bad_responses[i],
		    strlen(bad_responses[i]), false, ERR_FORMAT, NULL);
}

static void
every_control_byte_is_refused(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		char t[64];
		int n = snprintf(
		    t, sizeof(t), "GET / HTTP/1.1\r\n" H "X: a?b\r\n\r\n");
		char *mark = memchr(t, '?', (size_t)n);
		*mark = (char)c;
		bool good = c == '\t' || (c >= ' ' && c != 0x7f);
		check(H1_REQUEST, false, t, (size_t)n, false,
		    good ? 0 : ERR_FORMAT, NULL);
		memcpy(t, "GET /?", 6);
		n = snprintf(t, sizeof(t), "GET /x? HTTP/1.1\r\n" H "\r\n");
		t[6] = (char)c;
		good = c > ' ' && c < 0x7f && c != '#';
		if (c != ' ')
			check(H1_REQUEST, false, t, (size_t)n, false,
			    good ? 0 : ERR_FORMAT, NULL);
	}
}

static void
requests_read_the_same_at_every_split(void **state)
{
	static const char two[] =
	    "POST /a?b=c HTTP/1.1\r\nHost: a.test\r\nX-Key:  v \t\r\n"
	    "EMPTY:\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\nhello"
	    "GET http://b.test/ HTTP/1.1\r\nhost: b.test\r\n"
	    "Connection: keep-alive, Close\r\n\r\n";
	static const char chunked[] = "PUT /x HTTP/1.1\r\nHost: a\r\n"
				      "transfer-encoding: Chunked\r\n\r\n"
				      "5\r\nhello\r\n00B\r\n, you there\r\n"
				      "0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n";
	static const char connect[] =
	    "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n";
	/* As Python's http.client says it. */
	static const char old_connect[] = "CONNECT a.test:443 HTTP/1.0\r\n\r\n";
	static const char upgrade[] =
	    "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
	    "Upgrade: websocket\r\n\r\n";

	(void)state;
	check(H1_REQUEST, false, two, sizeof(two) - 1, true, 0,
	    "POST /a?b=c 0 body=1 len=5 close=0 up=0 ex=1\n[host=a.test]\n"
	    "[x-key=v]\n[empty=]\nhello\nEND\n"
	    "GET http://b.test/ 0 body=0 len=0 close=1 up=0 ex=0\n"
	    "[host=b.test]\n[connection=keep-alive, Close]\n\nEND\n");
	check(H1_REQUEST, false, chunked, sizeof(chunked) - 1, true, 0,
	    "PUT /x 0 body=2 len=0 close=0 up=0 ex=0\n[host=a]\n"
	    "hello, you there{x-sum=1}{host=evil}\nEND\n");
	check(H1_REQUEST, false, connect, sizeof(connect) - 1, true, 0,
	    "CONNECT a.test:443 0 body=0 len=0 close=0 up=0 ex=0\n"
	    "[host=a.test:443]\n\nEND\n");
	check(H1_REQUEST, false, old_connect, sizeof(old_connect) - 1, true, 0,
	    "CONNECT a.test:443 0 body=0 len=0 close=1 up=0 ex=0\n\nEND\n");
	check(H1_REQUEST, false, upgrade, sizeof(upgrade) - 1, true, 0,
	    "GET / 0 body=0 len=0 close=0 up=1 ex=0\n[host=a]\n"
	    "[connection=upgrade]\n[upgrade=websocket]\n\nEND\n");
}

/* Early hints may be many, or long. */
static void
interims_have_a_bound_together(void **state)
{
	static char head[16000];
	enum h1_event e = H1_MORE;
	struct span body, in;
	size_t heads = 0;
	struct h1 *p;
	int r = 0;

	(void)state;
	memset(head, 'a', sizeof(head));
	memcpy(head, "HTTP/1.1 103 E\r\nx: ", 19);
	memcpy(head + sizeof(head) - 4, "\r\n\r\n", 4);
	assert_int_equal(h1_new(H1_RESPONSE, &p), 0);
	while (r == 0 && heads < H1_INTERIM_MAX) {
		in = span_of(head, sizeof(head));
		r = h1_next(p, &in, &e, &body);
		heads += r == 0 && e == H1_HEAD;
	}
	assert_int_equal(heads, 4);
	assert_int_equal(r, ERR_FORMAT);
	assert_string_equal(h1_why(p), "too many interim responses");
	h1_free(p);
}

/* A 101 that was asked for, cut anywhere: what follows is left alone. */
static void
an_upgrade_ends_the_parser(void **state)
{
	static const char text[] =
	    "HTTP/1.1 103 E\r\n\r\nHTTP/1.1 101 S\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\n\r\n";
	static const char old[] = "HTTP/1.0 101 S\r\nUpgrade: websocket\r\n"
				  "Connection: Upgrade\r\n\r\n";
	enum h1_event e;
	struct span body;
	struct h1 *p;

	(void)state;
	for (size_t cut = 0; cut < sizeof(text); cut++) {
		char all[] = "HTTP/1.1 103 E\r\n\r\nHTTP/1.1 101 S\r\n"
			     "Upgrade: websocket\r\nConnection: Upgrade\r\n"
			     "\r\nraw \r\n bytes";
		size_t n = sizeof(all) - 1, heads = 0;
		struct span in = span_of(all, cut);
		assert_int_equal(h1_new(H1_RESPONSE, &p), 0);
		h1_start_upgrade(p);
		while (h1_next(p, &in, &e, &body) == 0 && e == H1_HEAD)
			heads++;
		in = span_of(all + cut, n - cut);
		while (h1_next(p, &in, &e, &body) == 0 && e == H1_HEAD)
			heads++;
		assert_int_equal(e, H1_MORE);
		assert_int_equal(heads, 2);
		assert_int_equal(h1_head(p)->status, 101);
		assert_true(h1_head(p)->upgrade);
		assert_int_equal(in.n, n - sizeof(text) + 1);
		h1_free(p);
	}
	struct span in = span_of(old, sizeof(old) - 1);
	assert_int_equal(h1_new(H1_RESPONSE, &p), 0);
	h1_start_upgrade(p);
	assert_int_equal(h1_next(p, &in, &e, &body), ERR_FORMAT);
	h1_free(p);
}

static void
responses_read_the_same_at_every_split(void **state)
{
	static const char *const t[][2] = {
	    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nLink: x\r\n\r\n"
	     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"  100 body=0 len=0 close=0 up=0 ex=0\n"
		"  103 body=0 len=0 close=0 up=0 ex=0\n[link=x]\n"
		"  200 body=1 len=2 close=0 up=0 ex=0\nok\nEND\n"},
	    {"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
	     "0\r\n\r\n",
		"  200 body=2 len=0 close=0 up=0 ex=0\nok\nEND\n"},
	    {"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
	     "0\r\nSet-Cookie: a\r\nX-Sum: 1\r\n\r\n",
		"  200 body=2 len=0 close=0 up=0 ex=0\nok{x-sum=1}\nEND\n"},
	    {"HTTP/1.1 200 OK\r\nX: y\r\n\r\nuntil close",
		"  200 body=3 len=0 close=1 up=0 ex=0\n[x=y]\nuntil "
		"close\nEND\n"},
	    {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"  200 body=1 len=2 close=1 up=0 ex=0\nok\nEND\n"},
	    {"HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n",
		"  304 body=0 len=9 close=0 up=0 ex=0\n\nEND\n"},
	    {"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n",
		"  204 body=0 len=0 close=0 up=0 ex=0\n\nEND\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		check(H1_RESPONSE, false, t[i][0], strlen(t[i][0]), true, 0,
		    t[i][1]);
	static const char head[] =
	    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
	check(H1_RESPONSE, true, head, sizeof(head) - 1, true, 0,
	    "  200 body=0 len=9 close=0 up=0 ex=0\n\nEND\n");
	static const char headc[] =
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
	check(H1_RESPONSE, true, headc, sizeof(headc) - 1, true, 0,
	    "  200 body=0 len=0 close=0 up=0 ex=0\n\nEND\n");
}

static void
bytes_after_a_response_are_seen(void **state)
{
	static const char t[] =
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200";

	(void)state;
	check(H1_RESPONSE, false, t, sizeof(t) - 1, false, ERR_EXISTS, NULL);
}

static void
truncation_is_seen(void **state)
{
	static const char *const t[] = {"HTTP/1.1 200 OK\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
	    "HTTP/1.1 100 C\r\n\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		check(H1_RESPONSE, false, t[i], strlen(t[i]), true,
		    ERR_TRUNCATED, NULL);
}

static void
bounds_hold(void **state)
{
	struct buf *b = buf_new(1 << 20), *out = buf_new(1 << 20);
	const char *why;

	(void)state;
	assert_int_equal(buf_put_str(b, "GET / HTTP/1.1\r\n" H), 0);
	for (int i = 0; i < 127; i++)
		assert_int_equal(buf_printf(b, "X%d: y\r\n", i), 0);
	struct span s = buf_span(b);
	assert_int_equal(buf_put_str(b, "\r\n"), 0);
	s = buf_span(b);
	assert_int_equal(
	    read_all(H1_REQUEST, false, s, s.n, true, out, &why), 0);
	buf_reset(b);
	assert_int_equal(buf_put_str(b, "GET / HTTP/1.1\r\n" H), 0);
	for (int i = 0; i < 128; i++)
		assert_int_equal(buf_printf(b, "X%d: y\r\n", i), 0);
	assert_int_equal(buf_put_str(b, "\r\n"), 0);
	s = buf_span(b);
	assert_int_equal(
	    read_all(H1_REQUEST, false, s, s.n, true, out, &why), ERR_TOO_BIG);
	buf_reset(b);
	assert_int_equal(buf_put_str(b, "GET / HTTP/1.1\r\nX: "), 0);
	for (int i = 0; i < 70000; i++)
		assert_int_equal(buf_put_str(b, "y"), 0);
	s = buf_span(b);
	assert_int_equal(
	    read_all(H1_REQUEST, false, s, 1000, true, out, &why), ERR_TOO_BIG);
	buf_reset(b);
	for (int i = 0; i < 17; i++)
		assert_int_equal(
		    buf_put_str(b, "HTTP/1.1 100 Continue\r\n\r\n"), 0);
	s = buf_span(b);
	assert_int_equal(
	    read_all(H1_RESPONSE, false, s, s.n, true, out, &why), ERR_FORMAT);
	buf_free(b);
	buf_free(out);
}

/* Whatever a parser accepts, the writer's bytes read back the same. */
static void
written_reads_back(void **state)
{
	static const char in[] =
	    "POST /p?q HTTP/1.1\r\nHost: a\r\nX-A:  1\r\nx-a: 2\r\n"
	    "Content-Length: 2\r\n\r\nok";
	struct buf *out = buf_new(4096);
	struct span s = span_of(in, sizeof(in) - 1), body;
	enum h1_event e;
	struct h1 *p;

	(void)state;
	assert_int_equal(h1_new(H1_REQUEST, &p), 0);
	assert_int_equal(h1_next(p, &s, &e, &body), 0);
	assert_int_equal(e, H1_HEAD);
	assert_int_equal(h1_put_head(h1_head(p), false, out), 0);
	assert_true(span_is(buf_span(out),
	    "POST /p?q HTTP/1.1\r\nhost: a\r\nx-a: 1\r\nx-a: 2\r\n"
	    "content-length: 2\r\n\r\n"));
	h1_free(p);
	buf_free(out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(refusals),
	    cmocka_unit_test(every_control_byte_is_refused),
	    cmocka_unit_test(requests_read_the_same_at_every_split),
	    cmocka_unit_test(an_upgrade_ends_the_parser),
	    cmocka_unit_test(interims_have_a_bound_together),
	    cmocka_unit_test(responses_read_the_same_at_every_split),
	    cmocka_unit_test(bytes_after_a_response_are_seen),
	    cmocka_unit_test(truncation_is_seen),
	    cmocka_unit_test(bounds_hold),
	    cmocka_unit_test(written_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
