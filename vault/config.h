/* SPDX-License-Identifier: ISC */
/*
 * config/vault.json: which backend keeps the credentials and, for the
 * sealed file, where its key comes from. Written by `hatcheck init` and by
 * a migration, never guessed.
 *
 *	{"backend":"sealed-file","key":"key-file","path":"/..."}
 *	{"backend":"sealed-file","key":"passphrase"}
 *	{"backend":"sealed-file","key":"systemd-credential","name":"hatcheck"}
 *	{"backend":"secret-service"}
 *
 * With "next" (another object of these forms): a migration to that one is
 * under way and goes on as soon as the vault is open.
 */
#ifndef VAULT_CONFIG_H
#define VAULT_CONFIG_H

#include "lib/buf.h"

#include <jansson.h>
#include <limits.h>

#define CONFIG_FILE "vault.json"

enum config_backend { CONFIG_SEALED_FILE = 1, CONFIG_SECRET_SERVICE = 2 };
enum config_key {
	CONFIG_KEY_NONE = 0, /* secret-service */
	CONFIG_KEY_PASSPHRASE = 1,
	CONFIG_KEY_FILE = 2,
	CONFIG_KEY_SYSTEMD = 3
};

struct config_choice {
	enum config_backend backend;
	enum config_key key;
	char path[PATH_MAX]; /* CONFIG_KEY_FILE; absolute */
	char name[256];	     /* CONFIG_KEY_SYSTEMD */
};

struct config {
	struct config_choice now;
	bool has_next;
	struct config_choice next;
};

/* Strict. why: a sentence. */
MUST_USE int config_choice_parse(
    const json_t *json, struct config_choice *out, char *why, size_t size);
json_t *config_choice_to_json(const struct config_choice *c);

/* ERR_NOT_FOUND: there is none yet. */
MUST_USE int
config_load(const char *dir, struct config *out, char *why, size_t size);
/* Atomically. After an err either may be there, the old or the new: its name
 * may have been changed, but not synced. */
MUST_USE int config_save(const char *dir, const struct config *c);
/* next in place of was. An err: was is there. ERR_SEQUENCE: next is there,
 * and after a power cut was may be: both must open. */
MUST_USE int config_change(
    const char *dir, const struct config *was, const struct config *next);

bool config_same(
    const struct config_choice *a, const struct config_choice *b);
const char *config_backend_name(enum config_backend b);

#endif
