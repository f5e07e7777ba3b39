/* SPDX-License-Identifier: ISC */
/* What for: to say whether a guest's token is good here and now.
 * Trusts: the minter for keys and families; keys/jwt.h for the rest.
 * At a bound: the oldest remembered token goes; a family too many is
 * refused. */
#include "egress/gate/tokens.h"

#include "egress/gate/limits.h"
#include "keys/jwt.h"
#include "lib/sha256.h"

#include <openssl/crypto.h>
#include <stdlib.h>

struct family {
	char name[FAMILY_SIZE]; /* empty: free */
	uint64_t expires_ms;
	bool doubt;
};

struct verified {
	uint8_t hash[SHA256_SIZE];
	char family[FAMILY_SIZE];
	int64_t iat, exp;
};

_Static_assert(LIMIT_TOKENS <= 256, "a place is a byte");

struct tokens {
	struct family families[LIMIT_FAMILIES];
	struct verified verified[LIMIT_TOKENS];
	size_t n_verified, next; /* a ring */
	/* Where the newest with this first byte of its hash was put: where to
	 * look first. */
	uint8_t place[256];
};

int
tokens_new(struct tokens **out)
{
	struct tokens *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return ERR_NOMEM;
	*out = t;
	return 0;
}

void
tokens_free(struct tokens *t)
{
	free(t);
}

static struct family *
find(const struct tokens *t, struct span name)
{
	for (size_t i = 0; i < LIMIT_FAMILIES && name.n > 0; i++) {
		const struct family *f = &t->families[i];
		if (f->name[0] != '\0' && span_is(name, f->name))
			return (struct family *)(uintptr_t)f;
	}
	return NULL;
}

static struct family *
find_room(struct tokens *t, struct tokens_now now)
{
	for (size_t i = 0; i < LIMIT_FAMILIES; i++) {
		struct family *f = &t->families[i];
		if (f->name[0] == '\0' || f->expires_ms <= now.boot_ms)
			return f;
	}
	return NULL;
}

int
tokens_family(struct tokens *t, struct span family, struct tokens_now now,
    uint64_t expires_ms)
{
	struct family *f = find(t, family);
	char name[FAMILY_SIZE];

	if (family.n == 0 || span_copy(family, name, sizeof(name)) != 0)
		return ERR_FORMAT;
	if (f == NULL && (f = find_room(t, now)) == NULL)
		return ERR_TOO_BIG;
	memcpy(f->name, name, sizeof(name));
	f->expires_ms = expires_ms;
	f->doubt = false;
	return 0;
}

void
tokens_cut(struct tokens *t, struct span family)
{
	if (family.n == 0) {
		memset(t->families, 0, sizeof(t->families));
		return;
	}
	struct family *f = find(t, family);
	if (f != NULL)
		memset(f, 0, sizeof(*f));
}

bool
tokens_alive(const struct tokens *t, const char *family, struct tokens_now now)
{
	const struct family *f = find(t, span_str(family));

	return f != NULL && !f->doubt && f->expires_ms > now.boot_ms;
}

void
tokens_doubt(struct tokens *t)
{
	for (size_t i = 0; i < LIMIT_FAMILIES; i++)
		t->families[i].doubt = true;
}

bool
tokens_doubted(const struct tokens *t, const char *family)
{
	const struct family *f = find(t, span_str(family));

	return f != NULL && f->doubt;
}

void
tokens_settle(struct tokens *t)
{
	for (size_t i = 0; i < LIMIT_FAMILIES; i++) {
		if (t->families[i].doubt)
			memset(&t->families[i], 0, sizeof(t->families[i]));
	}
}

void
tokens_forget(struct tokens *t)
{
	buf_wipe(t->verified, sizeof(t->verified));
	t->n_verified = 0;
	t->next = 0;
}

static bool
is_token(const struct verified *v, const uint8_t *hash)
{
	return CRYPTO_memcmp(v->hash, hash, sizeof(v->hash)) == 0;
}

/* Hashes of tokens are no secrets: whoever can time this has the token. */
static const struct verified *
recall(const struct tokens *t, const uint8_t *hash)
{
	size_t at = t->place[hash[0]];

	if (at < t->n_verified && is_token(&t->verified[at], hash))
		return &t->verified[at];
	for (size_t i = 0; i < t->n_verified; i++) {
		if (is_token(&t->verified[i], hash))
			return &t->verified[i];
	}
	return NULL;
}

static const struct verified *
remember(struct tokens *t, const uint8_t *hash, const struct jwt_claims *claims)
{
	struct verified *v = &t->verified[t->next];

	if (span_copy(span_str(claims->fam), v->family, sizeof(v->family)) != 0)
		return NULL;
	memcpy(v->hash, hash, sizeof(v->hash));
	v->iat = claims->iat;
	v->exp = claims->exp;
	t->place[hash[0]] = (uint8_t)t->next;
	t->next = (t->next + 1) % LIMIT_TOKENS;
	if (t->n_verified < LIMIT_TOKENS)
		t->n_verified++;
	return v;
}

static enum reason
verify(struct tokens *t, const struct session *s, struct span token,
    struct tokens_now now, const uint8_t *hash, const struct verified **out)
{
	struct jwt_expect expect = {.iss = s->issuer,
	    .aud = TOKENS_AUDIENCE,
	    .channel = s->channel,
	    .now = now.wall_s,
	    .keys = &s->jwks};
	struct jwt_claims claims;
	enum jwt_result r = jwt_verify(token, &expect, &claims);

	if (r == JWT_EXPIRED)
		return REASON_TOKEN_EXPIRED;
	if (r != JWT_GOOD || strcmp(claims.sub, s->id) != 0)
		return REASON_BAD_TOKEN;
	*out = remember(t, hash, &claims);
	return *out == NULL ? REASON_BAD_TOKEN : REASON_NONE;
}

enum reason
tokens_check(struct tokens *t, const struct session *s, struct span token,
    struct tokens_now now, char family[static FAMILY_SIZE])
{
	uint8_t hash[SHA256_SIZE];
	const struct verified *v;
	enum reason why;

	if (sha256(token, hash) != 0)
		return REASON_NOT_READY;
	if ((v = recall(t, hash)) == NULL &&
	    (why = verify(t, s, token, now, hash, &v)) != REASON_NONE)
		return why;
	if (v->exp <= now.wall_s)
		return REASON_TOKEN_EXPIRED;
	if (v->iat > now.wall_s + JWT_SKEW)
		return REASON_BAD_TOKEN; /* the clock stepped back meanwhile */
	const struct family *f = find(t, span_str(v->family));
	if (f == NULL)
		return REASON_BAD_TOKEN;
	if (f->doubt)
		return REASON_NOT_READY;
	if (f->expires_ms <= now.boot_ms)
		return REASON_TOKEN_EXPIRED;
	memcpy(family, v->family, FAMILY_SIZE);
	return REASON_NONE;
}
