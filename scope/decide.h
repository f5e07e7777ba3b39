/* SPDX-License-Identifier: ISC */
/*
 * The decision: which grant, if any, lets this request through. Pure: the
 * courier asks it per request, `hatcheck explain` asks it the same.
 */
#ifndef SCOPE_DECIDE_H
#define SCOPE_DECIDE_H

#include "scope/grant.h"
#include "scope/reason.h"

struct decide_request {
	const char *host; /* canonical */
	uint16_t port;
	struct span method;
	struct span target;    /* exact bytes */
	const char *grant;     /* base URL: only this one; or NULL */
	const char *credential; /* the placeholder's, or NULL for none seen */
	bool tunnel;	       /* CONNECT without a request: hosts only */
	/* A child token's narrower grants, its ancestors' too: each set must
	 * let it through as well, by a grant of the same name. */
	const struct grant_set *const *within;
	size_t n_within;
};

struct decide_result {
	enum reason reason; /* REASON_NONE: allowed */
	const struct grant *grant; /* that allowed, or came closest */
	size_t rule;		   /* index of the rule that allowed */
};

/* Several grants may match: with the same credential the first one wins;
 * with different ones REASON_AMBIGUOUS unless r->credential picks. A grant
 * without a credential never matches a request that carries a placeholder.
 */
void decide(const struct grant_set *set, const struct decide_request *r,
    struct decide_result *out);

/* For CONNECT: is the host named by any grant, and is it to be a tunnel? A
 * host that any credential grant names is never a tunnel. */
enum decide_way { DECIDE_REFUSE, DECIDE_INTERCEPT, DECIDE_TUNNEL };
enum decide_way decide_connect(
    const struct grant_set *set, const char *host, uint16_t port);
/* And is it named within each narrower set, by the same grant? Of r only
 * host, port, tunnel, within and n_within are looked at. */
bool decide_delegated(
    const struct grant_set *set, const struct decide_request *r);

#endif
