/* SPDX-License-Identifier: ISC */
/* What for: public halves as JSON, and verifying with them. Trusts: nobody:
 * a set comes from the minter, but through strict parsing. At a bound:
 * ERR_FORMAT. */
#include "keys/json.h"
#include "keys/signing.h"

#include <sodium.h>

#define X_MAX 48 /* 43 characters and NUL, with room to see longer ones */

static bool
kid_good(const char *kid)
{
	return kid[0] != '\0' &&
	       kid[strspn(kid,
		   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
		   "wxyz0123456789-_")] == '\0';
}

static bool
text_is(const json_t *o, const char *name, const char *want)
{
	const char *have = json_text(o, name);

	return have != NULL && strcmp(have, want) == 0;
}

static int
read_key(const json_t *o, struct jwk *out)
{
	static const char *const names[] = {
	    "kty", "crv", "alg", "use", "kid", "x", NULL};
	char x[X_MAX];
	size_t n = 0;

	if (!json_only(o, names, NULL) || !text_is(o, "kty", "OKP") ||
	    !text_is(o, "crv", "Ed25519") || !text_is(o, "alg", "EdDSA") ||
	    !text_is(o, "use", "sig"))
		return ERR_FORMAT;
	if (json_text_copy(o, "kid", out->kid, sizeof(out->kid)) != 0 ||
	    !kid_good(out->kid) || json_text_copy(o, "x", x, sizeof(x)) != 0)
		return ERR_FORMAT;
	if (b64url_get(span_str(x), out->public_key, sizeof(out->public_key),
		&n) != 0 ||
	    n != sizeof(out->public_key))
		return ERR_FORMAT;
	return 0;
}

static int
read_set(const json_t *root, struct jwks *out)
{
	static const char *const names[] = {"keys", NULL};
	const json_t *keys = json_object_get(root, "keys");
	size_t n = json_array_size(keys);

	if (!json_only(root, names, NULL) || n == 0 || n > JWKS_MAX)
		return ERR_FORMAT;
	for (size_t i = 0; i < n; i++) {
		struct jwk k;

		if (read_key(json_array_get(keys, i), &k) != 0 ||
		    jwks_find(out, span_str(k.kid)) != NULL)
			return ERR_FORMAT;
		out->keys[out->n++] = k;
	}
	return 0;
}

int
jwks_parse(struct span json, struct jwks *out)
{
	json_t *root = json_strict_within(json, JWKS_JSON_MAX, 3);
	struct jwks set = {0};

	if (root == NULL)
		return ERR_FORMAT;
	int r = read_set(root, &set);
	json_decref(root);
	if (r == 0)
		*out = set;
	return r;
}

static int
put_key(const struct jwk *k, struct buf *out)
{
	int r;

	if ((r = buf_put_str(out,
		 "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
		 "\"alg\":\"EdDSA\",\"use\":\"sig\",\"kid\":\"")) != 0 ||
	    (r = buf_put_str(out, k->kid)) != 0 ||
	    (r = buf_put_str(out, "\",\"x\":\"")) != 0 ||
	    (r = b64url_put(
		 span_of(k->public_key, sizeof(k->public_key)), out)) != 0)
		return r;
	return buf_put_str(out, "\"}");
}

/* kid and x need no escaping: kid_good() and base64url. */
int
jwks_encode(const struct jwks *set, struct buf *out)
{
	int r = buf_put_str(out, "{\"keys\":[");

	for (size_t i = 0; r == 0 && i < set->n; i++) {
		if (!kid_good(set->keys[i].kid))
			return ERR_FORMAT;
		if (i > 0)
			r = buf_put_str(out, ",");
		if (r == 0)
			r = put_key(&set->keys[i], out);
	}
	return r != 0 ? r : buf_put_str(out, "]}");
}

const struct jwk *
jwks_find(const struct jwks *set, struct span kid)
{
	for (size_t i = 0; i < set->n; i++) {
		if (span_is(kid, set->keys[i].kid))
			return &set->keys[i];
	}
	return NULL;
}

int
jwks_verify(const struct jwks *set, struct span kid, struct span message,
    struct span signature)
{
	const struct jwk *k = jwks_find(set, kid);

	if (k == NULL)
		return ERR_NOT_FOUND;
	if (signature.n != SIGNING_SIGNATURE ||
	    crypto_sign_verify_detached(
		signature.p, message.p, message.n, k->public_key) != 0)
		return ERR_CRYPTO;
	return 0;
}
