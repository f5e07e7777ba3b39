/* SPDX-License-Identifier: ISC */
/*
 * Gate and vault: a 24-hour intermediate under the session's root. The gate
 * makes the key and sends its public half; names come from the session's
 * descriptor, never from the gate. Ids 0x04xx.
 */
#ifndef MESSAGES_CA_H
#define MESSAGES_CA_H

#include "lib/msg.h"

struct ca_ask {
	uint32_t rid;
	struct span spki; /* DER SubjectPublicKeyInfo, P-256 only */
};
extern const struct msg_type msg_ca_ask;

struct ca_given {
	uint32_t rid;
	int32_t err;
	struct span intermediate; /* DER */
	struct span root;	  /* DER */
};
extern const struct msg_type msg_ca_given;

/* vault -> gate: the session's hosts changed: ask again. */
extern const struct msg_type msg_ca_stale;

#endif
