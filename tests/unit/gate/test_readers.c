/* SPDX-License-Identifier: ISC */
/* The small pure readers, by table: ClientHello, forms, tokens in fields. */
#include "egress/gate/attach.h"
#include "egress/gate/clienthello.h"
#include "egress/gate/form.h"
#include "egress/gate/problem.h"

#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static size_t
make_hello(const char *sni, uint8_t *out, size_t size)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *to = BIO_new(BIO_s_mem());

	SSL_set_bio(ssl, in, to);
	if (sni != NULL)
		SSL_set_tlsext_host_name(ssl, sni);
	SSL_set_connect_state(ssl);
	(void)SSL_do_handshake(ssl); /* it has said hello by now */
	int n = BIO_read(to, out, (int)size);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	assert_true(n > 0);
	return (size_t)n;
}

static void
a_hello_needs_all_its_bytes(void **state)
{
	uint8_t b[4096];
	struct clienthello c;
	size_t n = make_hello("API.demo.test", b, sizeof(b));

	(void)state;
	for (size_t i = 0; i < n; i++) {
		uint8_t *exact = malloc(i + 1); /* ASan sees an overread */
		memcpy(exact, b, i);
		assert_int_equal(
		    clienthello_parse(span_of(exact, i), &c), ERR_TRUNCATED);
		free(exact);
	}
	assert_int_equal(clienthello_parse(span_of(b, n), &c), 0);
	assert_true(c.has_sni);
	assert_string_equal(c.sni.name, "api.demo.test");
	assert_false(c.ech);
	n = make_hello(NULL, b, sizeof(b));
	assert_int_equal(clienthello_parse(span_of(b, n), &c), 0);
	assert_false(c.has_sni);
}

static size_t
in_records(const uint8_t *b, size_t n, size_t piece, uint8_t *out)
{
	size_t at = 0;

	for (size_t i = 5; i < n; i += piece) {
		size_t k = n - i < piece ? n - i : piece;
		uint8_t head[] = {22, 3, 1, (uint8_t)(k >> 8), (uint8_t)k};
		memcpy(out + at, head, 5);
		memcpy(out + at + 5, b + i, k);
		at += 5 + k;
	}
	return at;
}

static void
a_hello_may_span_records(void **state)
{
	uint8_t b[4096];
	static uint8_t cut[65536];
	struct clienthello c;
	size_t n = make_hello("a.test", b, sizeof(b));

	(void)state;
	for (size_t piece = 1; piece < 200; piece += 3) {
		size_t k = in_records(b, n, piece, cut);
		assert_int_equal(clienthello_parse(span_of(cut, k), &c), 0);
		assert_string_equal(c.sni.name, "a.test");
	}
}

/* No length may lie: whatever byte is changed, it parses or it does not,
 * but never reads beyond (ASan) and never makes up a name that is none. */
static void
every_byte_may_lie(void **state)
{
	uint8_t b[4096];
	struct clienthello c;
	struct host h;
	size_t n = make_hello("a.test", b, sizeof(b));

	(void)state;
	for (size_t i = 0; i < n; i++) {
		for (unsigned v = 1; v < 256; v += 3) {
			b[i] ^= (uint8_t)v;
			int r = clienthello_parse(span_of(b, n), &c);
			if (r == 0 && c.has_sni)
				assert_int_equal(
				    host_parse(span_str(c.sni.name), &h), 0);
			b[i] ^= (uint8_t)v;
		}
	}
}

static void
what_is_no_hello(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		int err;
	} t[] = {
	    {"GET / HTTP/1.1", 14, ERR_FORMAT},
	    {"\x80\x2e\x01", 3, ERR_FORMAT}, /* SSLv2 */
	    {"\x15\x03\x01\x00\x02\x02\x28", 7, ERR_FORMAT},
	    {"\x16\x02\x00\x00\x01\x01", 6, ERR_FORMAT},
	    {"\x16\x03\x04\x00\x01\x01", 6, ERR_FORMAT},
	    {"\x16\x03\x01\x00\x00", 5, ERR_FORMAT},
	    {"\x16\x03\x01\x40\x01", 5, ERR_FORMAT},
	    {"\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9, ERR_FORMAT},
	    {"\x16\x03\x01\x00\x04\x01\x00\x40\x00", 9, ERR_TOO_BIG},
	    {"\x16\x03\x01\x00\x05\x01\x00\x00\x00\x00", 10, ERR_FORMAT},
	    {"\x16", 1, ERR_TRUNCATED},
	    {"", 0, ERR_TRUNCATED},
	};
	struct clienthello c;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(
		    clienthello_parse(span_of(t[i].bytes, t[i].n), &c),
		    t[i].err);
}

static void
forms_are_strict(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *a, *b; /* NULL: absent */
	} t[] = {
	    {"", 0, NULL, NULL},
	    {"a=", 0, "", NULL},
	    {"a=1&b=2", 0, "1", "2"},
	    {"b=x%20y+z%2B", 0, NULL, "x y z+"},
	    {"a=%E2%82%AC", 0, "\xe2\x82\xac", NULL},
	    {"a=b=c", 0, "b=c", NULL},
	    {"a", ERR_FORMAT, NULL, NULL},
	    {"a=1&", ERR_FORMAT, NULL, NULL},
	    {"&a=1", ERR_FORMAT, NULL, NULL},
	    {"a=1&&b=2", ERR_FORMAT, NULL, NULL},
	    {"a=1&a=1", ERR_FORMAT, NULL, NULL},
	    {"c=1", ERR_FORMAT, NULL, NULL},
	    {"%61=1", ERR_FORMAT, NULL, NULL},
	    {"A=1", ERR_FORMAT, NULL, NULL},
	    {"a=%", ERR_FORMAT, NULL, NULL},
	    {"a=%4", ERR_FORMAT, NULL, NULL},
	    {"a=%g1", ERR_FORMAT, NULL, NULL},
	    {"a=%00", ERR_FORMAT, NULL, NULL},
	    {"a=%C0%AF", ERR_FORMAT, NULL, NULL},
	    {"a=%ED%A0%80", ERR_FORMAT, NULL, NULL},
	    {"a=%F5%80%80%80", ERR_FORMAT, NULL, NULL},
	    {"a=x y", ERR_FORMAT, NULL, NULL},
	    {"a=x\r\n", ERR_FORMAT, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct form_field f[] = {{"a"}, {"b"}};
		struct buf *out = buf_new(256);
		assert_int_equal(
		    form_parse(span_str(t[i].text), f, 2, out), t[i].err);
		for (int k = 0; k < 2 && t[i].err == 0; k++) {
			const char *want = k == 0 ? t[i].a : t[i].b;
			assert_int_equal(f[k].present, want != NULL);
			assert_true(span_eq(f[k].value, span_str(want)));
		}
		buf_free(out);
	}
}

static void
tokens_in_fields(void **state)
{
	static const struct {
		const char *value, *token; /* NULL: refused */
	} t[] = {
	    {"Bearer a.b-c_D", "a.b-c_D"},
	    {"bEARER x", "x"},
	    {"Basic eDphLmI=", "a.b"}, /* x:a.b */
	    {"Basic OmEuYg==", "a.b"}, /* :a.b */
	    {"Basic eDphLmI", NULL},   /* no padding */
	    {"Basic eDo=", NULL},      /* x: */
	    {"Basic eGEuYg==", NULL},  /* xa.b */
	    {"Basic eDphL2I=", NULL},  /* x:a/b */
	    {"Basic eDphLmI= ", NULL},
	    {"Basic", NULL},
	    {"Bearer", NULL},
	    {"Bearer ", NULL},
	    {"Bearer  x", NULL},
	    {"Bearer x y", NULL},
	    {"Bearer x,Bearer y", NULL},
	    {"Digest x", NULL},
	    {"", NULL},
	};
	char token[ATTACH_TOKEN_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int r = attach_from_header(span_str(t[i].value), token);
		assert_int_equal(r, t[i].token == NULL ? ERR_FORMAT : 0);
		if (r == 0)
			assert_string_equal(token, t[i].token);
	}
}

/* Every reason makes a whole answer (requirement 14: constant words). */
static void
every_reason_can_be_told(void **state)
{
	(void)state;
	for (unsigned i = 1; i < REASON_COUNT; i++) {
		struct problem p = {.reason = i, .retry_after = i};
		struct buf *b = buf_new(16384);
		const char *word = reason_row(i)->word;

		struct span status;
		struct head h;

		head_init(&h);
		assert_int_equal(problem_make(&p, &h, b), 0);
		assert_true(head_get(&h, "proxy-status", &status));
		assert_non_null(
		    memmem(status.p, status.n, word, strlen(word)));
		assert_int_equal(h.status, reason_row(i)->status);
		head_clear(&h);
		struct span s = buf_span(b);
		assert_non_null(memmem(s.p, s.n, word, strlen(word)));
		assert_memory_equal(s.p + s.n - 2, "}\n", 2);
		buf_free(b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_hello_needs_all_its_bytes),
	    cmocka_unit_test(a_hello_may_span_records),
	    cmocka_unit_test(every_byte_may_lie),
	    cmocka_unit_test(what_is_no_hello),
	    cmocka_unit_test(forms_are_strict),
	    cmocka_unit_test(tokens_in_fields),
	    cmocka_unit_test(every_reason_can_be_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
