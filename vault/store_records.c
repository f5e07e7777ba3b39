/* SPDX-License-Identifier: ISC */
/* What for: records and the header's values, as callers see them. Trusts: the
 * house key; of the file, nothing. At a bound: ERR_TOO_BIG. */
#include "vault/store_inside.h"

#include <sodium.h>

#define BOX_MAX (KEEP_MAX + SEAL_EXTRA)

static int
bind_id(sqlite3_stmt *q, const char *table, const char *name, uint64_t version)
{
	int r;

	if (strlen(name) > STORE_NAME_MAX || version > INT64_MAX)
		return ERR_TOO_BIG;
	if ((r = store_bind_text(q, 1, table)) != 0 ||
	    (r = store_bind_text(q, 2, name)) != 0)
		return r;
	return store_error(sqlite3_bind_int64(q, 3, (int64_t)version));
}

/* Puts the box together again: nonce, ciphertext, tag. */
static int
read_box(sqlite3_stmt *q, struct buf *box)
{
	int code = sqlite3_step(q);

	if (code != SQLITE_ROW)
		return code == SQLITE_DONE ? ERR_NOT_FOUND : store_error(code);
	struct span seal = store_column(q, 0), body = store_column(q, 1);
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
	if (r == 0 && (r = store_prepare(s, sql, &q)) == 0 &&
	    (r = bind_id(q, table, name, version)) == 0 &&
	    (r = read_box(q, box)) == 0 &&
	    (r = store_put_ad(s, table, name, version, ad)) == 0)
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
	if ((r = store_prepare(s, sql, &q)) != 0 ||
	    (r = bind_id(q, table, name, version)) != 0 ||
	    (r = store_bind_blob(q, 4, span_of(seal, sizeof(seal)))) != 0 ||
	    (r = store_bind_blob(q, 5, body)) != 0) {
		sqlite3_finalize(q);
		return r;
	}
	return store_finish(q);
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
	if ((r = store_enter(s, &own)) != 0)
		return r;
	ad = buf_new(1024);
	box = buf_new(BOX_MAX);
	r = ad == NULL || box == NULL ? ERR_NOMEM : 0;
	if (r == 0 && (r = store_put_ad(s, table, name, version, ad)) == 0 &&
	    (r = seal_box(s->key, buf_span(ad), plain, box)) == 0)
		r = insert(s, table, name, version, buf_span(box));
	s->dirty = true;
	buf_free(ad);
	buf_free(box);
	return store_leave(s, own, r);
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
	if ((r = store_enter(s, &own)) != 0)
		return r;
	if ((r = store_prepare(s, sql, &q)) == 0 &&
	    (r = bind_id(q, table, name, version)) == 0)
		r = store_finish(q);
	else
		sqlite3_finalize(q);
	s->dirty = true;
	return store_leave(s, own, r);
}

int
store_clear(struct store *s, const char *table)
{
	sqlite3_stmt *q = NULL;
	bool own;
	int r;

	if (s->key == NULL)
		return ERR_LOCKED;
	if ((r = store_enter(s, &own)) != 0)
		return r;
	if ((r = store_prepare(s, "DELETE FROM record WHERE tbl=?", &q)) == 0 &&
	    (r = store_bind_text(q, 1, table)) == 0)
		r = store_finish(q);
	else
		sqlite3_finalize(q);
	s->dirty = true;
	return store_leave(s, own, r);
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
	if ((r = store_prepare(s, sql, &q)) != 0 ||
	    (r = store_bind_text(q, 1, table)) != 0)
		goto out;
	while (r == 0 && (code = sqlite3_step(q)) != SQLITE_DONE) {
		const char *name = NULL;
		if (code == SQLITE_ROW)
			name = (const char *)sqlite3_column_text(q, 0);
		if (code != SQLITE_ROW || name == NULL)
			r = code == SQLITE_ROW ? ERR_NOMEM : store_error(code);
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

	if ((r = store_enter(s, &own)) != 0)
		return r;
	return store_leave(s, own, store_header_write(s, name, value));
}

int
store_header_delete(struct store *s, const char *name)
{
	sqlite3_stmt *q = NULL;
	bool own;
	int r;

	if ((r = store_enter(s, &own)) != 0)
		return r;
	if ((r = store_prepare(s, "DELETE FROM header WHERE name=?", &q)) ==
		0 &&
	    (r = store_bind_text(q, 1, name)) == 0)
		r = store_finish(q);
	else
		sqlite3_finalize(q);
	return store_leave(s, own, r);
}
