/* SPDX-License-Identifier: ISC */
/*
 * What the parts of store.h share. Every int is an err of it. Nobody else
 * includes this.
 */
#ifndef VAULT_STORE_INSIDE_H
#define VAULT_STORE_INSIDE_H

#include "vault/store.h"

#include <sqlite3.h>

#define HEADER_MAX 4096

struct store {
	sqlite3 *db;
	struct keep *key;
	uint8_t house[STORE_HOUSE];
	bool fresh, in_transaction, dirty;
};

/* store_sql.c: SQLite's errors as ours; a file that is not as we make it is
 * ERR_CRYPTO. */
MUST_USE int store_error(int code);
int store_exec(struct store *s, const char *sql);
MUST_USE int
store_prepare(struct store *s, const char *sql, sqlite3_stmt **out);
/* Runs a statement that gives no rows, and finalises it. */
MUST_USE int store_finish(sqlite3_stmt *q);
MUST_USE int store_bind_text(sqlite3_stmt *q, int at, const char *text);
MUST_USE int store_bind_blob(sqlite3_stmt *q, int at, struct span s);
/* Until the statement's next step. */
struct span store_column(sqlite3_stmt *q, int at);
MUST_USE int store_number(struct store *s, const char *sql, int64_t *out);

/* store_manifest.c: the header's values, and what is sealed about all
 * records together. */
MUST_USE int
store_header_write(struct store *s, const char *name, struct span value);
/* What a record is sealed with beside its value: whose house it is of, and
 * its place. */
MUST_USE int store_put_ad(struct store *s, const char *table, const char *name,
    uint64_t version, struct buf *ad);
MUST_USE int store_write_manifest(struct store *s);
/* Is it of these records, under that key? */
MUST_USE int store_check_manifest(struct store *s, const struct keep *key);

/* store.c: a transaction unless there is one; *own is for store_leave(), which
 * ends it as r says, and returns r or what failed. */
MUST_USE int store_enter(struct store *s, bool *own);
MUST_USE int store_leave(struct store *s, bool own, int r);

#endif
