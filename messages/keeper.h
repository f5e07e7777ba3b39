/* SPDX-License-Identifier: ISC */
/*
 * Minter and vault: the minter's own keys, kept sealed, and what it may
 * know about a credential (never its value). Ids 0x02xx.
 */
#ifndef MESSAGES_KEEPER_H
#define MESSAGES_KEEPER_H

#include "lib/msg.h"

#define KEY_NAME_MAX 64
#define KEY_BYTES_MAX 1024

/* vault -> minter, on connecting and at each change. */
enum vault_state {
	VAULT_OPEN = 1,
	VAULT_LOCKED = 2,      /* `hatcheck unlock` helps */
	VAULT_UNAVAILABLE = 3, /* the keychain does not answer */
	VAULT_UNINITIALISED = 4 /* `hatcheck init` helps */
};
struct keeper_state {
	uint8_t state;
	struct span why; /* one sentence */
};
extern const struct msg_type msg_keeper_state;

/* minter -> vault. Names: letters, digits, - and _. The vault prefixes
 * them with the role that asks, so nobody reads another's keys. */
struct keeper_get {
	uint32_t rid;
	struct span name;
};
extern const struct msg_type msg_keeper_get;

struct keeper_put {
	uint32_t rid;
	struct span name;
	struct span bytes; /* secret */
};
extern const struct msg_type msg_keeper_put;

/* vault -> minter: the answer to both. ERR_NOT_FOUND, ERR_LOCKED... */
struct keeper_got {
	uint32_t rid;
	int32_t err;
	struct span bytes; /* secret; empty for a put */
};
extern const struct msg_type msg_keeper_got;

/* minter -> vault: what is known of this credential? */
struct keeper_credential {
	uint32_t rid;
	struct span name;
};
extern const struct msg_type msg_keeper_credential;

/* vault -> minter: public metadata as JSON (docs/ARCHITECTURE.md,
 * "credential metadata"). */
struct keeper_credential_info {
	uint32_t rid;
	int32_t err;
	struct span json;
};
extern const struct msg_type msg_keeper_credential_info;

#endif
