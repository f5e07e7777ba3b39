/* SPDX-License-Identifier: ISC */
/* What for: hashes on the way of each request. Trusts: OpenSSL. At a bound:
 * without memory there is no hash, and no default one. */
#include "lib/sha256.h"

#include <openssl/evp.h>

int
sha256(struct span s, uint8_t out[static SHA256_SIZE])
{
	static _Thread_local EVP_MD_CTX *ctx;

	if (ctx == NULL) {
		EVP_MD *md = EVP_MD_fetch(NULL, "SHA256", NULL);
		EVP_MD_CTX *made = EVP_MD_CTX_new();
		if (made == NULL || EVP_DigestInit_ex2(made, md, NULL) != 1) {
			EVP_MD_CTX_free(made);
			made = NULL;
		}
		EVP_MD_free(md); /* the context has it */
		ctx = made;
	}
	return ctx != NULL && EVP_DigestInit_ex2(ctx, NULL, NULL) == 1 &&
		       EVP_DigestUpdate(ctx, s.p, s.n) == 1 &&
		       EVP_DigestFinal_ex(ctx, out, NULL) == 1
		   ? 0
		   : ERR_NOMEM;
}
