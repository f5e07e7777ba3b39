/* SPDX-License-Identifier: ISC */
/* What for: Ed25519 keys that sign tokens and audit anchors. Trusts:
 * libsodium; the vault for what it kept, after checking it. At a bound:
 * the oldest key goes. */
#include "keys/signing.h"

#include "keys/json.h"

#include <sodium.h>
#include <stdlib.h>

#define SEED crypto_sign_SEEDBYTES
#define SECRET crypto_sign_SECRETKEYBYTES
#define PUBLIC crypto_sign_PUBLICKEYBYTES

/* A saved set: this line, then for each key until (8 bytes, big-endian,
 * 0: current), made (8), seed, public half. */
static const uint8_t magic[8] = "hcksign1";
#define RECORD (8 + 8 + SEED + PUBLIC)

struct signing_key {
	struct jwk jwk;
	struct keep *secret; /* SECRET bytes */
	int64_t made;
	int64_t until; /* 0 for the current key, which is the first */
};

struct signing {
	size_t n;
	struct signing_key keys[JWKS_MAX];
};

/* RFC 7638 and 8037: a key's thumbprint is its name. */
static int
thumbprint(const uint8_t public_key[static PUBLIC], char out[JWKS_KID_MAX])
{
	static const char front[] =
	    "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"";
	crypto_hash_sha256_state h;
	uint8_t hash[crypto_hash_sha256_BYTES];
	char x[sodium_base64_ENCODED_LEN(
	    PUBLIC, sodium_base64_VARIANT_URLSAFE_NO_PADDING)];

	sodium_bin2base64(x, sizeof(x), public_key, PUBLIC,
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	crypto_hash_sha256_init(&h);
	crypto_hash_sha256_update(
	    &h, (const uint8_t *)front, sizeof(front) - 1);
	crypto_hash_sha256_update(&h, (const uint8_t *)x, strlen(x));
	crypto_hash_sha256_update(&h, (const uint8_t *)"\"}", 2);
	crypto_hash_sha256_final(&h, hash);
	if (sodium_bin2base64(out, JWKS_KID_MAX, hash, sizeof(hash),
		sodium_base64_VARIANT_URLSAFE_NO_PADDING) == NULL)
		return ERR_CRYPTO;
	return 0;
}

/* From a seed, in locked memory throughout. */
static int
key_from_seed(const uint8_t *seed, int64_t made, struct signing_key *out)
{
	struct signing_key k = {.made = made};
	int r;

	if (sodium_init() < 0)
		return ERR_CRYPTO;
	if ((r = keep_blank(SECRET, &k.secret)) != 0)
		return r;
	if (crypto_sign_seed_keypair(
		k.jwk.public_key, keep_bytes(k.secret), seed) != 0 ||
	    thumbprint(k.jwk.public_key, k.jwk.kid) != 0) {
		keep_free(k.secret);
		return ERR_CRYPTO;
	}
	*out = k;
	return 0;
}

static int
key_new(int64_t now, struct signing_key *out)
{
	struct keep *seed = NULL;
	int r = sodium_init() < 0 ? ERR_CRYPTO : keep_random(SEED, &seed);

	if (r == 0)
		r = key_from_seed(keep_bytes(seed), now, out);
	keep_free(seed);
	return r;
}

void
signing_free(struct signing *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++)
		keep_free(s->keys[i].secret);
	free(s);
}

int
signing_new(int64_t now, struct signing **out)
{
	struct signing *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return ERR_NOMEM;
	if ((r = key_new(now, &s->keys[0])) != 0) {
		free(s);
		return r;
	}
	s->n = 1;
	*out = s;
	return 0;
}

/* Keys whose overlap ended are wiped. */
static void
drop_expired(struct signing *s, int64_t now)
{
	size_t kept = 1;

	for (size_t i = 1; i < s->n; i++) {
		if (s->keys[i].until > now)
			s->keys[kept++] = s->keys[i];
		else
			keep_free(s->keys[i].secret);
	}
	s->n = kept;
}

int
signing_rotate(struct signing *s, int64_t now, int64_t overlap_s)
{
	struct signing_key fresh;
	int r = key_new(now, &fresh);

	if (r != 0)
		return r;
	drop_expired(s, now);
	if (s->n == JWKS_MAX)
		keep_free(s->keys[--s->n].secret);
	memmove(&s->keys[1], &s->keys[0], s->n * sizeof(s->keys[0]));
	s->keys[1].until = now + overlap_s;
	s->keys[0] = fresh;
	s->n++;
	return 0;
}

int64_t
signing_made(const struct signing *s)
{
	return s->keys[0].made;
}

const char *
signing_kid(const struct signing *s)
{
	return s->keys[0].jwk.kid;
}

int
signing_sign(const struct signing *s, struct span message,
    uint8_t out[static SIGNING_SIGNATURE])
{
	struct span secret = keep_reveal(s->keys[0].secret);

	return crypto_sign_detached(
		   out, NULL, message.p, message.n, secret.p) == 0
		   ? 0
		   : ERR_CRYPTO;
}

void
signing_public(const struct signing *s, int64_t now, struct jwks *out)
{
	out->n = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (i == 0 || s->keys[i].until > now)
			out->keys[out->n++] = s->keys[i].jwk;
	}
}

static void
put_u64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static uint64_t
get_u64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

int
signing_save(const struct signing *s, struct keep **out)
{
	struct keep *k = NULL;
	int r = keep_blank(sizeof(magic) + s->n * RECORD, &k);

	if (r != 0)
		return r;
	uint8_t *p = keep_bytes(k);
	memcpy(p, magic, sizeof(magic));
	p += sizeof(magic);
	for (size_t i = 0; i < s->n; i++, p += RECORD) {
		const struct signing_key *key = &s->keys[i];

		put_u64(p, (uint64_t)key->until);
		put_u64(p + 8, (uint64_t)key->made);
		memcpy(p + 16, keep_reveal(key->secret).p, SEED);
		memcpy(p + 16 + SEED, key->jwk.public_key, PUBLIC);
	}
	*out = k;
	return 0;
}

/* Only the current key, which is the first, has no end. */
static int
load_key(const uint8_t *p, bool first, struct signing_key *out)
{
	uint64_t until = get_u64(p), made = get_u64(p + 8);
	int r;

	if (until > INT64_MAX || made > INT64_MAX || (until == 0) != first)
		return ERR_FORMAT;
	if ((r = key_from_seed(p + 16, (int64_t)made, out)) != 0)
		return r;
	out->until = (int64_t)until;
	if (memcmp(out->jwk.public_key, p + 16 + SEED, PUBLIC) == 0)
		return 0;
	keep_free(out->secret);
	return ERR_CRYPTO;
}

int
signing_load(struct span saved, struct signing **out)
{
	size_t n = (saved.n - sizeof(magic)) / RECORD;
	struct signing *s;
	int r = 0;

	if (saved.n < sizeof(magic) + RECORD || n > JWKS_MAX ||
	    saved.n != sizeof(magic) + n * RECORD ||
	    memcmp(saved.p, magic, sizeof(magic)) != 0)
		return ERR_FORMAT;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return ERR_NOMEM;
	while (r == 0 && s->n < n) {
		r = load_key(saved.p + sizeof(magic) + s->n * RECORD, s->n == 0,
		    &s->keys[s->n]);
		if (r == 0)
			s->n++;
	}
	if (r != 0) {
		signing_free(s);
		return r;
	}
	*out = s;
	return 0;
}
