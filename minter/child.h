/* SPDX-License-Identifier: ISC */
/*
 * Child tokens: a new family that may less than its parent and ends with it.
 * What it may is made by scope/narrow.h, and stands for good: a renewal
 * changes nothing but the time. The parent is a family of the same session
 * or, for a narrower first token, the session itself.
 */
#ifndef MINTER_CHILD_H
#define MINTER_CHILD_H

#include "messages/guest.h"
#include "minter/minter.h"

#define CHILD_DETAILS_MAX (32 * 1024) /* bytes of stored JSON */
#define CHILD_GRANTS_MAX 512	      /* in all live ones of a session */

/* Does the request want one? */
bool child_asked(const struct guest_token_ask *q);

/* Why not: RFC 6749 with RFC 9396's code. */
struct child_refusal {
	unsigned status;
	const char *error; /* a literal */
	char text[256];
};

/* A family with its id, not yet in the session, told nobody, without token
 * or times but until. parent: NULL for the session. ERR_DENIED and the
 * refusal, or ERR_NOMEM. */
MUST_USE int child_make(const struct minter *m, const struct session *s,
    const struct family *parent, const struct guest_token_ask *q, int64_t now,
    struct family **out, struct child_refusal *no);

/* Its grants as they are stored; NULL: no memory. For free(). */
char *child_details(const struct family *f);

/* ["f-…", …]: its ancestors, nearest first. */
json_t *child_parents(const struct session *s, const struct family *f);

#endif
