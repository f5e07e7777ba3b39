/* SPDX-License-Identifier: ISC */
/*
 * CLI and vault, over the vault's own socket: one request, one reply, then
 * the connection ends. What the request means is the vault's table of verbs
 * (docs/ARCHITECTURE.md, "vault verbs"). Ids 0x05xx. The secret, if any,
 * travels apart from the JSON.
 */
#ifndef MESSAGES_VAULT_CLI_H
#define MESSAGES_VAULT_CLI_H

#include "lib/msg.h"

struct vault_request {
	struct span verb;   /* "credential.add" */
	struct span json;   /* arguments */
	struct span secret; /* credential, or passphrase */
};
extern const struct msg_type msg_vault_request;

struct vault_reply {
	int32_t err;	   /* enum err */
	struct span json;  /* result when err is 0 */
	struct span what;  /* when not: what happened, and why */
	struct span next;  /* and what to do next */
};
extern const struct msg_type msg_vault_reply;

#endif
