/* SPDX-License-Identifier: ISC */
/*
 * How a session's guest reaches us: what session.create asks for, what its
 * session shows, and the name that its tokens carry. One table of kinds; the
 * text that is kept and sent is messages/channel.h's.
 */
#ifndef MINTER_CHANNEL_H
#define MINTER_CHANNEL_H

#include "keys/jwt.h"
#include "minter/admin.h"
#include "minter/minter.h"

/* The member "channel" of body into s; without it a unix channel of the
 * daemon's own uid. False: the caller has its answer. */
MUST_USE bool channel_read(
    struct admin_call *call, const json_t *body, struct session *s);
/* No other session has its CID. False: the caller has its answer. */
MUST_USE bool channel_is_free(
    const struct minter *m, struct admin_call *call, const struct session *s);
/* As the session's document shows it. */
json_t *channel_document(const struct session *s);
/* "KIND:SESSION": never only the place, so that whoever comes to the same
 * place later inherits no token. */
void channel_claim(const struct session *s, char out[static JWT_TEXT_MAX]);

#endif
