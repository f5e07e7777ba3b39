/* SPDX-License-Identifier: ISC */
/*
 * What the gate knows of its session: the minter's guest_session, parsed
 * once. Read-only; a change makes a new one.
 */
#ifndef EGRESS_GATE_SESSION_H
#define EGRESS_GATE_SESSION_H

#include "keys/signing.h"
#include "messages/guest.h"
#include "scope/grant.h"

struct session_base {
	char grant[GRANT_NAME_MAX];
	struct host host;
	uint16_t port;
};

struct session {
	char id[33], guest[65];
	char issuer[257], channel[257];
	uint32_t uid;	     /* who may connect */
	uint64_t expires_ms; /* CLOCK_BOOTTIME */
	struct jwks jwks;
	char random[65];   /* the secret segment of base URLs */
	char *environment; /* JSON, given out as is */
	struct session_base *bases;
	size_t n_bases;
};

/* ERR_FORMAT: the minter misbehaves. */
MUST_USE int session_new(const struct guest_session *m, struct session **out);
void session_free(struct session *s);
/* NULL: no grant of that name has a base URL. */
const struct session_base *
session_base_find(const struct session *s, struct span name);

#endif
