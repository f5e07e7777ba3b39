/* SPDX-License-Identifier: ISC */
/* What for: sealed records in SQLite. Trusts: the house key; of the file,
 * nothing. At a bound: refuses; a damaged file is never written to. */
#include "vault/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA_VERSION 1
#define SUM 16
#define PAGE 1024 /* see settings */
#define BOX_MAX (KEEP_MAX + SEAL_EXTRA)
#define HEADER_MAX 4096
#define OPEN_FLAGS \
	(SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX)

/*
 * The rollback journal rather than WAL: one file at rest, no shared memory,
 * and writes are few. synchronous=EXTRA is FULL plus a sync of the
 * directory when the journal goes; with FULL alone a power cut could bring
 * the journal back and undo what was acknowledged.
 */
static const char *const settings[] = {
    "PRAGMA page_size=1024",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA mmap_size=0",
    "PRAGMA locking_mode=EXCLUSIVE",
    "PRAGMA journal_mode=DELETE",
    "PRAGMA synchronous=EXTRA",
    "PRAGMA secure_delete=ON",
};

/* The seal (nonce and tag) stands before the box, so that the manifest is
 * made without reading values. */
static const char schema[] =
    "CREATE TABLE header (name TEXT PRIMARY KEY, value BLOB NOT NULL)"
    " STRICT, WITHOUT ROWID;"
    "CREATE TABLE record (tbl TEXT NOT NULL, name TEXT NOT NULL,"
    " version INTEGER NOT NULL, seal BLOB NOT NULL, box BLOB NOT NULL,"
    " PRIMARY KEY (tbl, name, version)) STRICT, WITHOUT ROWID;"
    "PRAGMA user_version=1;";

struct store {
	sqlite3 *db;
	struct keep *key;
	uint8_t house[STORE_HOUSE];
	bool fresh, in_transaction, dirty;
};

static int
map_error(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_NOMEM:
		return ERR_NOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_SEQUENCE;
	case SQLITE_IOERR:
	case SQLITE_FULL:
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return ERR_IO;
	default:
		return ERR_CRYPTO; /* corrupt, not a database, odd schema */
	}
}

static int
exec(struct store *s, const char *sql)
{
	return map_error(sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}

static int
prepare(struct store *s, const char *sql, sqlite3_stmt **out)
{
	return map_error(sqlite3_prepare_v2(s->db, sql, -1, out, NULL));
}

/* Runs a statement that gives no rows, and finalises it. */
static int
finish(sqlite3_stmt *q)
{
	int code = sqlite3_step(q);

	sqlite3_finalize(q);
	return code == SQLITE_ROW ? ERR_CRYPTO : map_error(code);
}

static int
bind_text(sqlite3_stmt *q, int at, const char *text)
{
	return map_error(sqlite3_bind_text(q, at, text, -1, SQLITE_STATIC));
}

static int
bind_blob(sqlite3_stmt *q, int at, struct span s)
{
	return map_error(
	    sqlite3_bind_blob(q, at, s.p, (int)s.n, SQLITE_STATIC));
}

static struct span
column(sqlite3_stmt *q, int at)
{
	const void *p = sqlite3_column_blob(q, at);

	return span_of(p, (size_t)sqlite3_column_bytes(q, at));
}

static int
one_number(struct store *s, const char *sql, int64_t *out)
{
	sqlite3_stmt *q = NULL;
	int r = prepare(s, sql, &q);

	if (r != 0)
		return r;
	int code = sqlite3_step(q);
	if (code == SQLITE_ROW)
		*out = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return code == SQLITE_ROW    ? 0
	       : code == SQLITE_DONE ? ERR_CRYPTO
				     : map_error(code);
}

static int
whole(struct store *s)
{
	sqlite3_stmt *q = NULL;
	int r = prepare(s, "PRAGMA quick_check(1)", &q);

	if (r != 0)
		return r;
	int code = sqlite3_step(q);
	if (code == SQLITE_ROW)
		r = span_is(column(q, 0), "ok") ? 0 : ERR_CRYPTO;
	else
		r = code == SQLITE_DONE ? ERR_CRYPTO : map_error(code);
	sqlite3_finalize(q);
	return r;
}

/* --- header ---------------------------------------------------------- */

static void
checksum(const char *name, struct span value, uint8_t out[static SUM])
{
	crypto_generichash_state st;

	crypto_generichash_init(&st, NULL, 0, SUM);
	crypto_generichash_update(
	    &st, (const unsigned char *)name, strlen(name) + 1);
	crypto_generichash_update(&st, value.p, value.n);
	crypto_generichash_final(&st, out, SUM);
}

int
store_header_get(struct store *s, const char *name, struct buf *out)
{
	sqlite3_stmt *q = NULL;
	uint8_t sum[SUM];
	int r;

	if (s->fresh)
		return ERR_NOT_FOUND;
	if ((r = prepare(s, "SELECT value FROM header WHERE name=?", &q)) !=
		0 ||
	    (r = bind_text(q, 1, name)) != 0)
		goto out;
	int code = sqlite3_step(q);
	if (code != SQLITE_ROW) {
		r = code == SQLITE_DONE ? ERR_NOT_FOUND : map_error(code);
		goto out;
	}
	struct span v = column(q, 0);
	r = ERR_CRYPTO;
	if (v.n < SUM || v.n > HEADER_MAX)
		goto out;
	struct span body = span_of(v.p, v.n - SUM);
	checksum(name, body, sum);
	if (memcmp(sum, v.p + body.n, SUM) == 0)
		r = buf_put_span(out, body);
out:
	sqlite3_finalize(q);
	return r;
}

static int
header_write(struct store *s, const char *name, struct span value)
{
	static const char sql[] =
	    "INSERT OR REPLACE INTO header (name, value) VALUES (?, ?)";
	uint8_t whole_value[HEADER_MAX];
	sqlite3_stmt *q = NULL;
	int r;

	if (value.n + SUM > sizeof(whole_value))
		return ERR_TOO_BIG;
	if (value.n != 0)
		memcpy(whole_value, value.p, value.n);
	checksum(name, value, whole_value + value.n);
	if ((r = prepare(s, sql, &q)) != 0 ||
	    (r = bind_text(q, 1, name)) != 0 ||
	    (r = bind_blob(q, 2, span_of(whole_value, value.n + SUM))) != 0) {
		sqlite3_finalize(q);
		return r;
	}
	return finish(q);
}

/* --- the manifest ---------------------------------------------------- */

static void
hash_part(crypto_generichash_state *st, struct span s)
{
	uint64_t n = s.n;

	crypto_generichash_update(st, (const unsigned char *)&n, sizeof(n));
	crypto_generichash_update(st, s.p, s.n);
}

/* Over every record's table, name, version and seal, in key order. */
static int
digest(struct store *s, uint8_t out[static 32])
{
	static const char sql[] = "SELECT tbl, name, version, seal FROM record"
				  " ORDER BY tbl, name, version";
	crypto_generichash_state st;
	sqlite3_stmt *q = NULL;
	int code, r = prepare(s, sql, &q);

	if (r != 0)
		return r;
	crypto_generichash_init(&st, NULL, 0, 32);
	while ((code = sqlite3_step(q)) == SQLITE_ROW) {
		int64_t version = sqlite3_column_int64(q, 2);
		hash_part(&st, column(q, 0));
		hash_part(&st, column(q, 1));
		hash_part(&st, span_of(&version, sizeof(version)));
		hash_part(&st, column(q, 3));
	}
	crypto_generichash_final(&st, out, 32);
	sqlite3_finalize(q);
	return map_error(code);
}

static int
put_ad(struct store *s, const char *table, const char *name, uint64_t version,
    struct buf *ad)
{
	int r;

	if ((r = buf_put_u32(ad, (uint32_t)strlen(table))) != 0 ||
	    (r = buf_put_str(ad, table)) != 0 ||
	    (r = buf_put_u32(ad, (uint32_t)strlen(name))) != 0 ||
	    (r = buf_put_str(ad, name)) != 0 ||
	    (r = buf_put_u64(ad, version)) != 0)
		return r;
	return buf_put(ad, s->house, sizeof(s->house));
}

static int
write_manifest(struct store *s)
{
	struct buf *ad = buf_new(1024), *box = buf_new(1024);
	uint8_t sum[32];
	int r = ad == NULL || box == NULL ? ERR_NOMEM : 0;

	if (r == 0 && (r = digest(s, sum)) == 0 &&
	    (r = put_ad(s, "manifest", "", 0, ad)) == 0 &&
	    (r = seal_box(
		 s->key, buf_span(ad), span_of(sum, sizeof(sum)), box)) == 0)
		r = header_write(s, "manifest", buf_span(box));
	buf_free(ad);
	buf_free(box);
	return r;
}

static int
check_manifest(struct store *s, const struct keep *key)
{
	struct buf *ad = buf_new(1024), *box = buf_new(HEADER_MAX);
	struct keep *sealed = NULL;
	uint8_t sum[32];
	int r = ad == NULL || box == NULL ? ERR_NOMEM : 0;

	if (r == 0 && (r = store_header_get(s, "manifest", box)) == 0 &&
	    (r = put_ad(s, "manifest", "", 0, ad)) == 0 &&
	    (r = seal_open(key, buf_span(ad), buf_span(box), &sealed)) == 0 &&
	    (r = digest(s, sum)) == 0 &&
	    !keep_eq(sealed, span_of(sum, sizeof(sum))))
		r = ERR_CRYPTO;
	keep_free(sealed);
	buf_free(ad);
	buf_free(box);
	return r == ERR_NOT_FOUND ? ERR_CRYPTO : r;
}

/* --- opening --------------------------------------------------------- */

static int
apply_settings(struct store *s)
{
	int on = 1, r = 0;

	if (sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, &on) !=
	    SQLITE_OK)
		return ERR_SEQUENCE;
	for (size_t i = 0; r == 0 && i < sizeof(settings) / sizeof(*settings);
	     i++)
		r = exec(s, settings[i]);
	return r;
}

/* Takes the exclusive lock; decides whether anything is there. */
static int
look(struct store *s)
{
	int64_t version = 0, objects = 0;
	struct buf *b = NULL;
	int r;

	if ((r = exec(s, "BEGIN EXCLUSIVE; COMMIT")) != 0 ||
	    (r = one_number(s, "PRAGMA user_version", &version)) != 0 ||
	    (r = one_number(
		 s, "SELECT count(*) FROM sqlite_schema", &objects)) != 0)
		return r;
	s->fresh = version == 0 && objects == 0;
	if (s->fresh)
		return 0;
	if (version != SCHEMA_VERSION || objects != 2)
		return ERR_CRYPTO;
	if ((r = whole(s)) != 0)
		return r;
	if ((b = buf_new(HEADER_MAX)) == NULL)
		return ERR_NOMEM;
	if ((r = store_header_get(s, "house", b)) == 0) {
		if (buf_len(b) == sizeof(s->house))
			memcpy(s->house, buf_span(b).p, sizeof(s->house));
		else
			r = ERR_CRYPTO;
	}
	buf_free(b);
	return r == ERR_NOT_FOUND ? ERR_CRYPTO : r;
}

/* SQLite takes a file cut to less than a page for an empty one, and would
 * begin anew. (With a journal beside it, it mends the length itself.) Ours
 * are made with a page. */
static int
check_length(const char *path, off_t size)
{
	char journal[4096 + 16];

	if (size == 0)
		return ERR_CRYPTO;
	if (size % PAGE == 0)
		return 0;
	snprintf(journal, sizeof(journal), "%s-journal", path);
	return access(journal, F_OK) == 0 ? 0 : ERR_CRYPTO;
}

/* A page with nothing in it, whole or not at all: a file without a byte is
 * one that was cut off. */
static int
make_file(const char *path)
{
	char fresh[4096 + 16];
	struct store s = {0};

	snprintf(fresh, sizeof(fresh), "%s-new", path);
	(void)unlink(fresh); /* of somebody who died here */
	int fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return ERR_IO;
	close(fd);
	int r = map_error(sqlite3_open_v2(fresh, &s.db, OPEN_FLAGS, NULL));
	if (r == 0 && (r = apply_settings(&s)) == 0)
		r = exec(&s, "PRAGMA user_version=0"); /* writes the page */
	sqlite3_close(s.db);
	return r == 0 && rename(fresh, path) != 0 ? ERR_IO : r;
}

static int
prepare_file(const char *path)
{
	int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	int fd = open(path, flags), r;
	struct stat st;

	if (fd < 0 && errno == ENOENT) {
		if ((r = make_file(path)) != 0)
			return r;
		fd = open(path, flags);
	}
	if (fd < 0)
		return ERR_IO;
	r = ERR_IO;
	if (fstat(fd, &st) == 0)
		r = S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
			    (st.st_mode & 077) == 0
			? check_length(path, st.st_size)
			: ERR_DENIED;
	close(fd);
	return r;
}

static void
explain(int err, const char *path, char *why, size_t size)
{
	const char *text = "cannot be opened";

	if (err == ERR_CRYPTO)
		text = "is damaged; restore it from a backup";
	else if (err == ERR_SEQUENCE)
		text = "is in use by another process";
	else if (err == ERR_DENIED)
		text = "is not a private file of ours";
	snprintf(why, size, "The vault's store %s %s.", path, text);
}

int
store_open(const char *dir, struct store **out, char *why, size_t size)
{
	struct store *s = calloc(1, sizeof(*s));
	char path[4096];
	int r = ERR_TOO_BIG;

	if (s == NULL)
		return ERR_NOMEM;
	if (snprintf(path, sizeof(path), "%s/%s", dir, STORE_FILE) >=
	    (int)sizeof(path))
		goto fail;
	if ((r = prepare_file(path)) != 0)
		goto fail;
	r = map_error(sqlite3_open_v2(path, &s->db, OPEN_FLAGS, NULL));
	if (r != 0 || (r = apply_settings(s)) != 0 || (r = look(s)) != 0)
		goto fail;
	*out = s;
	return 0;
fail:
	explain(r, path, why, size);
	store_close(s);
	return r;
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	store_lock(s);
	sqlite3_close(s->db);
	free(s);
}

bool
store_fresh(const struct store *s)
{
	return s->fresh;
}

const uint8_t *
store_house(const struct store *s)
{
	return s->house;
}

bool
store_unlocked(const struct store *s)
{
	return s->key != NULL;
}

const struct keep *
store_key(const struct store *s)
{
	return s->key;
}

int
store_found(struct store *s, const struct keep *house_key)
{
	int r;

	if (!s->fresh || !s->in_transaction || s->key != NULL)
		return ERR_SEQUENCE;
	if ((r = exec(s, schema)) != 0)
		return r;
	randombytes_buf(s->house, sizeof(s->house));
	if ((r = header_write(
		 s, "house", span_of(s->house, sizeof(s->house)))) != 0)
		return r;
	if ((r = keep_copy(house_key, &s->key)) != 0)
		return r;
	s->fresh = false;
	s->dirty = true;
	return 0;
}

int
store_unlock(struct store *s, const struct keep *house_key)
{
	struct keep *copy = NULL;
	int r;

	if (s->fresh || s->key != NULL)
		return ERR_SEQUENCE;
	if ((r = check_manifest(s, house_key)) != 0 ||
	    (r = keep_copy(house_key, &copy)) != 0)
		return r;
	s->key = copy;
	return 0;
}

void
store_lock(struct store *s)
{
	keep_free(s->key);
	s->key = NULL;
}

/* --- transactions ---------------------------------------------------- */

int
store_begin(struct store *s)
{
	int r;

	if (s->in_transaction)
		return ERR_SEQUENCE;
	if ((r = exec(s, "BEGIN IMMEDIATE")) != 0)
		return r;
	s->in_transaction = true;
	s->dirty = false;
	return 0;
}

void
store_rollback(struct store *s)
{
	int64_t objects = 0;

	if (!s->in_transaction)
		return;
	(void)exec(s, "ROLLBACK"); /* an error rolled back by itself */
	s->in_transaction = false;
	if (one_number(s, "SELECT count(*) FROM sqlite_schema", &objects) ==
		0 &&
	    objects == 0) {
		s->fresh = true; /* the founding itself was undone */
		store_lock(s);
	}
}

int
store_commit(struct store *s)
{
	int r = 0;

	if (!s->in_transaction)
		return ERR_SEQUENCE;
	if (s->dirty)
		r = s->key == NULL ? ERR_LOCKED : write_manifest(s);
	if (r != 0 || (r = exec(s, "COMMIT")) != 0) {
		store_rollback(s);
		return r;
	}
	s->in_transaction = false;
	return 0;
}

/* A change outside of a transaction gets its own: *own says so. */
static int
enter(struct store *s, bool *own)
{
	*own = !s->in_transaction;
	return *own ? store_begin(s) : 0;
}

static int
leave(struct store *s, bool own, int r)
{
	if (!own)
		return r;
	if (r == 0)
		return store_commit(s);
	store_rollback(s);
	return r;
}

/* --- records --------------------------------------------------------- */

static int
bind_id(sqlite3_stmt *q, const char *table, const char *name, uint64_t version)
{
	int r;

	if (strlen(name) > STORE_NAME_MAX || version > INT64_MAX)
		return ERR_TOO_BIG;
	if ((r = bind_text(q, 1, table)) != 0 ||
	    (r = bind_text(q, 2, name)) != 0)
		return r;
	return map_error(sqlite3_bind_int64(q, 3, (int64_t)version));
}

/* Puts the box together again: nonce, ciphertext, tag. */
static int
read_box(sqlite3_stmt *q, struct buf *box)
{
	int code = sqlite3_step(q);

	if (code != SQLITE_ROW)
		return code == SQLITE_DONE ? ERR_NOT_FOUND : map_error(code);
	struct span seal = column(q, 0), body = column(q, 1);
	int r;

	if (seal.n != SEAL_EXTRA || body.n > KEEP_MAX)
		return ERR_CRYPTO;
	if ((r = buf_put(box, seal.p, SEAL_NONCE)) != 0 ||
	    (r = buf_put_span(box, body)) != 0)
		return r;
	return buf_put(box, seal.p + SEAL_NONCE, SEAL_TAG);
}

int
store_get(struct store *s, const char *table, const char *name,
    uint64_t version, struct keep **out)
{
	static const char sql[] = "SELECT seal, box FROM record"
				  " WHERE tbl=? AND name=? AND version=?";
	struct buf *ad = buf_new(1024), *box = buf_new(BOX_MAX);
	sqlite3_stmt *q = NULL;
	int r = s->key == NULL ? ERR_LOCKED : 0;

	if (r == 0 && (ad == NULL || box == NULL))
		r = ERR_NOMEM;
	if (r == 0 && (r = prepare(s, sql, &q)) == 0 &&
	    (r = bind_id(q, table, name, version)) == 0 &&
	    (r = read_box(q, box)) == 0 &&
	    (r = put_ad(s, table, name, version, ad)) == 0)
		r = seal_open(s->key, buf_span(ad), buf_span(box), out);
	sqlite3_finalize(q);
	buf_free(ad);
	buf_free(box);
	return r;
}

static int
insert(struct store *s, const char *table, const char *name, uint64_t version,
    struct span box)
{
	static const char sql[] =
	    "INSERT OR REPLACE INTO record (tbl, name, version, seal, box)"
	    " VALUES (?, ?, ?, ?, ?)";
	uint8_t seal[SEAL_EXTRA];
	struct span body = span_of(box.p + SEAL_NONCE, box.n - SEAL_EXTRA);
	sqlite3_stmt *q = NULL;
	int r;

	memcpy(seal, box.p, SEAL_NONCE);
	memcpy(seal + SEAL_NONCE, body.p + body.n, SEAL_TAG);
	if ((r = prepare(s, sql, &q)) != 0 ||
	    (r = bind_id(q, table, name, version)) != 0 ||
	    (r = bind_blob(q, 4, span_of(seal, sizeof(seal)))) != 0 ||
	    (r = bind_blob(q, 5, body)) != 0) {
		sqlite3_finalize(q);
		return r;
	}
	return finish(q);
}

int
store_put(struct store *s, const char *table, const char *name,
    uint64_t version, struct span plain)
{
	struct buf *ad = NULL, *box = NULL;
	bool own;
	int r;

	if (s->key == NULL)
		return ERR_LOCKED;
	if (plain.n == 0 || plain.n > KEEP_MAX)
		return ERR_TOO_BIG;
	if ((r = enter(s, &own)) != 0)
		return r;
	ad = buf_new(1024);
	box = buf_new(BOX_MAX);
	r = ad == NULL || box == NULL ? ERR_NOMEM : 0;
	if (r == 0 && (r = put_ad(s, table, name, version, ad)) == 0 &&
	    (r = seal_box(s->key, buf_span(ad), plain, box)) == 0)
		r = insert(s, table, name, version, buf_span(box));
	s->dirty = true;
	buf_free(ad);
	buf_free(box);
	return leave(s, own, r);
}

int
store_delete(
    struct store *s, const char *table, const char *name, uint64_t version)
{
	static const char sql[] =
	    "DELETE FROM record WHERE tbl=? AND name=? AND version=?";
	sqlite3_stmt *q = NULL;
	bool own;
	int r;

	if (s->key == NULL)
		return ERR_LOCKED;
	if ((r = enter(s, &own)) != 0)
		return r;
	if ((r = prepare(s, sql, &q)) == 0 &&
	    (r = bind_id(q, table, name, version)) == 0)
		r = finish(q);
	else
		sqlite3_finalize(q);
	s->dirty = true;
	return leave(s, own, r);
}

int
store_clear(struct store *s, const char *table)
{
	sqlite3_stmt *q = NULL;
	bool own;
	int r;

	if (s->key == NULL)
		return ERR_LOCKED;
	if ((r = enter(s, &own)) != 0)
		return r;
	if ((r = prepare(s, "DELETE FROM record WHERE tbl=?", &q)) == 0 &&
	    (r = bind_text(q, 1, table)) == 0)
		r = finish(q);
	else
		sqlite3_finalize(q);
	s->dirty = true;
	return leave(s, own, r);
}

int
store_each(struct store *s, const char *table, store_each_fn *fn, void *ctx)
{
	static const char sql[] = "SELECT name, version FROM record WHERE tbl=?"
				  " ORDER BY name, version";
	sqlite3_stmt *q = NULL;
	int code, r;

	if (s->key == NULL)
		return ERR_LOCKED;
	if ((r = prepare(s, sql, &q)) != 0 || (r = bind_text(q, 1, table)) != 0)
		goto out;
	while (r == 0 && (code = sqlite3_step(q)) != SQLITE_DONE) {
		const char *name = NULL;
		if (code == SQLITE_ROW)
			name = (const char *)sqlite3_column_text(q, 0);
		if (code != SQLITE_ROW || name == NULL)
			r = code == SQLITE_ROW ? ERR_NOMEM : map_error(code);
		else
			r = fn(ctx, name, (uint64_t)sqlite3_column_int64(q, 1));
	}
out:
	sqlite3_finalize(q);
	return r;
}

int
store_header_put(struct store *s, const char *name, struct span value)
{
	bool own;
	int r;

	if ((r = enter(s, &own)) != 0)
		return r;
	return leave(s, own, header_write(s, name, value));
}

int
store_header_delete(struct store *s, const char *name)
{
	sqlite3_stmt *q = NULL;
	bool own;
	int r;

	if ((r = enter(s, &own)) != 0)
		return r;
	if ((r = prepare(s, "DELETE FROM header WHERE name=?", &q)) == 0 &&
	    (r = bind_text(q, 1, name)) == 0)
		r = finish(q);
	else
		sqlite3_finalize(q);
	return leave(s, own, r);
}
