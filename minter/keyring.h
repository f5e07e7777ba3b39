/* SPDX-License-Identifier: ISC */
/*
 * The minter's own keys, kept sealed by the vault: "token-signing" and
 * "audit-signing". Asked for when the vault says that it is open; made when
 * the vault has none. They stay in memory while the vault is locked again:
 * locking is about credentials.
 */
#ifndef MINTER_KEYRING_H
#define MINTER_KEYRING_H

#include "minter/minter.h"

/* The vault's state changed: ask for what is missing. */
void keyring_vault_changed(struct minter *m);
/* The public halves of the token keys as JWKS JSON; new string or NULL. */
char *keyring_jwks(struct minter *m);
MUST_USE int keyring_public(struct minter *m, struct jwks *out);
/* Why are there no keys? A sentence and what to do. */
void keyring_why(const struct minter *m, const char **why, const char **next);

#endif
