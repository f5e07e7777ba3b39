/* SPDX-License-Identifier: ISC */
/*
 * Where the sealed file's key comes from: a passphrase (Argon2id), a key
 * file of 32 bytes or more that only we can read, or a systemd credential.
 *
 * The credential's directory is what systemd tells in the environment
 * variable CREDENTIALS_DIRECTORY, the one thing that the vault takes from
 * there: systemd makes it, read-only and ours alone, and there is no other
 * way to learn it. What lies there is checked like a key file.
 */
#ifndef VAULT_KEYSOURCE_H
#define VAULT_KEYSOURCE_H

#include "vault/config.h"
#include "vault/seal.h"

#define PASSPHRASE_MIN 8

/* In a system service the credential is root's: the supervisor opened it.
 * fd: that of birth, or -1; said once, before the others are called. */
void keysource_born_with(int fd);

/* The path of the file that holds the key; ERR_ARGUMENT: it needs a
 * passphrase; ERR_NOT_FOUND: no credentials directory. */
MUST_USE int keysource_path(const struct config_choice *c,
    char out[static PATH_MAX], char *why, size_t size);

/* The wrapping key. passphrase: borrowed, or NULL. cost: for a passphrase.
 * ERR_LOCKED: it needs a passphrase and has none. why: a sentence. */
MUST_USE int
keysource_key(const struct config_choice *c, const struct keep *passphrase,
    const struct seal_cost *cost, struct keep **out, char *why, size_t size);

#endif
