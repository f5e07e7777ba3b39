/* SPDX-License-Identifier: ISC */
/*
 * The one place where a request and a secret meet. The head that goes
 * upstream is made anew from typed values, without any carrier that the
 * guest filled, with the credential in its slot, in locked memory.
 *
 *	struct attached h;
 *	if ((r = attach_head(&a, &h)) == 0)
 *		r = call_send(k, &h.head, h.never);
 *	attach_clear(&h);
 */
#ifndef COURIER_ATTACH_H
#define COURIER_ATTACH_H

#include "egress/http/head.h"
#include "lib/buf.h"
#include "lib/secret.h"
#include "scope/metadata.h"

struct attach {
	struct span method;
	struct span target; /* clean: without carriers */
	const char *host;   /* canonical */
	uint16_t port;
	struct span headers; /* packed, as the guest sent them */
	uint8_t body;	     /* enum traffic_body */
	uint64_t length;
	bool expect, te;
	bool upgrade;	/* a WebSocket's handshake (ws_open.h) */
	bool inspect;	/* the answer is looked into: ask for what can be */
	bool no_ranges; /* of an answer that may hold the credential */
	/* The slots of all credentials on this host: what to take out. */
	const struct slot *const *slots;
	size_t n_slots;
	/* What to put in; both NULL on a grant without a credential. */
	const struct slot *slot;
	const struct keep *secret;
};

/* The head, whose spans lie in a's values and in here. */
struct attached {
	struct head head;
	size_t never; /* fields from here on hold the credential */
	struct buf *value, *target; /* locked */
};

/* Fill out, which is to be cleared after failures too. ERR_ARGUMENT: the
 * secret or a field does not fit its place (a line break in a header):
 * nothing may be sent. ERR_FORMAT: the gate's list is broken. */
MUST_USE int attach_head(const struct attach *a, struct attached *out);
void attach_clear(struct attached *h);

#endif
