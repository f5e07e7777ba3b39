/* SPDX-License-Identifier: ISC */
/* What for: statements in SQLite, for the store. Trusts: SQLite; of what a
 * file holds, nothing. At a bound: an err. */
#include "vault/store_inside.h"

int
store_error(int code)
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

int
store_exec(struct store *s, const char *sql)
{
	return store_error(sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}

int
store_prepare(struct store *s, const char *sql, sqlite3_stmt **out)
{
	return store_error(sqlite3_prepare_v2(s->db, sql, -1, out, NULL));
}

/* Runs a statement that gives no rows, and finalises it. */
int
store_finish(sqlite3_stmt *q)
{
	int code = sqlite3_step(q);

	sqlite3_finalize(q);
	return code == SQLITE_ROW ? ERR_CRYPTO : store_error(code);
}

int
store_bind_text(sqlite3_stmt *q, int at, const char *text)
{
	return store_error(sqlite3_bind_text(q, at, text, -1, SQLITE_STATIC));
}

int
store_bind_blob(sqlite3_stmt *q, int at, struct span s)
{
	return store_error(
	    sqlite3_bind_blob(q, at, s.p, (int)s.n, SQLITE_STATIC));
}

struct span
store_column(sqlite3_stmt *q, int at)
{
	const void *p = sqlite3_column_blob(q, at);

	return span_of(p, (size_t)sqlite3_column_bytes(q, at));
}

int
store_number(struct store *s, const char *sql, int64_t *out)
{
	sqlite3_stmt *q = NULL;
	int r = store_prepare(s, sql, &q);

	if (r != 0)
		return r;
	int code = sqlite3_step(q);
	if (code == SQLITE_ROW)
		*out = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return code == SQLITE_ROW    ? 0
	       : code == SQLITE_DONE ? ERR_CRYPTO
				     : store_error(code);
}
