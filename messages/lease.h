/* SPDX-License-Identifier: ISC */
/*
 * Courier and vault: one credential, for a while, with the hosts that its
 * owner bound it to. The vault knows the session from the socket. Ids
 * 0x03xx. Links that carry these are .secret.
 */
#ifndef MESSAGES_LEASE_H
#define MESSAGES_LEASE_H

#include "lib/msg.h"

/* A lease is dropped and asked for again after this long. */
#define LEASE_MS (5 * 60 * 1000)

struct lease_ask {
	uint32_t rid;
	struct span credential; /* name */
};
extern const struct msg_type msg_lease_ask;

struct lease_given {
	uint32_t rid;
	int32_t err; /* ERR_DENIED not this session's, ERR_LOCKED, ... */
	struct span credential;
	uint32_t version;
	struct span metadata; /* the credential metadata JSON, with bindings */
	struct span secret;
};
extern const struct msg_type msg_lease_given;

/* vault -> courier: rotated, rebound or removed: forget it now, with the
 * connections it was used on, then say so with lease_settled. A courier that
 * does not is killed: the owner is answered only after that. */
struct lease_changed {
	struct span credential;
	uint32_t version; /* the newest; 0: removed or locked */
	uint32_t serial;
};
extern const struct msg_type msg_lease_changed;

/* courier -> vault: nothing more is written with what that changed. */
struct lease_settled {
	uint32_t serial; /* of the lease_changed */
};
extern const struct msg_type msg_lease_settled;

/* courier -> vault: upstream answered 401 to it, and it is still what the
 * vault gives: shown to its owner, and nothing else follows from it, for it
 * is the word of one session. */
struct lease_rejected {
	struct span credential;
	uint32_t version;
	struct span host;
};
extern const struct msg_type msg_lease_rejected;

#endif
