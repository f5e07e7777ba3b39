/* SPDX-License-Identifier: ISC */
/*
 * Every place of a request that may carry a credential: one registry, for
 * finding what the guest brought, for taking it out, and (attach.h) for
 * what we put in. Names are compared by their letters and digits alone,
 * without case, and in a query with their escapes undone and without what
 * follows a "[": api-key, apiKey, api%5Fkey and api.key[0] are one name.
 *
 * A carrier is absent when it is empty. What it holds is either exactly a
 * placeholder of this session, alone or inside "Bearer", "Token" or
 * "Basic" (as user or password), or it is foreign. All carriers go; none
 * is ever forwarded.
 *
 * Cookies and Proxy-Authorization never hold a placeholder. They are taken
 * out without a word: tools keep cookies that the upstream itself set, and
 * the gate has read Proxy-Authorization already. So is what proxies add
 * (Forwarded, X-Forwarded-...).
 *
 * Here too is found what asks for another method or path than was checked:
 * X-HTTP-Method-Override, X-Original-URL, ?_method= and the like.
 */
#ifndef COURIER_CARRIERS_H
#define COURIER_CARRIERS_H

#include "lib/buf.h"
#include "scope/metadata.h"

/* Which credential a placeholder of this session stands for, or NULL. */
typedef const char *carriers_resolve(void *ctx, struct span value);

enum carried { CARRIED_NOTHING, CARRIED_PLACEHOLDER, CARRIED_FOREIGN };

struct carriers {
	enum carried carried;
	const char *credential; /* CARRIED_PLACEHOLDER: whose; as resolved */
	const char *where;	/* what kind of place, for the audit log */
	bool in_query;		/* a query key was a carrier */
	bool dropped;		/* a cookie was taken out */
	bool overrides;		/* the method or the path */
};

/* Look at the packed headers and the target. slots: those that credentials
 * have on this host, beside the fixed table. clean: the target without its
 * carriers is appended to it. ERR_FORMAT: the list is broken. */
MUST_USE int carriers_scan(struct span headers, struct span target,
    const struct slot *const *slots, size_t n_slots, carriers_resolve *resolve,
    void *ctx, struct buf *clean, struct carriers *out);

/* Is a header of that name a carrier, by the table or by a slot? */
bool carriers_is_header(
    struct span name, const struct slot *const *slots, size_t n_slots);
bool carriers_is_query(
    struct span key, const struct slot *const *slots, size_t n_slots);

/* With nothing carried: did a page of another site send this? host and
 * port: where to. */
bool carriers_cross_site(struct span headers, const char *host, uint16_t port);

#endif
