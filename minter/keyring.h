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
/* A fresh token key, stored by the vault before it signs; the one before
 * verifies for KEYRING_OVERLAP_S more. Gates are told before done(ctx, err),
 * which may be NULL. One at a time: ERR_SEQUENCE. */
#define KEYRING_OVERLAP_S (JWT_LIFE_MAX + JWT_SKEW)
#define KEYRING_AGE_S (30 * 86400) /* then keyring_tick() rotates */
typedef void keyring_done(void *ctx, int err);
void keyring_rotate(struct minter *m, keyring_done *done, void *ctx);
/* Rotates by age; tells gates when a key's overlap is over. */
void keyring_tick(struct minter *m);
/* The public halves of the token keys as JWKS JSON; new string or NULL. */
char *keyring_jwks(struct minter *m);
MUST_USE int keyring_public(struct minter *m, struct jwks *out);
/* Why are there no keys? A sentence and what to do. */
void keyring_why(const struct minter *m, const char **why, const char **next);

#endif
