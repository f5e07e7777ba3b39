/* SPDX-License-Identifier: ISC */
/*
 * Counting: requests, rate, bytes and concurrency per grant of this
 * session. No I/O; time is given in. Counts outlive a change of rules.
 *
 * Of a grant with a limit on requests no request is let in that the minter
 * has not stored as used: they are leased in blocks, the next one asked for
 * when half of one is left.
 */
#ifndef COURIER_LIMITS_H
#define COURIER_LIMITS_H

#include "messages/rules.h"
#include "scope/grant.h"
#include "scope/reason.h"

struct limits;
struct usage; /* of one grant; lives as long as its limits */

MUST_USE int limits_new(struct limits **out);
void limits_free(struct limits *l);

typedef void limits_each(void *ctx, const struct rules_used *m);
/* Whom to ask for the next block; it is asked from limits_enter(). */
void limits_on_ask(struct limits *l, limits_each *ask, void *ctx);

/* What was used before: {"GRANT":{"requests":N,"up":N,"down":N}}. Counts
 * never fall. Requests that were leased to us are not taken for used.
 * ERR_FORMAT. */
MUST_USE int limits_seed(struct limits *l, struct span used);
/* The minter has stored it. */
MUST_USE int limits_leased(struct limits *l, const struct rules_leased *m);

/* Count one request in, or say which limit forbids it; retry_after in
 * seconds for LIMIT_RATE. Every one let in must leave. REASON_NONE with
 * *out NULL: not yet, a lease is under way; enter again after
 * limits_leased(). */
enum reason limits_enter(struct limits *l, const struct grant *g,
    uint64_t now_ms, struct usage **out, uint32_t *retry_after);
void limits_leave(struct usage *u);

/* Count bytes; false once a limit is crossed: cut the exchange. */
bool limits_up(struct usage *u, uint64_t n);
bool limits_down(struct usage *u, uint64_t n);

/* Call each for every grant whose totals changed since the last call; with
 * `last`, for every grant, giving leases back: nothing enters after it. */
void limits_report(struct limits *l, bool last, limits_each *each, void *ctx);

#endif
