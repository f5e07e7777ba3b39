/* SPDX-License-Identifier: ISC */
/* Requirement 27: keys rotate with overlap. */
#include "keys/json.h"
#include "keys/signing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* Signed by the current key, and verified by what `keys` shows at now. */
static int
check(const struct signing *keys, const char *kid, int64_t now, struct span sig)
{
	struct jwks set;

	signing_public(keys, now, &set);
	return jwks_verify(&set, span_str(kid), span_str("message"), sig);
}

static void
rotation(void **state)
{
	struct signing *keys = NULL;
	uint8_t sig[SIGNING_SIGNATURE];
	char kid[JWKS_KID_MAX];
	struct jwks set;

	(void)state;
	assert_int_equal(signing_new(1000, &keys), 0);
	assert_int_equal(signing_made(keys), 1000);
	assert_int_equal(strlen(signing_kid(keys)), 43);
	strcpy(kid, signing_kid(keys));
	assert_int_equal(signing_sign(keys, span_str("message"), sig), 0);
	assert_int_equal(check(keys, kid, 1000, span_of(sig, 64)), 0);

	assert_int_equal(signing_rotate(keys, 2000, 900), 0);
	assert_string_not_equal(kid, signing_kid(keys));
	assert_int_equal(check(keys, kid, 2899, span_of(sig, 64)), 0);
	assert_int_equal(
	    check(keys, kid, 2900, span_of(sig, 64)), ERR_NOT_FOUND);
	/* Another key's name on it does not help. */
	assert_int_equal(
	    check(keys, signing_kid(keys), 2000, span_of(sig, 64)), ERR_CRYPTO);
	assert_int_equal(check(keys, kid, 2000, span_of(sig, 63)), ERR_CRYPTO);
	sig[5] ^= 1;
	assert_int_equal(check(keys, kid, 2000, span_of(sig, 64)), ERR_CRYPTO);

	for (int i = 0; i < 20; i++)
		assert_int_equal(signing_rotate(keys, 3000 + i, 900), 0);
	signing_public(keys, 3020, &set);
	assert_int_equal(set.n, JWKS_MAX);
	assert_int_equal(signing_rotate(keys, 9000, 900), 0);
	signing_public(keys, 9000, &set);
	assert_int_equal(set.n, 2);
	/* Keys whose overlap ended are gone, not only hidden. */
	struct keep *saved = NULL;
	assert_int_equal(signing_save(keys, &saved), 0);
	assert_int_equal(keep_len(saved), 8 + 2 * 80);
	keep_free(saved);
	signing_free(keys);
}

static void
kept_by_the_vault(void **state)
{
	struct signing *keys = NULL, *again = NULL;
	struct keep *saved = NULL;
	uint8_t a[SIGNING_SIGNATURE], b[SIGNING_SIGNATURE];
	uint8_t copy[1024];
	size_t n;

	(void)state;
	assert_int_equal(signing_new(1000, &keys), 0);
	for (int i = 0; i < JWKS_MAX; i++)
		assert_int_equal(signing_rotate(keys, 2000, 900), 0);
	assert_int_equal(signing_save(keys, &saved), 0);
	n = keep_len(saved);
	assert_true(n <= 1024);
	assert_int_equal(signing_load(keep_reveal(saved), &again), 0);
	assert_string_equal(signing_kid(keys), signing_kid(again));
	assert_int_equal(signing_sign(keys, span_str("m"), a), 0);
	assert_int_equal(signing_sign(again, span_str("m"), b), 0);
	assert_memory_equal(a, b, sizeof(a));
	signing_free(again);
	again = NULL;

	/* A flipped bit in a key, and any cut, is seen. */
	memcpy(copy, keep_reveal(saved).p, n);
	for (size_t i = 0; i < n; i++) {
		bool time = i >= 8 && (i - 8) % 80 < 16;

		if (time)
			continue;
		copy[i] ^= 1;
		if (signing_load(span_of(copy, n), &again) == 0)
			fail_msg("byte %zu", i);
		copy[i] ^= 1;
	}
	for (size_t i = 0; i < n; i++) {
		if (i > 8 && (i - 8) % 80 == 0)
			continue; /* whole records: fewer keys */
		if (signing_load(span_of(copy, i), &again) == 0)
			fail_msg("cut at %zu", i);
	}
	keep_free(saved);
	signing_free(keys);
}

/* RFC 8037, appendix A: the seed, its public half, its thumbprint. */
static void
published_key(void **state)
{
	uint8_t saved[88] = "hcksign1";
	struct signing *keys = NULL;
	static const uint8_t seed[32] = {0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd,
	    0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44,
	    0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03,
	    0x1c, 0xae, 0x7f, 0x60};
	size_t n = 0;

	(void)state;
	saved[23] = 1; /* made */
	memcpy(saved + 24, seed, sizeof(seed));
	assert_int_equal(
	    b64url_get(span_str("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
		saved + 56, 32, &n),
	    0);
	assert_int_equal(signing_load(span_of(saved, 88), &keys), 0);
	assert_string_equal(
	    signing_kid(keys), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
	signing_free(keys);
}

#define X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define KEY                                                       \
	"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\"," \
	"\"use\":\"sig\",\"kid\":\"k1\",\"x\":\"" X "\"}"

static void
jwks_json(void **state)
{
	static const char *const bad[] = {"", "{}", "[]", "{\"keys\":[]}",
	    "{\"keys\":{}}", "{\"keys\":[1]}", "{\"keys\":[{}]}",
	    "{\"keys\":[" KEY "],\"x\":1}", "{\"keys\":[" KEY "," KEY "]}",
	    "{\"keys\":[" KEY "]}x",
	    /* a private half, a second form of x, another curve or use */
	    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":"
	    "\"EdDSA\",\"use\":\"sig\",\"kid\":\"k1\",\"x\":\"" X "\","
	    "\"d\":\"" X "\"}]}",
	    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":"
	    "\"EdDSA\",\"use\":\"sig\",\"kid\":\"k1\",\"x\":\"" X "=\"}]}",
	    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":"
	    "\"EdDSA\",\"use\":\"sig\",\"kid\":\"k1\",\"x\":\"" X "A\"}]}",
	    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":"
	    "\"EdDSA\",\"use\":\"sig\",\"kid\":\"k1\",\"x\":\"AAAA\"}]}",
	    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"alg\":"
	    "\"EdDSA\",\"use\":\"sig\",\"kid\":\"k1\",\"x\":\"" X "\"}]}",
	    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":"
	    "\"EdDSA\",\"use\":\"enc\",\"kid\":\"k1\",\"x\":\"" X "\"}]}",
	    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":"
	    "\"EdDSA\",\"use\":\"sig\",\"kid\":\"k\\\"1\",\"x\":\"" X "\"}]}",
	    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":"
	    "\"EdDSA\",\"use\":\"sig\",\"x\":\"" X "\"}]}"};
	struct jwks set;
	struct buf *b = buf_new(4096);

	(void)state;
	assert_int_equal(jwks_parse(span_str("{\"keys\":[" KEY "]}"), &set), 0);
	assert_int_equal(set.n, 1);
	assert_int_equal(jwks_encode(&set, b), 0);
	assert_true(span_is(buf_span(b), "{\"keys\":[" KEY "]}"));
	assert_non_null(jwks_find(&set, span_str("k1")));
	assert_null(jwks_find(&set, span_str("k")));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (jwks_parse(span_str(bad[i]), &set) == 0)
			fail_msg("took %s", bad[i]);
	}
	buf_free(b);
}

static void
base64url(void **state)
{
	static const char *const bad[] = {"A", "AAAAA", "AB", "AAB",
	    "AA==", "AA=", "A+AA", "A/AA", "AA A", "AA\n", "AAAA.", "AAAA\xc3"};
	uint8_t out[16];
	size_t n = 0;
	struct buf *b = buf_new(64);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (b64url_get(span_str(bad[i]), out, sizeof(out), &n) == 0)
			fail_msg("took %s", bad[i]);
	}
	assert_int_equal(b64url_get(span_str("-_8"), out, 16, &n), 0);
	assert_int_equal(n, 2);
	assert_memory_equal(out, "\xfb\xff", 2);
	assert_int_equal(b64url_put(span_of(out, 2), b), 0);
	assert_true(span_is(buf_span(b), "-_8"));
	assert_int_not_equal(
	    b64url_get(span_str("AAAAAAAAAAAAAAAAAAAAAAAA"), out, 16, &n), 0);
	buf_free(b);
}

/* All 256 bytes in each of four places: exactly the alphabet, and no two
 * spellings of one value. */
static void
base64url_letters(void **state)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkl"
				      "mnopqrstuvwxyz0123456789-_";

	(void)state;
	for (int place = 0; place < 4; place++) {
		bool seen[256] = {false};

		for (int c = 0; c < 256; c++) {
			uint8_t in[4] = {'A', 'A', 'A', 'A'}, out[3];
			size_t n = 0;
			bool want = c != 0 && strchr(letters, c) != NULL;

			in[place] = (uint8_t)c;
			assert_int_equal(
			    b64url_get(span_of(in, 4), out, 3, &n) == 0, want);
			if (!want)
				continue;
			unsigned v = (unsigned)out[0] << 16 |
				     (unsigned)out[1] << 8 | out[2];
			v >>= 6 * (3 - place);
			assert_true(v < 64 && !seen[v]);
			seen[v] = true;
		}
	}
}

static size_t
unhex(const char *s, uint8_t *out, size_t size)
{
	size_t n = 0;
	unsigned v;

	for (; n < size && sscanf(s, "%2x", &v) == 1; s += 2)
		out[n++] = (uint8_t)v;
	return n;
}

/* Each public case, through our own verify. */
static void
group(const json_t *g, size_t *cases)
{
	struct jwks set = {.n = 1, .keys = {{.kid = "k"}}};
	size_t i;
	json_t *t;

	unhex(json_text(json_object_get(g, "publicKey"), "pk"),
	    set.keys[0].public_key, 32);
	json_array_foreach(json_object_get(g, "tests"), i, t)
	{
		uint8_t msg[4096], sig[256];
		size_t n = unhex(json_text(t, "msg"), msg, sizeof(msg));
		size_t m = unhex(json_text(t, "sig"), sig, sizeof(sig));
		bool want = strcmp(json_text(t, "result"), "valid") == 0;

		if ((jwks_verify(&set, span_str("k"), span_of(msg, n),
			 span_of(sig, m)) == 0) != want)
			fail_msg("case %lld",
			    json_integer_value(json_object_get(t, "tcId")));
		(*cases)++;
	}
}

static void
public_vectors(void **state)
{
	const char *folder = getenv("HATCHECK_CORPORA");
	char path[4096];
	size_t i, cases = 0;
	json_t *g;

	(void)state;
	snprintf(path, sizeof(path), "%s/wycheproof/ed25519_test.json",
	    folder == NULL ? "" : folder);
	json_t *root = folder == NULL ? NULL : json_load_file(path, 0, NULL);
	if (root == NULL)
		skip(); /* HATCHECK_CORPORA names no folder of vectors */
	json_array_foreach(json_object_get(root, "testGroups"), i, g)
	    group(g, &cases);
	assert_true(cases > 100);
	json_decref(root);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rotation),
	    cmocka_unit_test(kept_by_the_vault),
	    cmocka_unit_test(published_key),
	    cmocka_unit_test(jwks_json),
	    cmocka_unit_test(base64url),
	    cmocka_unit_test(base64url_letters),
	    cmocka_unit_test(public_vectors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
