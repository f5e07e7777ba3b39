/* SPDX-License-Identifier: ISC */
/*
 * A backup: every credential's metadata and current value, under a
 * passphrase of its own. Sessions and the minter's keys are not in it.
 *
 *	"HATCHECK-BACKUP-1\n"
 *	u64 Argon2id operations, u64 memory, 16 bytes of salt
 *	24 bytes of secretstream header (XChaCha20-Poly1305)
 *	per credential: u32 length, then an encrypted message:
 *		u32 length of the metadata, metadata JSON, value
 *	at last one empty message with the FINAL tag
 *
 * All before the secretstream header is associated data of each message;
 * a cut, reordered or changed file does not restore.
 */
#ifndef VAULT_BACKUP_H
#define VAULT_BACKUP_H

#include "vault/house.h"

#define BACKUP_MAX (64 * 1024 * 1024)

MUST_USE int backup_make(struct house *h, const struct keep *passphrase,
    struct buf *out, struct house_words *w);
/* All or nothing as far as names go: first every credential is checked
 * against what is here, then all are taken in. */
MUST_USE int backup_restore(struct house *h, const struct keep *passphrase,
    struct span file, size_t *n, struct house_words *w);

#endif
