/* SPDX-License-Identifier: ISC */
/*
 * What a guest is told: RFC 9457 problem documents with RFC 9209
 * Proxy-Status for refusals, and the plain answers of the guest API. Pure:
 * values, which a front writes (front.h). Nothing in them comes from the guest,
 * from upstream or from this host but the words of scope/reason.h.
 */
#ifndef EGRESS_GATE_PROBLEM_H
#define EGRESS_GATE_PROBLEM_H

#include "egress/http/head.h"
#include "scope/reason.h"

struct problem {
	unsigned reason;      /* enum reason */
	struct span grant;    /* or empty */
	struct span detail;   /* a sentence of our own, or empty */
	struct span hint;     /* instead of the reason's, or empty */
	uint16_t status;      /* instead of the reason's, or 0 */
	uint32_t retry_after; /* seconds, or 0 */
	const char *allow;    /* 405: the methods, or NULL */
};

/* Into a head that was initialised and an empty body; both the caller's. */
MUST_USE int
problem_make(const struct problem *p, struct head *h, struct buf *body);

/* The head of an answer with a body of ours, or none. Cache-Control:
 * no-store. */
MUST_USE int answer_make(
    uint16_t status, const char *type, struct span body, struct head *h);

#endif
