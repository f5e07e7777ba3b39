/* SPDX-License-Identifier: ISC */
/*
 * The verbs of vault.sock (docs/ARCHITECTURE.md, "Vault verbs"): one table.
 * A verb runs on the worker and fills an answer; what it changed is told to
 * couriers by whoever called.
 */
#ifndef VAULT_VERBS_H
#define VAULT_VERBS_H

#include "vault/house.h"

/* A backup under way: it comes and goes in parts, over several calls. */
struct transfer;
MUST_USE int transfer_new(struct transfer **out);
void transfer_free(struct transfer *t);

struct answer {
	int err;
	char *json; /* when err is 0; free() */
	struct house_words words;
	/* What couriers must know. */
	char changed[GRANT_NAME_MAX]; /* empty: nothing */
	uint32_t version;	      /* 0: removed */
	bool all_changed;	      /* locked */
	bool restart;		      /* exit, and be started with new walls */
};
void answer_clear(struct answer *a);

/* secret: NULL when the request had none. */
void verbs_run(struct house *h, struct transfer *t, const char *verb,
    struct span json, const struct keep *secret, struct answer *a);
/* Verbs that touch every credential. */
bool verbs_slow(const char *verb);

#endif
