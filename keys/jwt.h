/* SPDX-License-Identifier: ISC */
/*
 * Session tokens: RFC 9068 access tokens, one algorithm, RFC 8725 rules.
 * docs/token-profile.md is the protocol; this is all code that makes or
 * believes one.
 *
 * The header is exactly {"typ":"at+jwt","alg":"EdDSA","kid":K}: any other
 * member (jwk, jku, x5u, x5c, crit, b64, ...) is refused, as is every claim
 * that is not listed here.
 *
 *	enum jwt_result why = jwt_verify(token, &expect, &claims);
 *	if (why != JWT_GOOD) log(jwt_result_text(why));
 */
#ifndef KEYS_JWT_H
#define KEYS_JWT_H

#include "keys/signing.h"

#define JWT_MAX 4080	     /* bytes of a whole token: fits an ATTACH line */
#define JWT_LIFE_MAX 900     /* seconds from iat to exp, always */
#define JWT_SKEW 60	     /* how far iat may lie in the future */
#define JWT_TEXT_MAX 129     /* with NUL: printable ASCII, no space */
#define JWT_GRANTS_MAX 24
#define JWT_ACT_MAX 8	     /* sub-agents of sub-agents */
#define JWT_NAME_MAX 65	     /* with NUL: a grant's name */

struct jwt_claims {
	char iss[JWT_TEXT_MAX];
	char aud[JWT_TEXT_MAX];
	char sub[JWT_TEXT_MAX];	      /* session id */
	char client_id[JWT_TEXT_MAX]; /* guest name */
	char jti[JWT_TEXT_MAX];
	char fam[JWT_TEXT_MAX];	    /* family */
	char channel[JWT_TEXT_MAX]; /* cnf: {"hck": channel} */
	/* act: {"sub": who, "act": {"sub": for whom, ...}}: who acts now
	 * comes first (RFC 8693, 4.1). */
	size_t n_act;
	char act[JWT_ACT_MAX][JWT_TEXT_MAX];
	int64_t iat, exp;	    /* wall-clock Unix seconds */
	size_t n_grants;
	/* authorization_details:
	 * [{"type":"hatcheck-grant","name":N}, ...], in order */
	char grants[JWT_GRANTS_MAX][JWT_NAME_MAX];
};

/* Signs with the current key and appends the token to out. ERR_ARGUMENT:
 * a claim is missing or malformed, or exp - iat is not in 1..JWT_LIFE_MAX.
 * ERR_TOO_BIG: the token would exceed JWT_MAX. */
MUST_USE int jwt_sign(const struct jwt_claims *c, const struct signing *keys,
    struct buf *out);

/* Checks happen in this order; the first that fails is the result. */
enum jwt_result {
	JWT_GOOD = 0,
	JWT_MALFORMED, /* size, parts, base64url, JSON; or out of memory */
	JWT_HEADER,    /* typ, alg, or a header member we do not know */
	JWT_KEY,       /* no key has that kid */
	JWT_SIGNATURE,
	JWT_CLAIMS, /* a claim absent, unknown, or of the wrong type */
	JWT_ISSUER,
	JWT_AUDIENCE,
	JWT_LIFETIME, /* exp - iat not in 1..JWT_LIFE_MAX */
	JWT_NOT_YET,  /* iat more than JWT_SKEW in the future */
	JWT_EXPIRED,  /* now >= exp */
	JWT_CHANNEL   /* minted for another channel */
};
/* "expired", "channel", ...: a stable word for logs. */
const char *jwt_result_text(enum jwt_result r);

struct jwt_expect {
	const char *iss;
	const char *aud;
	const char *channel; /* NULL: not checked (introspection) */
	int64_t now;	     /* wall clock */
	const struct jwks *keys;
};

/* *out is written only on JWT_GOOD. */
MUST_USE enum jwt_result jwt_verify(struct span token,
    const struct jwt_expect *expect, struct jwt_claims *out);

#endif
