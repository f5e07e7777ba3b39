/* SPDX-License-Identifier: ISC */
/* Tokens: the input as it is, and as header and claims that are signed
 * with the right key, so that the fuzzer gets past the signature. */
#include "keys/jwt.h"
#include "tests/fuzz/fuzz.h"

static struct signing *keys;
static struct jwks set;

static enum jwt_result
check(struct span token)
{
	struct jwt_expect e = {.iss = "http://hatcheck.internal",
	    .aud = "hatcheck-egress",
	    .channel = "unix:s-abc",
	    .now = 1790000000,
	    .keys = &set};
	struct jwt_claims c;
	enum jwt_result r = jwt_verify(token, &e, &c);

	if (r == JWT_GOOD) {
		MUST(strcmp(c.channel, e.channel) == 0);
		MUST(c.exp > e.now && c.exp - c.iat <= JWT_LIFE_MAX);
		MUST(c.n_grants <= JWT_GRANTS_MAX && c.sub[0] != '\0');
	}
	return r;
}

static void
check_signed(struct span claims)
{
	struct buf *b = buf_new(64 * 1024), *h = buf_new(512);
	uint8_t sig[SIGNING_SIGNATURE];

	MUST(buf_printf(h,
		 "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":"
		 "\"%s\"}",
		 signing_kid(keys)) == 0);
	if (b64url_put(buf_span(h), b) == 0 && buf_put_str(b, ".") == 0 &&
	    b64url_put(claims, b) == 0 &&
	    signing_sign(keys, buf_span(b), sig) == 0 &&
	    buf_put_str(b, ".") == 0 &&
	    b64url_put(span_of(sig, sizeof(sig)), b) == 0)
		(void)check(buf_span(b));
	buf_free(b);
	buf_free(h);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (keys == NULL) {
		MUST(signing_new(1, &keys) == 0);
		signing_public(keys, 1, &set);
	}
	MUST(check(span_of(data, size)) != JWT_GOOD);
	if (size <= 8192)
		check_signed(span_of(data, size));
	return 0;
}
