/* SPDX-License-Identifier: ISC */
/*
 * Which tokens and families are good on this channel. A family lives until
 * its newest token ends (the minter says when) or is cut; a token is good
 * when its signature, claims and channel are, it has not ended, and its
 * family lives. Verified tokens are remembered by SHA-256.
 */
#ifndef EGRESS_GATE_TOKENS_H
#define EGRESS_GATE_TOKENS_H

#include "egress/gate/session.h"
#include "scope/reason.h"

#define TOKENS_AUDIENCE "hatcheck-egress"
#define FAMILY_SIZE (FAMILY_MAX + 1)

struct tokens_now {
	uint64_t boot_ms; /* CLOCK_BOOTTIME */
	int64_t wall_s;
};

struct tokens;

MUST_USE int tokens_new(struct tokens **out);
void tokens_free(struct tokens *t);

/* The minter says that this family lives until then. When the table is
 * full a dead one makes room. ERR_TOO_BIG, ERR_FORMAT. */
MUST_USE int tokens_family(struct tokens *t, struct span family,
    struct tokens_now now, uint64_t expires_ms);
/* Cut: unknown from now on. An empty family: all of them. */
void tokens_cut(struct tokens *t, struct span family);
bool
tokens_alive(const struct tokens *t, const char *family, struct tokens_now now);

/* A new minter will say again which families live; until it does they are
 * in doubt: not alive for new requests, but not cut. */
void tokens_doubt(struct tokens *t);
bool tokens_doubted(const struct tokens *t, const char *family);
/* Drop those still in doubt. */
void tokens_settle(struct tokens *t);

/* The keys or the session changed: verify all anew. */
void tokens_forget(struct tokens *t);

/* REASON_NONE and the family; else BAD_TOKEN, TOKEN_EXPIRED or NOT_READY. */
enum reason tokens_check(struct tokens *t, const struct session *s,
    struct span token, struct tokens_now now, char family[static FAMILY_SIZE]);

#endif
