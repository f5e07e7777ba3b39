/* SPDX-License-Identifier: ISC */
/*
 * Tokens: RFC 6749 client_credentials authenticated by the channel alone
 * (a new family), RFC 8693 exchange of a live token of the session (a newer
 * token of the same family, or with authorization_details or act a child:
 * child.h), RFC 7009 revocation by the guest itself.
 * docs/token-profile.md is the profile. Durable before it is answered.
 */
#ifndef MINTER_TOKEN_H
#define MINTER_TOKEN_H

#include "keys/jwt.h"
#include "messages/guest.h"
#include "minter/minter.h"

#define TOKEN_LIFE 300 /* seconds; JWT_LIFE_MAX caps it */
/* Of one session, and once more of its sub-agents together: so many at once,
 * then one in this time. */
#define TOKEN_BURST 600
#define TOKEN_PACE_MS 1000

#define TOKEN_CLIENT_CREDENTIALS "client_credentials"
#define TOKEN_EXCHANGE "urn:ietf:params:oauth:grant-type:token-exchange"
#define TOKEN_TYPE_ACCESS "urn:ietf:params:oauth:token-type:access_token"
#define TOKEN_TYPE_JWT "urn:ietf:params:oauth:token-type:jwt"

/* Answers on the session's gate link. 0, or the link's failure. */
MUST_USE int
token_ask(struct minter *m, struct session *s, const struct guest_token_ask *a);
MUST_USE int token_revoke(
    struct minter *m, struct session *s, const struct guest_token_revoke *r);

/* Whose token is it? Signature and lifetime are checked, the channel is
 * not: for the admin API. */
enum jwt_result
token_read(struct minter *m, struct span token, struct jwt_claims *out);

#endif
