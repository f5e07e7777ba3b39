/* SPDX-License-Identifier: ISC */
/*
 * Ed25519 signing keys: one current, and previous ones that still verify
 * until their overlap ends. The private halves live in locked memory and
 * leave only for the vault's keeper (signing_save). Public halves are a
 * struct jwks: plain data, RFC 7517 and 8037 as JSON.
 *
 *	struct signing *keys;
 *	if ((r = signing_new(now, &keys)) != 0) ...	one fresh key
 *	signing_rotate(keys, now, 900);		the old one verifies 900 s
 *	signing_public(keys, now, &jwks);	what verifiers need
 */
#ifndef KEYS_SIGNING_H
#define KEYS_SIGNING_H

#include "lib/buf.h"
#include "lib/secret.h"

#define SIGNING_SIGNATURE 64
#define JWKS_MAX 8	 /* keys in a set */
#define JWKS_KID_MAX 65	 /* with NUL; [A-Za-z0-9_-] */
#define JWKS_JSON_MAX 4096

struct jwk {
	char kid[JWKS_KID_MAX];
	uint8_t public_key[32];
};

struct jwks {
	size_t n;
	struct jwk keys[JWKS_MAX];
};

/* Strict: {"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig",
 * "kid":K,"x":X}, ...]}, 1 to JWKS_MAX keys, unique kids, nothing else (so
 * never a private "d"). ERR_FORMAT. */
MUST_USE int jwks_parse(struct span json, struct jwks *out);
MUST_USE int jwks_encode(const struct jwks *set, struct buf *out);
/* NULL when no key has that kid, which is only ever compared. */
const struct jwk *jwks_find(const struct jwks *set, struct span kid);
/* ERR_NOT_FOUND no such key; ERR_CRYPTO the signature is wrong. Strict
 * Ed25519: S < L, no small-order or non-canonical points. */
MUST_USE int jwks_verify(const struct jwks *set, struct span kid,
    struct span message, struct span signature);

struct signing;

/* A set with one fresh current key. Times are wall-clock Unix seconds. */
MUST_USE int signing_new(int64_t now, struct signing **out);
void signing_free(struct signing *s);

/* A fresh current key; the one before verifies for overlap_s more. At most
 * JWKS_MAX keys: the oldest goes first. */
MUST_USE int signing_rotate(
    struct signing *s, int64_t now, int64_t overlap_s);
/* When the current key was made: rotate by age. */
int64_t signing_made(const struct signing *s);

const char *signing_kid(const struct signing *s); /* the current key's */
MUST_USE int signing_sign(const struct signing *s, struct span message,
    uint8_t out[static SIGNING_SIGNATURE]);
/* The public halves that verify at now, the current one first. */
void signing_public(const struct signing *s, int64_t now, struct jwks *out);

/* All of it for the vault's keeper, at most 1024 bytes, versioned. */
MUST_USE int signing_save(const struct signing *s, struct keep **out);
/* Checks each private key against its public half. ERR_FORMAT, ERR_CRYPTO. */
MUST_USE int signing_load(struct span saved, struct signing **out);

/* Canonical base64url (no padding, no stray bits); for JOSE alone. */
MUST_USE int b64url_put(struct span in, struct buf *out);
/* Decodes into out[size]; *n is the length. ERR_FORMAT, ERR_TOO_BIG. */
MUST_USE int b64url_get(
    struct span in, uint8_t *out, size_t size, size_t *n);

#endif
