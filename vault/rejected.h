/* SPDX-License-Identifier: ISC */
/*
 * What couriers say that upstreams reject: for the owner's eyes alone, in
 * memory alone. It is the word of a session, so nothing follows from it here.
 * One word per credential, the newest; of another version than the current
 * one it is not shown. No locks: the worker's, like the house (house.h).
 */
#ifndef VAULT_REJECTED_H
#define VAULT_REJECTED_H

#include "scope/grant.h"
#include "scope/host.h"

#include <jansson.h>

struct rejected {
	struct rejected *next;
	char name[GRANT_NAME_MAX], host[HOST_MAX];
	uint32_t version;
	int64_t at; /* Unix seconds */
};

/* Zero-filled: none. Bounded by the credentials that there are, for the
 * caller knows that name is one. Out of memory: not noted. */
void rejected_note(struct rejected **all, const char *name, uint32_t version,
    const char *host, int64_t at);
void rejected_free(struct rejected **all);
/* Add "rejected": {"host", "at"} to a credential's metadata, if it is. */
void rejected_show(const struct rejected *all, json_t *metadata);

#endif
