/* SPDX-License-Identifier: ISC */
/* Key sets and what the keeper gives back: taken means the same again. */
#include "keys/signing.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct jwks a, b;
	struct signing *s = NULL;
	uint8_t bytes[256];
	size_t n = 0;

	if (jwks_parse(in, &a) == 0) {
		struct buf *out = buf_new(16384);

		MUST(jwks_encode(&a, out) == 0);
		MUST(jwks_parse(buf_span(out), &b) == 0 && a.n == b.n);
		buf_free(out);
	}
	if (signing_load(in, &s) == 0)
		signing_free(s);
	if (b64url_get(in, bytes, sizeof(bytes), &n) == 0) {
		struct buf *out = buf_new(1024);

		/* One value, one spelling. */
		MUST(b64url_put(span_of(bytes, n), out) == 0);
		MUST(span_eq(buf_span(out), in));
		buf_free(out);
	}
	return 0;
}
