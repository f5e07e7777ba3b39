/* SPDX-License-Identifier: ISC */
/*
 * Sealing of bytes at rest: XChaCha20-Poly1305 with a random nonce, and the
 * ways to a key. A box is nonce (24), ciphertext, tag (16). The associated
 * data says what the box is: a box moved elsewhere does not open.
 *
 *	seal_box(key, ad, plain, out);
 *	seal_open(key, ad, box, &plain);	ERR_CRYPTO: not what was sealed
 */
#ifndef VAULT_SEAL_H
#define VAULT_SEAL_H

#include "lib/buf.h"
#include "lib/secret.h"

#define SEAL_KEY 32
#define SEAL_NONCE 24
#define SEAL_TAG 16
#define SEAL_EXTRA (SEAL_NONCE + SEAL_TAG)
#define SEAL_SALT 16

/* Appends the box to out. */
MUST_USE int seal_box(
    const struct keep *key, struct span ad, struct span plain, struct buf *out);
MUST_USE int seal_open(
    const struct keep *key, struct span ad, struct span box, struct keep **out);

/* Argon2id. The costs are stored beside what they made, and bounded when
 * read back, so that a damaged file cannot ask for all memory. */
struct seal_cost {
	uint64_t ops;
	uint64_t mem; /* bytes */
	uint8_t salt[SEAL_SALT];
};
void seal_cost_fresh(struct seal_cost *c); /* MODERATE, random salt */
MUST_USE int seal_key_from_passphrase(
    struct span passphrase, const struct seal_cost *c, struct keep **out);

/* A key out of random material of 32 bytes or more (a key file). use:
 * separates the purposes, at most 16 bytes. */
MUST_USE int seal_key_from_material(
    struct span material, const char *use, struct keep **out);

#endif
