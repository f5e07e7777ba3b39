/* SPDX-License-Identifier: ISC */
/*
 * May this request go out, where to, and with which credential? Made anew
 * for every request, from typed values, out of the minter's rules and the
 * vault's bindings: both must agree. No I/O but asking for a lease.
 */
#ifndef COURIER_DECISION_H
#define COURIER_DECISION_H

#include "egress/courier/carriers.h"
#include "egress/courier/lease.h"
#include "egress/courier/limits.h"
#include "egress/courier/rules.h"
#include "messages/traffic.h"
#include "scope/decide.h"

#define DECISION_SLOTS_MAX 64

/* The guest's connection that a request came on (WAY_INTERCEPT). */
struct decision_conn {
	struct span family, host;
	uint16_t port;
};

struct decision {
	enum reason reason; /* REASON_NONE: allowed */
	bool wait;	    /* a lease is under way: decide again later */
	const char *detail; /* a sentence for the guest, or NULL */
	const char *jti;
	struct host host; /* canonical destination */
	uint16_t port;
	const struct grant *grant; /* that allowed, or came closest */
	struct limits_bill bill;   /* who counts it, when it is allowed */
	int rule;
	struct carriers carriers;
	/* What is put in; NULL on a grant without a credential. */
	const struct lease *lease;
	const struct slot *slot;
	const struct slot *slots[DECISION_SLOTS_MAX]; /* of this host */
	size_t n_slots;
	bool echoes; /* what one of them is put in may come back */
};

/* clean: emptied, then the target without carriers. Everything in out is
 * borrowed until control returns to the loop. conn: NULL when unknown. */
void decision_make(const struct rules *rules, struct leases *leases,
    const struct traffic_request *m, const struct decision_conn *conn,
    uint64_t now_ms, struct buf *clean, struct decision *out);

/* For CONNECT: can host:port be had at all, credentials included? way is
 * set when reason is REASON_NONE. */
void decision_connect(const struct rules *rules, struct leases *leases,
    const struct traffic_connect *m, uint64_t now_ms, struct decision *out,
    enum traffic_way *way);

/* For a tunnel on conn. */
void decision_tunnel(const struct rules *rules, const struct traffic_tunnel *m,
    const struct decision_conn *conn, uint64_t now_ms, struct decision *out);

#endif
