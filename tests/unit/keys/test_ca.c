/* SPDX-License-Identifier: ISC */
/* Requirement 37: a root per session, a constrained intermediate, leaves. */
#include "keys/ca.h"
#include "keys/cert.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509_vfy.h>
#include <sodium.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define NOW 1790000000
#define DAY 86400

static const char *const names[] = {
    "api.demo.test", "*.wild.test", "127.0.0.1", "[::1]"};

static struct keep *root_key;
static struct buf *root, *inter, *spki;
static EVP_PKEY *gate_key;
static struct ca_issuer *issuer;

static int
setup(void **state)
{
	(void)state;
	if (sodium_init() < 0)
		return -1;
	root = buf_new(CA_DER_MAX);
	inter = buf_new(CA_DER_MAX);
	spki = buf_new(1024);
	return ca_root_new("s-abc", NOW, 30 * DAY, &root_key, root) |
	       ca_key_new(&gate_key) | ca_key_spki(gate_key, spki) |
	       ca_root_sign(buf_span(root), keep_reveal(root_key),
		   buf_span(spki), names, 4, NOW, inter) |
	       ca_issuer_open(
		   buf_span(inter), buf_span(root), gate_key, NOW, &issuer);
}

static int
teardown(void **state)
{
	(void)state;
	ca_issuer_free(issuer);
	EVP_PKEY_free(gate_key);
	keep_free(root_key);
	buf_free(root);
	buf_free(inter);
	buf_free(spki);
	return 0;
}

/* What a client with the root in its trust store says. */
static int
verify(X509 *leaf, X509 *above, const char *host, int64_t at)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *chain = sk_X509_new_null();

	assert_int_equal(X509_STORE_add_cert(store, ca_issuer_root(issuer)), 1);
	sk_X509_push(chain, ca_issuer_intermediate(issuer));
	if (above != NULL)
		sk_X509_push(chain, above);
	assert_int_equal(X509_STORE_CTX_init(ctx, store, leaf, chain), 1);
	X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_time(p, at);
	X509_VERIFY_PARAM_set_purpose(p, X509_PURPOSE_SSL_SERVER);
	X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_X509_STRICT);
	if (host != NULL)
		X509_VERIFY_PARAM_set1_host(p, host, 0);
	int ok = X509_verify_cert(ctx);
	int err = X509_STORE_CTX_get_error(ctx);
	if ((ok == 1) != (err == X509_V_OK))
		err = -1;
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	sk_X509_free(chain);
	return err;
}

static void
good_leaves(void **state)
{
	X509 *leaf = NULL;

	(void)state;
	assert_int_equal(ca_leaf(issuer, "api.demo.test", NOW, &leaf), 0);
	assert_int_equal(verify(leaf, NULL, "api.demo.test", NOW), X509_V_OK);
	assert_int_equal(
	    verify(leaf, NULL, "api.demo.test", NOW - 3599), X509_V_OK);
	assert_int_equal(verify(leaf, NULL, "api.demo.test", NOW - 3601),
	    X509_V_ERR_CERT_NOT_YET_VALID);
	assert_int_equal(
	    verify(leaf, NULL, "api.demo.test", NOW + DAY - 1), X509_V_OK);
	assert_int_equal(verify(leaf, NULL, "api.demo.test", NOW + DAY + 1),
	    X509_V_ERR_CERT_HAS_EXPIRED);
	assert_int_equal(verify(leaf, NULL, "other.demo.test", NOW),
	    X509_V_ERR_HOSTNAME_MISMATCH);
	X509_free(leaf);
	assert_int_equal(ca_leaf(issuer, "a.wild.test", NOW + 7200, &leaf), 0);
	assert_int_equal(
	    verify(leaf, NULL, "a.wild.test", NOW + 7200), X509_V_OK);
	X509_free(leaf);
}

static void
leaf_refused(void **state)
{
	static const struct {
		const char *host;
		int err;
	} rows[] = {
	    {"evil.test", ERR_DENIED},
	    {"demo.test", ERR_DENIED},
	    {"xapi.demo.test", ERR_DENIED},
	    {"wild.testx", ERR_DENIED},
	    {"*.wild.test", ERR_FORMAT},
	    {"127.0.0.1", ERR_FORMAT},
	    {"[::1]", ERR_FORMAT},
	    {"", ERR_FORMAT},
	    {"API.demo.test", ERR_FORMAT},
	    {"api.demo.test,DNS:evil.test", ERR_FORMAT},
	    {"api.demo.test.", ERR_FORMAT},
	};
	X509 *leaf = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(
		    ca_leaf(issuer, rows[i].host, NOW, &leaf), rows[i].err);
	assert_int_equal(
	    ca_leaf(issuer, "api.demo.test", NOW + DAY, &leaf), ERR_EXPIRED);
	assert_null(leaf);
	assert_int_equal(ERR_peek_error(), 0);
}

/* A broken gate signs what it likes: clients do not believe it. */
static X509 *
forge(const char *cn, const char *san, const char *constraints, EVP_PKEY *key)
{
	struct cert_frame f = {.name = cn,
	    .now = NOW,
	    .until = NOW + DAY,
	    .key = key,
	    .issuer = ca_issuer_intermediate(issuer)};
	X509 *c = NULL;

	assert_int_equal(cert_new(&f, &c), 0);
	assert_int_equal(
	    cert_extend(c, f.issuer, NID_basic_constraints, constraints), 0);
	if (strstr(constraints, "TRUE") != NULL)
		assert_int_equal(cert_extend(c, f.issuer, NID_key_usage,
				     "critical,keyCertSign"),
		    0);
	assert_int_equal(
	    cert_extend(c, f.issuer, NID_subject_key_identifier, "hash"), 0);
	assert_int_equal(cert_extend(c, f.issuer, NID_authority_key_identifier,
			     "keyid:always"),
	    0);
	if (san != NULL)
		assert_int_equal(
		    cert_extend(c, f.issuer, NID_subject_alt_name, san), 0);
	assert_int_equal(cert_sign(c, gate_key), 0);
	return c;
}

static void
hostile_gate(void **state)
{
	static const struct {
		const char *cn, *san;
		int err;
	} rows[] = {
	    {"x", "DNS:api.demo.test", X509_V_OK},
	    {"x", "DNS:evil.test", X509_V_ERR_PERMITTED_VIOLATION},
	    {"x", "DNS:demo.test", X509_V_ERR_PERMITTED_VIOLATION},
	    {"x", "DNS:xapi.demo.test", X509_V_ERR_PERMITTED_VIOLATION},
	    {"x", "DNS:api.demo.test,DNS:evil.test",
		X509_V_ERR_PERMITTED_VIOLATION},
	    {"x", "DNS:*.test", X509_V_ERR_PERMITTED_VIOLATION},
	    {"x", "DNS:api.demo.test,IP:127.0.0.1",
		X509_V_ERR_EXCLUDED_VIOLATION},
	    {"x", "IP:93.184.216.34", X509_V_ERR_EXCLUDED_VIOLATION},
	    {"x", "IP:2001:db8::1", X509_V_ERR_EXCLUDED_VIOLATION},
	    {"evil.test", NULL, X509_V_ERR_PERMITTED_VIOLATION},
	    /* as wide as "*.wild.test" can be said: the name and below */
	    {"x", "DNS:wild.test", X509_V_OK},
	    {"x", "DNS:a.b.wild.test", X509_V_OK},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		X509 *c = forge(rows[i].cn, rows[i].san, "critical,CA:FALSE",
		    ca_issuer_leaf_key(issuer));
		int err = verify(c, NULL, NULL, NOW);

		if (err != rows[i].err)
			fail_msg("%s %s: %s", rows[i].cn, rows[i].san,
			    X509_verify_cert_error_string(err));
		X509_free(c);
	}
	/* A CA below the intermediate is one too many. */
	X509 *sub = forge("sub", NULL, "critical,CA:TRUE", gate_key);
	X509 *leaf = forge("x", "DNS:api.demo.test", "critical,CA:FALSE",
	    ca_issuer_leaf_key(issuer));
	assert_int_equal(
	    X509_set_issuer_name(leaf, X509_get_subject_name(sub)), 1);
	assert_int_equal(cert_sign(leaf, gate_key), 0);
	int err = verify(leaf, sub, NULL, NOW);
	assert_int_not_equal(err, X509_V_OK);
	X509_free(leaf);
	X509_free(sub);
}

static void
lifetimes(void **state)
{
	struct keep *key = NULL;
	struct buf *r = buf_new(CA_DER_MAX), *i = buf_new(CA_DER_MAX);
	struct ca_issuer *c = NULL;
	X509 *cert = NULL;
	int64_t until = 0;

	(void)state;
	assert_int_equal(ca_root_new("s-x", NOW, 3600, &key, r), 0);
	/* Never beyond the root. */
	assert_int_equal(ca_root_sign(buf_span(r), keep_reveal(key),
			     buf_span(spki), names, 1, NOW, i),
	    0);
	assert_int_equal(cert_from_der(buf_span(i), &cert), 0);
	assert_int_equal(cert_until(cert, &until), 0);
	assert_int_equal(until, NOW + 3600);
	X509_free(cert);
	assert_int_equal(
	    ca_issuer_open(buf_span(i), buf_span(r), gate_key, NOW + 3600, &c),
	    ERR_EXPIRED);
	assert_int_equal(ca_root_sign(buf_span(r), keep_reveal(key),
			     buf_span(spki), names, 1, NOW + 3600, i),
	    ERR_EXPIRED);
	/* A root that is not the signer, or a key that is not ours. */
	assert_int_equal(
	    ca_issuer_open(buf_span(i), buf_span(root), gate_key, NOW, &c),
	    ERR_CRYPTO);
	assert_int_equal(ca_issuer_open(buf_span(i), buf_span(r),
			     ca_issuer_leaf_key(issuer), NOW, &c),
	    ERR_CRYPTO);
	assert_int_equal(ca_root_sign(buf_span(root), keep_reveal(key),
			     buf_span(spki), names, 1, NOW, i),
	    ERR_CRYPTO);
	assert_int_equal(ERR_peek_error(), 0);
	keep_free(key);
	buf_free(r);
	buf_free(i);
}

static void
no_hosts(void **state)
{
	struct buf *i = buf_new(CA_DER_MAX);
	struct ca_issuer *c = NULL;
	X509 *leaf = NULL;

	(void)state;
	assert_int_equal(ca_root_sign(buf_span(root), keep_reveal(root_key),
			     buf_span(spki), names + 2, 2, NOW, i),
	    0);
	assert_int_equal(
	    ca_issuer_open(buf_span(i), buf_span(root), gate_key, NOW, &c), 0);
	assert_int_equal(ca_leaf(c, "api.demo.test", NOW, &leaf), ERR_DENIED);
	ca_issuer_free(c);
	buf_free(i);
}

static void
bad_names(void **state)
{
	static const char *const bad[] = {"", ".", "*", "*.", ".test", "a b",
	    "A.test", "a.test.", "a,DNS:b", "*.*.test", "a\n.test"};
	struct buf *i = buf_new(CA_DER_MAX);

	(void)state;
	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
		assert_int_equal(
		    ca_root_sign(buf_span(root), keep_reveal(root_key),
			buf_span(spki), &bad[k], 1, NOW, i),
		    ERR_FORMAT);
	assert_int_equal(buf_len(i), 0);
	assert_int_equal(
	    ca_root_new("", NOW, DAY, &(struct keep *){NULL}, i), ERR_ARGUMENT);
	assert_int_equal(
	    ca_root_new("a/CN=b", NOW, DAY, &(struct keep *){NULL}, i),
	    ERR_ARGUMENT);
	buf_free(i);
}

static int
sign_spki(struct span s)
{
	struct buf *i = buf_new(CA_DER_MAX);
	int r = ca_root_sign(
	    buf_span(root), keep_reveal(root_key), s, names, 1, NOW, i);

	buf_free(i);
	return r;
}

static void
bad_keys(void **state)
{
	EVP_PKEY *others[] = {EVP_EC_gen("P-384"), EVP_RSA_gen(2048),
	    EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), EVP_EC_gen("secp256k1")};
	uint8_t copy[256];
	struct span s = buf_span(spki);

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		unsigned char *der = NULL;
		int n = i2d_PUBKEY(others[i], &der);

		assert_true(n > 0);
		assert_int_equal(
		    sign_spki(span_of(der, (size_t)n)), ERR_FORMAT);
		OPENSSL_free(der);
		EVP_PKEY_free(others[i]);
	}
	memcpy(copy, s.p, s.n);
	copy[s.n] = 0;
	assert_int_equal(sign_spki(span_of(copy, s.n + 1)), ERR_FORMAT);
	for (size_t i = 0; i < s.n; i++)
		assert_int_equal(sign_spki(span_of(copy, i)), ERR_FORMAT);
	for (size_t i = 0; i < s.n; i++) {
		copy[i] ^= 1;
		/* Flipped anywhere, the point is off the curve or the frame
		 * is broken. */
		assert_int_equal(sign_spki(span_of(copy, s.n)), ERR_FORMAT);
		copy[i] ^= 1;
	}
	assert_int_equal(sign_spki(s), 0);
}

static void
shape(void **state)
{
	struct buf *pem = buf_new(CA_DER_MAX);
	const ASN1_INTEGER *a, *b;
	X509 *one = NULL, *two = NULL;
	char text[200];

	(void)state;
	assert_int_equal(ca_pem(buf_span(root), pem), 0);
	assert_memory_equal(
	    buf_span(pem).p, "-----BEGIN CERTIFICATE-----\n", 28);
	buf_free(pem);
	X509_NAME_oneline(
	    X509_get_subject_name(ca_issuer_root(issuer)), text, sizeof(text));
	assert_string_equal(text, "/O=Hatcheck/CN=Hatcheck session s-abc");
	assert_int_equal(X509_get_pathlen(ca_issuer_root(issuer)), 1);
	assert_int_equal(X509_get_pathlen(ca_issuer_intermediate(issuer)), 0);
	assert_int_equal(ca_leaf(issuer, "api.demo.test", NOW, &one), 0);
	assert_int_equal(ca_leaf(issuer, "api.demo.test", NOW, &two), 0);
	a = X509_get0_serialNumber(one);
	b = X509_get0_serialNumber(two);
	assert_int_not_equal(ASN1_INTEGER_cmp(a, b), 0);
	assert_true(ASN1_STRING_length(a) > 12);
	X509_free(one);
	X509_free(two);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_leaves),
	    cmocka_unit_test(leaf_refused),
	    cmocka_unit_test(hostile_gate),
	    cmocka_unit_test(lifetimes),
	    cmocka_unit_test(no_hosts),
	    cmocka_unit_test(bad_names),
	    cmocka_unit_test(bad_keys),
	    cmocka_unit_test(shape),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
