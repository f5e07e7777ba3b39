/* SPDX-License-Identifier: ISC */
/*
 * What keeps the credentials' values, and the house key under which
 * everything else is sealed. Two rows in one table: `sealed-file` keeps
 * both in vault.db; `secret-service` keeps both in the desktop's keychain.
 * Chosen by vault.json; nothing here ever falls back to the other.
 *
 * Calls may block, at most until the deadline that was set; they run on the
 * vault's worker thread. Values are 1 to KEEP_MAX bytes, any bytes.
 * Failures leave a sentence in backend_why().
 */
#ifndef VAULT_BACKEND_H
#define VAULT_BACKEND_H

#include "vault/config.h"
#include "vault/store.h"

struct backend;

struct backend_ops {
	enum config_backend id;
	MUST_USE int (*open)(struct backend *b);
	/* Is it there and unlocked? 0, ERR_LOCKED, ERR_UNAVAILABLE. */
	MUST_USE int (*probe)(struct backend *b);
	/* The house key. secret: a passphrase, or NULL. ERR_LOCKED,
	 * ERR_UNAVAILABLE, ERR_CRYPTO (wrong passphrase, or damaged),
	 * ERR_NOT_FOUND (the keychain has no entry of this house). */
	MUST_USE int (*unlock)(
	    struct backend *b, const struct keep *secret, struct keep **key);
	/* Become the keeper of this house key. Inside a transaction of the
	 * store. */
	MUST_USE int (*adopt)(struct backend *b, const struct keep *secret,
	    const struct keep *key);
	/* No migration is under way: forget what a broken-off one left. */
	MUST_USE int (*settle)(struct backend *b);
	/* No longer the keeper. */
	MUST_USE int (*disown)(struct backend *b);
	void (*lock)(struct backend *b);
	MUST_USE int (*put)(struct backend *b, const char *name,
	    uint32_t version, struct span value);
	MUST_USE int (*get)(struct backend *b, const char *name,
	    uint32_t version, struct keep **out);
	/* What is not there is deleted already. */
	MUST_USE int (*delete)(
	    struct backend *b, const char *name, uint32_t version);
	void (*close)(struct backend *b);
};

struct backend {
	const struct backend_ops *ops;
	struct config_choice choice;
	struct store *store; /* borrowed */
	int64_t asked_ms;    /* when the caller began to wait */
	int64_t deadline_ms; /* CLOCK_BOOTTIME */
	char why[256];
	int slot;  /* sealed-file: which custody opened */
	void *own; /* the backend's state */
};

extern const struct backend_ops backend_sealed_file;
extern const struct backend_ops backend_secret_service;

/* A keychain call must have answered after this long. */
#define BACKEND_BUDGET_MS 2000

MUST_USE int backend_open(const struct config_choice *c, struct store *s,
    struct backend **out, char *why, size_t size);
void backend_close(struct backend *b);
/* The caller has waited since asked_ms; a new budget begins now. */
void backend_budget(struct backend *b, int64_t asked_ms);
int64_t backend_now_ms(void);
/* Set the sentence. */
void backend_say(struct backend *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
