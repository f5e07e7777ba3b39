/* SPDX-License-Identifier: ISC */
/* What a gate sends to the vault (an SPKI), and what it gets back. */
#include "keys/ca.h"
#include "keys/cert.h"
#include "tests/fuzz/fuzz.h"

#include <sodium.h>

static struct keep *key;
static struct buf *root;
static EVP_PKEY *gate;

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"a.test"};
	struct span in = span_of(data, size);
	struct buf *out = buf_new(CA_DER_MAX);
	struct ca_issuer *c = NULL;

	if (root == NULL) {
		MUST(sodium_init() >= 0);
		root = buf_new(CA_DER_MAX);
		MUST(ca_root_new("s-abc", 1790000000, 86400, &key, root) == 0);
		MUST(ca_key_new(&gate) == 0);
	}
	if (ca_root_sign(buf_span(root), keep_reveal(key), in, names, 1,
		1790000000, out) == 0)
		MUST(buf_len(out) > 0);
	MUST(ca_issuer_open(in, buf_span(root), gate, 1790000000, &c) != 0);
	(void)ca_pem(in, out); /* only must not crash */
	buf_free(out);
	return 0;
}
