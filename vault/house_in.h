/* SPDX-License-Identifier: ISC */
/*
 * The inside of struct house, shared by house.c, credential.c, session_ca.c
 * and migrate.c. Nobody else includes it.
 */
#ifndef VAULT_HOUSE_IN_H
#define VAULT_HOUSE_IN_H

#include "vault/house.h"
#include "vault/rejected.h"

struct house {
	char *config_dir, *state_dir;
	struct config config;
	bool configured;
	bool late;	     /* it came after our walls were made for none */
	bool held;	     /* locked by a person: only a person unlocks */
	struct store *store; /* NULL until it opens */
	struct backend *backend; /* NULL until it opens */
	enum vault_state state;
	char why[256];
	char notice[256]; /* what a person must hear though it is open */
	int64_t asked_ms;
	struct rejected *rejected;
};

/* Fill w and return err. */
int
house_fail(struct house *h, struct house_words *w, int err, const char *next,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* 0 when store and house key are there; tries to get there. */
MUST_USE int house_need_open(struct house *h, struct house_words *w);
/* The backend's last answer decides the state; words for a failure. */
MUST_USE int house_note(struct house *h, int err, struct house_words *w);
/* The store's last answer; words for a failure. */
MUST_USE int
house_store_result(struct house *h, int err, struct house_words *w);

/* The row of a credential: its metadata, and the oldest kept version. */
MUST_USE int house_row_get(
    struct house *h, const char *name, struct metadata *m, uint32_t *oldest);

MUST_USE int house_sweep_intents(struct house *h);
/* After the backend has opened and vault.json names a next one. */
void house_resume_migration(struct house *h, const struct keep *secret);

#endif
