/* SPDX-License-Identifier: ISC */
/*
 * Gate and minter: what the gate must know of its session, and tokens.
 * Ids 0x07xx.
 */
#ifndef MESSAGES_GUEST_H
#define MESSAGES_GUEST_H

#include "lib/msg.h"

#define TOKEN_MAX 4096
#define FAMILY_MAX 32

/* minter -> gate, first and at each change. Until it came, every guest
 * gets 503. */
struct guest_session {
	struct span session;
	struct span guest;
	struct span issuer;
	struct span channel;	 /* the cnf value tokens must carry */
	uint32_t channel_uid;	 /* who may connect, or CHANNEL_NO_UID */
	uint64_t expires_ms;	 /* CLOCK_BOOTTIME */
	struct span jwks;	 /* public keys, RFC 7517 JSON */
	struct span base_random; /* the secret segment of base URLs */
	struct span environment; /* JSON, given out as is (guest API) */
	/* Intercepted hosts and base-URL names, JSON: {"hosts":["h:443"],
	 * "tunnels":["h:443"],"bases":{"NAME":"h:443"}} */
	struct span routes;
};
extern const struct msg_type msg_guest_session;

/* minter -> gate: a family lives until then (new or renewed). */
struct guest_family {
	struct span family;
	uint64_t expires_ms; /* CLOCK_BOOTTIME */
};
extern const struct msg_type msg_guest_family;

/* minter -> gate: cut this family (empty: the whole session) now. The gate
 * resets its connections, then answers with the serial. It answers a
 * traffic_cut of the courier's in the same way. */
struct guest_cut {
	uint32_t serial;
	struct span family;
};
extern const struct msg_type msg_guest_cut;
struct guest_cut_done {
	uint32_t serial;
};
extern const struct msg_type msg_guest_cut_done;

/* gate -> minter: a POST to /v1/token, its form fields (RFC 6749, 8693),
 * decoded. */
struct guest_token_ask {
	uint32_t rid;
	struct span grant_type;
	struct span subject_token; /* renewal, or a child of it */
	struct span subject_token_type;
	struct span authorization_details; /* RFC 9396 JSON, narrower */
	struct span act;		   /* the sub-agent's name */
	/* The family that the connection is attached to for good; empty: to
	 * none. What asks for less than its session gets no more. */
	struct span attached;
};
extern const struct msg_type msg_guest_token_ask;

/* minter -> gate. status 200: token; else an RFC 6749 error code. */
struct guest_token_given {
	uint32_t rid;
	uint16_t status;
	struct span token;
	uint32_t expires_in; /* seconds */
	struct span family;
	struct span error;
	struct span description;
};
extern const struct msg_type msg_guest_token_given;

/* gate -> minter: RFC 7009, the guest gives up a token of its own. Answered
 * by guest_token_given with status 200 and no token. */
struct guest_token_revoke {
	uint32_t rid;
	struct span token;
	struct span attached; /* as above */
};
extern const struct msg_type msg_guest_token_revoke;

#endif
