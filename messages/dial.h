/* SPDX-License-Identifier: ISC */
/*
 * Courier and dialer: a connected socket to a host. Which addresses are
 * allowed comes from the session's descriptor, never from the courier. Ids
 * 0x06xx.
 */
#ifndef MESSAGES_DIAL_H
#define MESSAGES_DIAL_H

#include "lib/msg.h"

struct dial_ask {
	uint32_t rid;
	struct span host; /* canonical (scope/host.h) */
	uint16_t port;
};
extern const struct msg_type msg_dial_ask;

/* With the connected fd (non-blocking, linger 0, small send queue) when err
 * is 0. ERR_DENIED: only forbidden addresses; ERR_NOT_FOUND: no such name, or
 * no address; ERR_EXPIRED: the resolver gave no answer; ERR_IO: the corporate
 * proxy did not open the way; ERR_UNAVAILABLE: refused or timed out. */
struct dial_done {
	uint32_t rid;
	int32_t err;
	struct span address; /* text, for the audit log; may be empty.
				"via 192.0.2.1:3128": the proxy's */
};
extern const struct msg_type msg_dial_done;

/* courier -> dialer: no longer wanted. */
struct dial_cancel {
	uint32_t rid;
};
extern const struct msg_type msg_dial_cancel;

#endif
