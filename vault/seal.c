/* SPDX-License-Identifier: ISC */
/* What for: sealing and key derivation. Trusts: libsodium. At a bound:
 * refuses, before memory is asked for. */
#include "vault/seal.h"

#include <sodium.h>
#include <stdio.h>

#define MEM_MAX (1024ULL * 1024 * 1024)
#define OPS_MAX 16

int
seal_box(
    const struct keep *key, struct span ad, struct span plain, struct buf *out)
{
	size_t n = plain.n + SEAL_EXTRA;
	uint8_t *p;
	int r;

	if (keep_len(key) != SEAL_KEY)
		return ERR_ARGUMENT;
	if ((r = buf_reserve(out, n, &p)) != 0)
		return r;
	randombytes_buf(p, SEAL_NONCE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(p + SEAL_NONCE, NULL,
	    plain.p, plain.n, ad.p, ad.n, NULL, p, keep_reveal(key).p);
	buf_claim(out, n);
	return 0;
}

int
seal_open(
    const struct keep *key, struct span ad, struct span box, struct keep **out)
{
	struct keep *plain = NULL;
	int r;

	if (keep_len(key) != SEAL_KEY)
		return ERR_ARGUMENT;
	if (box.n <= SEAL_EXTRA || box.n - SEAL_EXTRA > KEEP_MAX)
		return ERR_CRYPTO;
	if ((r = keep_blank(box.n - SEAL_EXTRA, &plain)) != 0)
		return r;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(keep_bytes(plain), NULL,
		NULL, box.p + SEAL_NONCE, box.n - SEAL_NONCE, ad.p, ad.n, box.p,
		keep_reveal(key).p) != 0) {
		keep_free(plain);
		return ERR_CRYPTO;
	}
	*out = plain;
	return 0;
}

void
seal_cost_fresh(struct seal_cost *c)
{
	c->ops = crypto_pwhash_OPSLIMIT_MODERATE;
	c->mem = crypto_pwhash_MEMLIMIT_MODERATE;
	randombytes_buf(c->salt, sizeof(c->salt));
}

int
seal_key_from_passphrase(
    struct span passphrase, const struct seal_cost *c, struct keep **out)
{
	struct keep *key = NULL;
	int r;

	if (c->ops < crypto_pwhash_OPSLIMIT_MIN || c->ops > OPS_MAX ||
	    c->mem < crypto_pwhash_MEMLIMIT_MIN || c->mem > MEM_MAX)
		return ERR_CRYPTO;
	if (passphrase.n == 0)
		return ERR_ARGUMENT;
	if ((r = keep_blank(SEAL_KEY, &key)) != 0)
		return r;
	if (crypto_pwhash(keep_bytes(key), SEAL_KEY, (const char *)passphrase.p,
		passphrase.n, c->salt, c->ops, c->mem,
		crypto_pwhash_ALG_ARGON2ID13) != 0) {
		keep_free(key);
		return ERR_NOMEM;
	}
	*out = key;
	return 0;
}

int
seal_key_from_material(struct span material, const char *use, struct keep **out)
{
	char personal[crypto_generichash_blake2b_PERSONALBYTES + 1] = {0};
	struct keep *key = NULL;
	int r;

	if (material.n < SEAL_KEY || strlen(use) >= sizeof(personal))
		return ERR_ARGUMENT;
	(void)snprintf(personal, sizeof(personal), "%s", use); /* fits */
	if ((r = keep_blank(SEAL_KEY, &key)) != 0)
		return r;
	crypto_generichash_blake2b_salt_personal(keep_bytes(key), SEAL_KEY,
	    material.p, material.n, NULL, 0, NULL,
	    (const unsigned char *)personal);
	*out = key;
	return 0;
}
