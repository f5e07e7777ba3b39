/* SPDX-License-Identifier: ISC */
/* What for: sealed records in SQLite. Trusts: the house key; of the file,
 * nothing. At a bound: refuses; a damaged file is never written to. */
#include "vault/store_inside.h"

#include "lib/safefile.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA_VERSION 1
#define PAGE 1024 /* see settings */
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

static int
whole(struct store *s)
{
	sqlite3_stmt *q = NULL;
	int r = store_prepare(s, "PRAGMA quick_check(1)", &q);

	if (r != 0)
		return r;
	int code = sqlite3_step(q);
	if (code == SQLITE_ROW)
		r = span_is(store_column(q, 0), "ok") ? 0 : ERR_CRYPTO;
	else
		r = code == SQLITE_DONE ? ERR_CRYPTO : store_error(code);
	sqlite3_finalize(q);
	return r;
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
		r = store_exec(s, settings[i]);
	return r;
}

/* Takes the exclusive lock; decides whether anything is there. */
static int
look(struct store *s)
{
	int64_t version = 0, objects = 0;
	struct buf *b = NULL;
	int r;

	if ((r = store_exec(s, "BEGIN EXCLUSIVE; COMMIT")) != 0 ||
	    (r = store_number(s, "PRAGMA user_version", &version)) != 0 ||
	    (r = store_number(
		 s, "SELECT count(*) FROM sqlite_schema", &objects)) != 0)
		return r;
	s->fresh = version == 0 && objects == 0;
	if (s->fresh)
		return 0;
	if (version > SCHEMA_VERSION)
		return ERR_FORMAT;
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
	int r = store_error(sqlite3_open_v2(fresh, &s.db, OPEN_FLAGS, NULL));
	if (r == 0 && (r = apply_settings(&s)) == 0)
		r = store_exec(
		    &s, "PRAGMA user_version=0"); /* writes the page */
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
	else if (err == ERR_FORMAT)
		text = "is of a newer version, or damaged; install the "
		       "Hatcheck that wrote it";
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
	if ((r = safefile_beside(path, why, size)) != 0) {
		store_close(s);
		return r;
	}
	if ((r = prepare_file(path)) != 0)
		goto fail;
	r = store_error(sqlite3_open_v2(path, &s->db, OPEN_FLAGS, NULL));
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
	if ((r = store_exec(s, schema)) != 0)
		return r;
	randombytes_buf(s->house, sizeof(s->house));
	if ((r = store_header_write(
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
	if ((r = store_check_manifest(s, house_key)) != 0 ||
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
	if ((r = store_exec(s, "BEGIN IMMEDIATE")) != 0)
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
	(void)store_exec(s, "ROLLBACK"); /* an error rolled back by itself */
	s->in_transaction = false;
	if (store_number(s, "SELECT count(*) FROM sqlite_schema", &objects) ==
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
		r = s->key == NULL ? ERR_LOCKED : store_write_manifest(s);
	if (r != 0 || (r = store_exec(s, "COMMIT")) != 0) {
		store_rollback(s);
		return r;
	}
	s->in_transaction = false;
	return 0;
}

/* A change outside of a transaction gets its own: *own says so. */
int
store_enter(struct store *s, bool *own)
{
	*own = !s->in_transaction;
	return *own ? store_begin(s) : 0;
}

int
store_leave(struct store *s, bool own, int r)
{
	if (!own)
		return r;
	if (r == 0)
		return store_commit(s);
	store_rollback(s);
	return r;
}
