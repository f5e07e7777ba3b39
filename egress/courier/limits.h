/* SPDX-License-Identifier: ISC */
/*
 * Counting: requests, rate, bytes and concurrency. No I/O; time is given in.
 * Counts outlive a change of rules.
 *
 * An account is of a grant in this session ("GRANT") or of a grant in a
 * narrower family ("FAMILY/GRANT"). A request is billed to its grant's
 * account and to that of each family above it that limits this grant: all
 * must let it in, and then all count it.
 *
 * Where requests are limited none is let in that the minter has not stored
 * as used: they are leased in blocks, the next one asked for when half of
 * one is left. Bytes are leased in blocks too, but nothing waits for that:
 * they flow already.
 */
#ifndef COURIER_LIMITS_H
#define COURIER_LIMITS_H

#include "messages/rules.h"
#include "scope/grant.h"
#include "scope/reason.h"

struct limits;
struct usage; /* one request's, from enter to leave */

#define LIMITS_BILL_MAX 10

/* From the session's grant inwards; what it points to is borrowed. family:
 * NULL for the session's. */
struct limits_bill {
	const char *grant;
	size_t n;
	struct {
		const char *family;
		const struct grant_limits *max;
	} of[LIMITS_BILL_MAX];
};

/* What ran out, for the guest. */
struct limits_no {
	uint32_t retry_after; /* seconds; 0: it does not come back */
	char detail[192];     /* a sentence */
};

MUST_USE int limits_new(struct limits **out);
void limits_free(struct limits *l);

typedef void limits_each(void *ctx, const struct rules_used *m);
/* Whom to ask for the next block; it is asked from limits_enter(), _up()
 * and _down(). */
void limits_on_ask(struct limits *l, limits_each *ask, void *ctx);

/* What was used before: {"ACCOUNT":{"requests":N,"up":N,"down":N}}. Counts
 * never fall. What was leased to us is not taken for used. ERR_FORMAT. */
MUST_USE int limits_seed(struct limits *l, struct span used);
/* The minter has stored it. */
MUST_USE int limits_leased(struct limits *l, const struct rules_leased *m);

/* Count one request in, or say which limit forbids it, and fill no. Every
 * one let in must leave. REASON_NONE with *out NULL: not yet, a lease is
 * under way; enter again after limits_leased(). */
enum reason limits_enter(struct limits *l, const struct limits_bill *bill,
    uint64_t now_ms, struct usage **out, struct limits_no *no);
void limits_leave(struct usage *u); /* frees it */

/* Count bytes; false once a limit is crossed: cut the exchange. */
bool limits_up(struct usage *u, uint64_t n);
bool limits_down(struct usage *u, uint64_t n);

/* Call each for every account whose totals changed since the last call; with
 * `last`, for every one, giving leases back: nothing enters after it. */
void limits_report(struct limits *l, bool last, limits_each *each, void *ctx);

/* Forget the accounts of families that are not known any more. */
typedef bool limits_known(void *ctx, struct span family);
void limits_sweep(struct limits *l, limits_known *known, void *ctx);

#endif
