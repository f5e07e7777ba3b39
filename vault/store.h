/* SPDX-License-Identifier: ISC */
/*
 * state/vault/vault.db: sealed records, each known by table, name and
 * version, under one house key. SQLite keeps it whole through crashes; it
 * is trusted with nothing else:
 *
 * - every record is sealed with its table, name, version and the house id
 *   as associated data: a flipped, cut or swapped row does not open;
 * - a sealed manifest, renewed in each transaction, covers the list of all
 *   records: a row that vanished, came back or was replaced by an older
 *   self is seen.
 *
 * What cannot be seen is the whole file put back as it was earlier (a
 * rolled-back store is a store). A removed credential can come back that
 * way for whoever can write our state directory; THREATS says so.
 *
 * Without the key (before store_unlock, after store_lock) only the header,
 * which is public, can be read.
 */
#ifndef VAULT_STORE_H
#define VAULT_STORE_H

#include "vault/seal.h"

#define STORE_FILE "vault.db"
#define STORE_NAME_MAX 128
#define STORE_HOUSE 16

struct store;

/* The tables. */
#define STORE_CREDENTIAL "credential" /* version 0: metadata */
#define STORE_VALUE "value"	      /* sealed-file's credentials */
#define STORE_KEEPER "keeper"	      /* keys of the minter */
#define STORE_ROOT "root"	      /* session roots */
#define STORE_INTENT "intent"	      /* versions that may be orphans */

/* Opens DIR/vault.db, or makes an empty file. One process at a time
 * (ERR_SEQUENCE). ERR_CRYPTO: damaged. why: a sentence. */
MUST_USE int
store_open(const char *dir, struct store **out, char *why, size_t size);
void store_close(struct store *s);

/* Nothing was ever committed: store_found() comes first. */
bool store_fresh(const struct store *s);
/* Inside store_begin(): give a fresh store its house id and key, which is
 * copied; it is unlocked after. */
MUST_USE int store_found(struct store *s, const struct keep *house_key);
/* The id, as random bytes; zero while fresh. */
const uint8_t *store_house(const struct store *s);

/* ERR_CRYPTO: not this store's key, or the store is damaged. Copies it. */
MUST_USE int store_unlock(struct store *s, const struct keep *house_key);
void store_lock(struct store *s);
bool store_unlocked(const struct store *s);
/* Borrowed; NULL while locked. */
const struct keep *store_key(const struct store *s);

/* A transaction of several changes. Each change outside of one is its own.
 * A return of 0 from store_commit, or from a change outside, means: on the
 * disk. After a failure everything since store_begin is undone. */
MUST_USE int store_begin(struct store *s);
MUST_USE int store_commit(struct store *s);
void store_rollback(struct store *s);

/* ERR_NOT_FOUND, ERR_LOCKED, ERR_CRYPTO (damaged). */
MUST_USE int store_get(struct store *s, const char *table, const char *name,
    uint64_t version, struct keep **out);
/* Replaces. */
MUST_USE int store_put(struct store *s, const char *table, const char *name,
    uint64_t version, struct span plain);
/* Deleting what is not there is fine. */
MUST_USE int store_delete(
    struct store *s, const char *table, const char *name, uint64_t version);
MUST_USE int store_clear(struct store *s, const char *table);

/* In order of name and version; fn may not change the store. Stops at the
 * first non-zero and returns it. */
typedef int store_each_fn(void *ctx, const char *name, uint64_t version);
MUST_USE int
store_each(struct store *s, const char *table, store_each_fn *fn, void *ctx);

/* The header: few, public, named blobs (how the house key is wrapped).
 * Guarded by a checksum against accident only. */
MUST_USE int
store_header_get(struct store *s, const char *name, struct buf *out);
MUST_USE int
store_header_put(struct store *s, const char *name, struct span value);
MUST_USE int store_header_delete(struct store *s, const char *name);

#endif
