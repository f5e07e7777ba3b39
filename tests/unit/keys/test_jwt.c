/* SPDX-License-Identifier: ISC */
/* Requirements 21, 22 and 23: what is not exactly ours is refused. */
#include "keys/jwt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define NOW 1790000000

static struct signing *keys, *other;
static struct jwks set;

static const struct jwt_claims model = {
    .iss = "http://hatcheck.internal",
    .aud = "hatcheck-egress",
    .sub = "s-abc",
    .client_id = "guest",
    .jti = "j1",
    .fam = "f1",
    .channel = "unix:s-abc",
    .iat = NOW,
    .exp = NOW + 300,
    .n_grants = 2,
    .grants = {"demo-read", "more"},
};
static const struct jwt_expect expect = {
    .iss = "http://hatcheck.internal",
    .aud = "hatcheck-egress",
    .channel = "unix:s-abc",
    .now = NOW,
    .keys = &set,
};

#define HEADER "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\"}"
#define CLAIMS                                                              \
	"\"iss\":\"http://hatcheck.internal\",\"aud\":\"hatcheck-egress\"," \
	"\"sub\":\"s-abc\",\"client_id\":\"guest\",\"jti\":\"j1\","         \
	"\"fam\":\"f1\",\"iat\":1790000000,\"exp\":1790000300,"             \
	"\"cnf\":{\"hck\":\"unix:s-abc\"},\"authorization_details\":[]"

static int
setup(void **state)
{
	(void)state;
	int r = signing_new(NOW, &keys) | signing_new(NOW, &other);
	signing_public(keys, NOW, &set);
	return r;
}

static int
teardown(void **state)
{
	(void)state;
	signing_free(keys);
	signing_free(other);
	return 0;
}

/* The text with "%s" once replaced, if it is there. */
static void
fill(const char *text, const char *with, char *out, size_t size)
{
	const char *at = strstr(text, "%s");

	if (at == NULL)
		snprintf(out, size, "%s", text);
	else
		snprintf(out, size, "%.*s%s%s", (int)(at - text), text, with,
		    at + 2);
}

/* A token of this header and payload, signed by whom is given. */
static enum jwt_result
forge(const char *header, const char *claims, const struct signing *by)
{
	struct buf *b = buf_new(16384);
	char h[512];
	uint8_t sig[SIGNING_SIGNATURE];
	struct jwt_claims out;

	fill(header, signing_kid(by), h, sizeof(h));
	assert_int_equal(b64url_put(span_str(h), b) | buf_put_str(b, ".") |
			     b64url_put(span_str(claims), b),
	    0);
	assert_int_equal(signing_sign(by, buf_span(b), sig), 0);
	assert_int_equal(
	    buf_put_str(b, ".") | b64url_put(span_of(sig, 64), b), 0);
	enum jwt_result r = jwt_verify(buf_span(b), &expect, &out);
	buf_free(b);
	return r;
}

static struct buf *
make(const struct jwt_claims *c)
{
	struct buf *b = buf_new(JWT_MAX);

	assert_int_equal(jwt_sign(c, keys, b), 0);
	return b;
}

static void
round_trip(void **state)
{
	struct jwt_claims out, acting = model;
	struct buf *b = make(&model);

	(void)state;
	assert_int_equal(jwt_verify(buf_span(b), &expect, &out), JWT_GOOD);
	assert_string_equal(out.sub, model.sub);
	assert_string_equal(out.fam, model.fam);
	assert_int_equal(out.n_act, 0);
	assert_int_equal(out.n_grants, 2);
	assert_string_equal(out.grants[1], "more");
	buf_free(b);
	strcpy(acting.act[0], "sub-sub");
	strcpy(acting.act[1], "sub-agent");
	acting.n_act = 2;
	b = make(&acting);
	assert_int_equal(jwt_verify(buf_span(b), &expect, &out), JWT_GOOD);
	assert_int_equal(out.n_act, 2);
	assert_string_equal(out.act[0], "sub-sub");
	assert_string_equal(out.act[1], "sub-agent");
	buf_free(b);
}

/* In every place each flipped bit and some other bytes (b64url has all of
 * them in test_signing), and every cut and repeat. */
static void
mutations(void **state)
{
	struct buf *b = make(&model);
	uint8_t t[JWT_MAX + 1];
	size_t n = buf_len(b);
	struct jwt_claims out;

	(void)state;
	memcpy(t, buf_span(b).p, n);
	for (size_t i = 0; i < n; i++) {
		uint8_t was = t[i];

		for (size_t k = 0; k < 24; k++) {
			unsigned c = k < 8 ? was ^ 1U << k
					   : (was + i * 31 + k * 53) & 255;

			if (c == was)
				continue;
			t[i] = (uint8_t)c;
			if (jwt_verify(span_of(t, n), &expect, &out) ==
			    JWT_GOOD)
				fail_msg("byte %zu as %u", i, c);
		}
		t[i] = was;
		if (jwt_verify(span_of(t, i), &expect, &out) == JWT_GOOD)
			fail_msg("cut at %zu", i);
	}
	for (size_t i = 0; i <= n; i++) {
		memmove(t + i + 1, t + i, n - i);
		t[i] = i < n ? t[i + 1] : 'A';
		if (jwt_verify(span_of(t, n + 1), &expect, &out) == JWT_GOOD)
			fail_msg("repeat at %zu", i);
		memmove(t + i, t + i + 1, n - i);
	}
	assert_int_equal(jwt_verify(span_of(t, n), &expect, &out), JWT_GOOD);
	buf_free(b);
}

static void
headers(void **state)
{
	static const char *const bad[] = {
	    "{\"typ\":\"JWT\",\"alg\":\"EdDSA\",\"kid\":\"%s\"}",
	    "{\"typ\":\"AT+JWT\",\"alg\":\"EdDSA\",\"kid\":\"%s\"}",
	    "{\"typ\":\"application/at+jwt\",\"alg\":\"EdDSA\",\"kid\":"
	    "\"%s\"}",
	    "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}",
	    "{\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
	    "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\"}",
	    "{\"typ\":\"at+jwt\",\"alg\":\"none\",\"kid\":\"%s\"}",
	    "{\"typ\":\"at+jwt\",\"alg\":\"None\",\"kid\":\"%s\"}",
	    "{\"typ\":\"at+jwt\",\"alg\":\"HS256\",\"kid\":\"%s\"}",
	    "{\"typ\":\"at+jwt\",\"alg\":\"RS256\",\"kid\":\"%s\"}",
	    "{\"typ\":\"at+jwt\",\"alg\":\"Ed25519\",\"kid\":\"%s\"}",
	    "{\"typ\":\"at+jwt\",\"alg\":\"eddsa\",\"kid\":\"%s\"}",
	    "{\"typ\":\"at+jwt\",\"alg\":[\"EdDSA\"],\"kid\":\"%s\"}",
	    "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\",\"jwk\":"
	    "{}}",
	    "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\",\"jku\":"
	    "\"http://a\"}",
	    "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\",\"x5u\":"
	    "\"http://a\"}",
	    "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\",\"x5c\":"
	    "\"a\"}",
	    "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\",\"crit\":"
	    "\"b64\"}",
	    "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\",\"b64\":"
	    "false}",
	    "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\",\"cty\":"
	    "\"JWT\"}",
	    "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\",\"kid\":"
	    "\"a\"}",
	    "{\"typ\":\"at+jwt\",\"alg\":\"none\",\"alg\":\"EdDSA\",\"kid\":"
	    "\"%s\"}",
	    "[\"at+jwt\",\"EdDSA\",\"%s\"]",
	    "{}",
	    "\"%s\"",
	    "",
	};

	(void)state;
	assert_int_equal(forge(HEADER, "{" CLAIMS "}", keys), JWT_GOOD);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		enum jwt_result r = forge(bad[i], "{" CLAIMS "}", keys);

		if (r != JWT_HEADER && r != JWT_MALFORMED)
			fail_msg("%s: %s", bad[i], jwt_result_text(r));
	}
	assert_int_equal(forge(HEADER, "{" CLAIMS "}", other), JWT_KEY);
	/* kid is a name, never a path or a query. */
	assert_int_equal(forge("{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":"
			       "\"../../dev/null\"}",
			     "{" CLAIMS "}", keys),
	    JWT_KEY);
}

/* The header names our key, but another signed: also an HMAC-like one. */
static void
wrong_signer(void **state)
{
	struct buf *b = buf_new(8192);
	uint8_t sig[SIGNING_SIGNATURE];
	char h[256];
	struct jwt_claims out;

	(void)state;
	snprintf(h, sizeof(h), HEADER, signing_kid(keys));
	assert_int_equal(b64url_put(span_str(h), b) | buf_put_str(b, ".") |
			     b64url_put(span_str("{" CLAIMS "}"), b),
	    0);
	assert_int_equal(signing_sign(other, buf_span(b), sig), 0);
	assert_int_equal(buf_put_str(b, "."), 0);
	/* no signature at all */
	assert_int_not_equal(jwt_verify(buf_span(b), &expect, &out), JWT_GOOD);
	assert_int_equal(b64url_put(span_of(sig, 64), b), 0);
	assert_int_equal(jwt_verify(buf_span(b), &expect, &out), JWT_SIGNATURE);
	buf_free(b);
}

#define WITHOUT_TIMES                                                       \
	"\"iss\":\"http://hatcheck.internal\",\"aud\":\"hatcheck-egress\"," \
	"\"sub\":\"s-abc\",\"client_id\":\"guest\",\"jti\":\"j1\","         \
	"\"fam\":\"f1\",\"cnf\":{\"hck\":\"unix:s-abc\"},"                  \
	"\"authorization_details\":[]"
#define WITHOUT_CNF                                                         \
	"\"iss\":\"http://hatcheck.internal\",\"aud\":\"hatcheck-egress\"," \
	"\"sub\":\"s-abc\",\"client_id\":\"guest\",\"jti\":\"j1\","         \
	"\"fam\":\"f1\",\"iat\":1790000000,\"exp\":1790000300,"             \
	"\"authorization_details\":[]"
#define ACT4                                                           \
	"\"act\":{\"sub\":\"4\",\"act\":{\"sub\":\"3\",\"act\":{\"sub\":" \
	"\"2\",\"act\":{\"sub\":\"1\""
#define ACT4_ "}}}}"
#define WITHOUT_DETAILS                                                     \
	"\"iss\":\"http://hatcheck.internal\",\"aud\":\"hatcheck-egress\"," \
	"\"sub\":\"s-abc\",\"client_id\":\"guest\",\"jti\":\"j1\","         \
	"\"fam\":\"f1\",\"iat\":1790000000,\"exp\":1790000300,"             \
	"\"cnf\":{\"hck\":\"unix:s-abc\"}"

static void
claims(void **state)
{
	static const struct {
		const char *json;
		enum jwt_result r;
	} rows[] = {
	    {"{" CLAIMS "}", JWT_GOOD},
	    {"{" CLAIMS ",\"act\":{\"sub\":\"a\"}}", JWT_GOOD},
	    {"{" CLAIMS ",\"nbf\":1}", JWT_CLAIMS},
	    {"{" CLAIMS ",\"admin\":true}", JWT_CLAIMS},
	    {"{" CLAIMS ",\"iat\":1}", JWT_MALFORMED},
	    {"{" CLAIMS ",\"act\":\"a\"}", JWT_CLAIMS},
	    {"{" CLAIMS ",\"act\":{}}", JWT_CLAIMS},
	    {"{" CLAIMS ",\"act\":{\"sub\":\"a\",\"x\":1}}", JWT_CLAIMS},
	    {"{" CLAIMS ",\"act\":{\"sub\":\"a\",\"act\":{}}}", JWT_CLAIMS},
	    {"{" CLAIMS ",\"act\":{\"sub\":\"a\",\"act\":null}}", JWT_CLAIMS},
	    {"{" CLAIMS "," ACT4 ACT4_ "}", JWT_GOOD},
	    {"{" CLAIMS "," ACT4 "," ACT4 ACT4_ ACT4_ "}", JWT_GOOD},
	    {"{" CLAIMS "," ACT4 "," ACT4 ",\"act\":{\"sub\":\"9\"}" ACT4_
	     ACT4_ "}",
		JWT_MALFORMED},
	    {"{" CLAIMS "," ACT4 ",\"act\":[]" ACT4_ "}", JWT_CLAIMS},
	    {"{" CLAIMS "} ", JWT_GOOD},
	    {"{" CLAIMS "}x", JWT_MALFORMED},
	    {"[]", JWT_CLAIMS},
	    {"{}", JWT_CLAIMS},
	    {"", JWT_MALFORMED},
	    {"{" WITHOUT_TIMES "}", JWT_CLAIMS},
	    {"{" WITHOUT_TIMES ",\"iat\":1790000000}", JWT_CLAIMS},
	    {"{" WITHOUT_TIMES ",\"exp\":1790000300}", JWT_CLAIMS},
	    {"{" WITHOUT_TIMES ",\"iat\":\"1790000000\",\"exp\":1790000300}",
		JWT_CLAIMS},
	    {"{" WITHOUT_TIMES ",\"iat\":1790000000.0,\"exp\":1790000300}",
		JWT_CLAIMS},
	    {"{" WITHOUT_TIMES ",\"iat\":1790000000,\"exp\":1.79e9}",
		JWT_CLAIMS},
	    {"{" WITHOUT_TIMES ",\"iat\":-5,\"exp\":1790000300}", JWT_CLAIMS},
	    {"{" WITHOUT_TIMES ",\"iat\":1790000000,\"exp\":"
	     "9223372036854775807}",
		JWT_CLAIMS},
	    {"{" WITHOUT_TIMES ",\"iat\":1790000000,\"exp\":1790000901}",
		JWT_LIFETIME},
	    {"{" WITHOUT_TIMES ",\"iat\":1790000000,\"exp\":1790000000}",
		JWT_LIFETIME},
	    {"{" WITHOUT_TIMES ",\"iat\":1790000000,\"exp\":1789999999}",
		JWT_LIFETIME},
	    {"{" WITHOUT_CNF "}", JWT_CLAIMS},
	    {"{" WITHOUT_CNF ",\"cnf\":\"unix:s-abc\"}", JWT_CLAIMS},
	    {"{" WITHOUT_CNF ",\"cnf\":{}}", JWT_CLAIMS},
	    {"{" WITHOUT_CNF ",\"cnf\":{\"hck\":\"\"}}", JWT_CLAIMS},
	    {"{" WITHOUT_CNF ",\"cnf\":{\"hck\":null}}", JWT_CLAIMS},
	    {"{" WITHOUT_CNF ",\"cnf\":{\"hck\":\"unix:s-abc\",\"jkt\":"
	     "\"a\"}}",
		JWT_CLAIMS},
	    {"{" WITHOUT_CNF ",\"cnf\":{\"hck\":\"unix:s-abd\"}}", JWT_CHANNEL},
	    {"{" WITHOUT_CNF ",\"cnf\":{\"hck\":\"unix:s-ab\"}}", JWT_CHANNEL},
	    {"{" WITHOUT_DETAILS "}", JWT_CLAIMS},
	    {"{" WITHOUT_DETAILS ",\"authorization_details\":{}}", JWT_CLAIMS},
	    {"{" WITHOUT_DETAILS ",\"authorization_details\":[\"a\"]}",
		JWT_CLAIMS},
	    {"{" WITHOUT_DETAILS ",\"authorization_details\":[{\"type\":"
	     "\"other\",\"name\":\"a\"}]}",
		JWT_CLAIMS},
	    {"{" WITHOUT_DETAILS ",\"authorization_details\":[{\"type\":"
	     "\"hatcheck-grant\"}]}",
		JWT_CLAIMS},
	    {"{" WITHOUT_DETAILS ",\"authorization_details\":[{\"type\":"
	     "\"hatcheck-grant\",\"name\":\"a\",\"x\":1}]}",
		JWT_CLAIMS},
	    {"{" WITHOUT_DETAILS ",\"authorization_details\":[{\"type\":"
	     "\"hatcheck-grant\",\"name\":\"A/B\"}]}",
		JWT_CLAIMS},
	    {"{" WITHOUT_DETAILS ",\"authorization_details\":[{\"type\":"
	     "\"hatcheck-grant\",\"name\":\"a\"}]}",
		JWT_GOOD},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum jwt_result r = forge(HEADER, rows[i].json, keys);

		if (r != rows[i].r)
			fail_msg("%s: %s", rows[i].json, jwt_result_text(r));
	}
}

/* Each text claim: absent, empty, of another type, with a space, too
 * long. */
static void
each_text_claim(void **state)
{
	static const char *const names[] = {
	    "iss", "aud", "sub", "client_id", "jti", "fam"};
	static const char *const values[] = {NULL, "\"\"", "1", "null",
	    "[\"a\"]", "\"a b\"", "\"a\\u0007\"", "\"\xc3\xa9\"", "\"a\\\"b\"",
	    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "\""};

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]);
		     v++) {
			char json[1024] = "{\"iat\":1790000000,\"exp\":"
					  "1790000300,\"cnf\":{\"hck\":"
					  "\"unix:s-abc\"},\"authorization_"
					  "details\":[]";

			for (size_t j = 0; j < 6; j++) {
				const char *value =
				    j == i ? values[v] : "\"a\"";

				if (value == NULL)
					continue;
				sprintf(json + strlen(json), ",\"%s\":%s",
				    names[j], value);
			}
			strcat(json, "}");
			if (forge(HEADER, json, keys) != JWT_CLAIMS)
				fail_msg("%s", json);
		}
	}
}

static void
expectations(void **state)
{
	struct buf *b = make(&model);
	struct jwt_expect e = expect;
	struct jwt_claims out;

	(void)state;
	e.iss = "http://hatcheck.interna";
	assert_int_equal(jwt_verify(buf_span(b), &e, &out), JWT_ISSUER);
	e = expect;
	e.aud = "other";
	assert_int_equal(jwt_verify(buf_span(b), &e, &out), JWT_AUDIENCE);
	e = expect;
	e.channel = "unix:s-other";
	assert_int_equal(jwt_verify(buf_span(b), &e, &out), JWT_CHANNEL);
	e.channel = NULL;
	assert_int_equal(jwt_verify(buf_span(b), &e, &out), JWT_GOOD);
	buf_free(b);
}

static void
clocks(void **state)
{
	static const struct {
		int64_t now;
		enum jwt_result r;
	} rows[] = {
	    {NOW, JWT_GOOD},
	    {NOW + 299, JWT_GOOD},
	    {NOW + 300, JWT_EXPIRED},
	    {NOW + 100000, JWT_EXPIRED},
	    {NOW - 1, JWT_GOOD},
	    {NOW - 60, JWT_GOOD},
	    {NOW - 61, JWT_NOT_YET},
	    {0, JWT_NOT_YET},
	    {-5, JWT_NOT_YET},
	};
	struct buf *b = make(&model);
	struct jwt_expect e = expect;
	struct jwt_claims out;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		e.now = rows[i].now;
		assert_int_equal(jwt_verify(buf_span(b), &e, &out), rows[i].r);
	}
	buf_free(b);
}

static void
minting_refuses(void **state)
{
	struct jwt_claims c = model;
	struct buf *b = buf_new(JWT_MAX);

	(void)state;
	c.exp = c.iat + JWT_LIFE_MAX + 1;
	assert_int_equal(jwt_sign(&c, keys, b), ERR_ARGUMENT);
	c.exp = c.iat;
	assert_int_equal(jwt_sign(&c, keys, b), ERR_ARGUMENT);
	c = model;
	c.jti[0] = '\0';
	assert_int_equal(jwt_sign(&c, keys, b), ERR_ARGUMENT);
	c = model;
	strcpy(c.sub, "a\",\"aud\":\"b");
	assert_int_equal(jwt_sign(&c, keys, b), ERR_ARGUMENT);
	c = model;
	strcpy(c.grants[0], "A");
	assert_int_equal(jwt_sign(&c, keys, b), ERR_ARGUMENT);
	c = model;
	c.n_grants = JWT_GRANTS_MAX + 1;
	assert_int_equal(jwt_sign(&c, keys, b), ERR_ARGUMENT);
	/* The longest of everything: too big, and nothing is put out. */
	c.n_grants = JWT_GRANTS_MAX;
	for (size_t i = 0; i < c.n_grants; i++) {
		memset(c.grants[i], 'a', JWT_NAME_MAX - 1);
		c.grants[i][JWT_NAME_MAX - 1] = '\0';
	}
	assert_int_equal(jwt_sign(&c, keys, b), 0);
	buf_reset(b);
	memset(c.jti, 'a', JWT_TEXT_MAX - 1);
	memset(c.fam, 'a', JWT_TEXT_MAX - 1);
	memset(c.act[0], 'a', JWT_TEXT_MAX - 1);
	c.n_act = 1;
	memset(c.channel, 'a', JWT_TEXT_MAX - 1);
	assert_int_equal(jwt_sign(&c, keys, b), ERR_TOO_BIG);
	assert_int_equal(buf_len(b), 0);
	buf_free(b);
}

static void
sizes(void **state)
{
	static uint8_t big[JWT_MAX * 2];
	struct jwt_claims out;

	(void)state;
	memset(big, 'A', sizeof(big));
	assert_int_equal(jwt_verify(span_of(big, sizeof(big)), &expect, &out),
	    JWT_MALFORMED);
	big[100] = big[200] = '.';
	assert_int_equal(
	    jwt_verify(span_of(big, JWT_MAX), &expect, &out), JWT_MALFORMED);
	memset(big, '.', sizeof(big));
	assert_int_equal(
	    jwt_verify(span_of(big, 2), &expect, &out), JWT_MALFORMED);
	assert_int_equal(
	    jwt_verify((struct span){0}, &expect, &out), JWT_MALFORMED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_trip),
	    cmocka_unit_test(mutations),
	    cmocka_unit_test(headers),
	    cmocka_unit_test(wrong_signer),
	    cmocka_unit_test(claims),
	    cmocka_unit_test(each_text_claim),
	    cmocka_unit_test(expectations),
	    cmocka_unit_test(clocks),
	    cmocka_unit_test(minting_refuses),
	    cmocka_unit_test(sizes),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
