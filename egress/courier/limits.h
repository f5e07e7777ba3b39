/* SPDX-License-Identifier: ISC */
/*
 * Counting: requests, rate, bytes and concurrency per grant of this
 * session. No I/O; time is given in. Counts outlive a change of rules.
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

/* What was used before: {"GRANT":{"requests":N,"up":N,"down":N}}. Counts
 * never fall. ERR_FORMAT. */
MUST_USE int limits_seed(struct limits *l, struct span used);

/* Count one request in, or say which limit forbids it; retry_after in
 * seconds for LIMIT_RATE. Every one let in must leave. */
enum reason limits_enter(struct limits *l, const struct grant *g,
    uint64_t now_ms, struct usage **out, uint32_t *retry_after);
void limits_leave(struct usage *u);

/* Count bytes; false once a limit is crossed: cut the exchange. */
bool limits_up(struct usage *u, uint64_t n);
bool limits_down(struct usage *u, uint64_t n);

/* Call each for every grant whose totals changed since the last call. */
void limits_report(struct limits *l,
    void (*each)(void *ctx, const struct rules_used *m), void *ctx);

#endif
