/* SPDX-License-Identifier: ISC */
/* What for: the minter's durable state. Trusts: its own directory, which
 * the supervisor checked. At a bound: ERR_IO, and the caller acts on
 * nothing that was not committed. */
#include "minter/state.h"

#include "lib/safefile.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SCHEMA_VERSION 3

struct state {
	sqlite3 *db;
};

/* Never changed: what came later is in upgrades[]. */
static const char schema[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE grants(name TEXT PRIMARY KEY, json TEXT NOT NULL);"
    "CREATE TABLE sessions(id TEXT PRIMARY KEY, guest TEXT NOT NULL,"
    " state INTEGER NOT NULL, created INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, expires_ms INTEGER NOT NULL,"
    " boot_id TEXT NOT NULL, channel_dir TEXT NOT NULL,"
    " channel_ours INTEGER NOT NULL, channel_uid INTEGER NOT NULL,"
    " base_random TEXT NOT NULL, placeholders TEXT NOT NULL,"
    " grants TEXT NOT NULL, named TEXT NOT NULL, until TEXT NOT NULL);"
    "CREATE UNIQUE INDEX live_guest ON sessions(guest) WHERE state=1;"
    "CREATE TABLE families(id TEXT PRIMARY KEY, session TEXT NOT NULL,"
    " jti TEXT NOT NULL, issued INTEGER NOT NULL, expires INTEGER NOT NULL,"
    " expires_ms INTEGER NOT NULL, revoked INTEGER NOT NULL);"
    "CREATE INDEX family_session ON families(session);"
    "CREATE TABLE tokens(jti TEXT PRIMARY KEY, family TEXT NOT NULL,"
    " issued INTEGER NOT NULL, expires INTEGER NOT NULL);"
    "CREATE INDEX token_family ON tokens(family);"
    "CREATE TABLE revoked(session TEXT NOT NULL, name TEXT NOT NULL,"
    " json TEXT NOT NULL, PRIMARY KEY(session, name));"
    "CREATE TABLE used(session TEXT NOT NULL, grant_name TEXT NOT NULL,"
    " requests INTEGER NOT NULL, up INTEGER NOT NULL,"
    " down INTEGER NOT NULL, PRIMARY KEY(session, grant_name));"
    "PRAGMA user_version=1;";

/* From version i + 1 to i + 2. */
static const char *const upgrades[SCHEMA_VERSION - 1] = {
    "ALTER TABLE families ADD COLUMN parent TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE families ADD COLUMN act TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE families ADD COLUMN details TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE families ADD COLUMN until INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX family_parent ON families(parent);"
    "PRAGMA user_version=2;",
    "ALTER TABLE sessions ADD COLUMN pid INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE sessions ADD COLUMN pid_started INTEGER NOT NULL DEFAULT 0;"
    "PRAGMA user_version=3;",
};

const char *
session_state_name(enum session_state st)
{
	switch (st) {
	case SESSION_ACTIVE:
		return "active";
	case SESSION_ENDED:
		return "ended";
	case SESSION_REVOKED:
		return "revoked";
	case SESSION_EXPIRED:
		return "expired";
	}
	return "unknown";
}

static int
translate(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_NOMEM:
		return ERR_NOMEM;
	case SQLITE_CONSTRAINT:
		return ERR_EXISTS;
	default:
		return ERR_IO;
	}
}

/* types: t text, i int64; one letter for each ? in sql. */
static int
prepare_va(struct state *s, sqlite3_stmt **out, const char *sql,
    const char *types, va_list ap)
{
	int rc = sqlite3_prepare_v2(s->db, sql, -1, out, NULL);

	for (int i = 1; rc == SQLITE_OK && types[i - 1] != '\0'; i++) {
		if (types[i - 1] == 't')
			rc = sqlite3_bind_text(*out, i,
			    va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
		else
			rc = sqlite3_bind_int64(*out, i, va_arg(ap, int64_t));
	}
	return translate(rc);
}

static int
prepare(struct state *s, sqlite3_stmt **out, const char *sql, const char *types,
    ...)
{
	va_list ap;

	va_start(ap, types);
	int r = prepare_va(s, out, sql, types, ap);
	va_end(ap);
	return r;
}

static int
run(struct state *s, const char *sql, const char *types, ...)
{
	sqlite3_stmt *q = NULL;
	va_list ap;

	va_start(ap, types);
	int r = prepare_va(s, &q, sql, types, ap);
	va_end(ap);
	if (r == 0)
		r = translate(sqlite3_step(q));
	(void)sqlite3_finalize(q); /* repeats step's result */
	return r;
}

/* 1: a row; 0: the end; or an err. */
static int
step(sqlite3_stmt *q)
{
	int rc = sqlite3_step(q);

	return rc == SQLITE_ROW ? 1 : translate(rc);
}

static const char *
text(sqlite3_stmt *q, int i)
{
	const char *t = (const char *)sqlite3_column_text(q, i);

	return t == NULL ? "" : t;
}

static void
text_copy(sqlite3_stmt *q, int i, char *out, size_t size)
{
	(void)snprintf(out, size, "%s", text(q, i)); /* ids have fixed sizes */
}

static int
exec(struct state *s, const char *sql)
{
	return translate(sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}

static int
read_version(struct state *s, int64_t *out)
{
	sqlite3_stmt *q = NULL;
	int r = prepare(s, &q, "PRAGMA user_version", "");

	if (r == 0 && (r = step(q)) == 1) {
		*out = sqlite3_column_int64(q, 0);
		r = 0;
	}
	(void)sqlite3_finalize(q);
	return r;
}

static int
make_schema(struct state *s, char *why, size_t size)
{
	int64_t version = 0;
	int r = read_version(s, &version);

	if (r != 0 || version == SCHEMA_VERSION)
		return r;
	if (version < 0 || version > SCHEMA_VERSION) {
		(void)snprintf(why, size,
		    "minter.db has schema %lld; this build reads up to %d",
		    (long long)version, SCHEMA_VERSION);
		return ERR_FORMAT;
	}
	/* The whole way or none of it. */
	r = state_begin(s);
	if (r == 0 && version == 0 && (r = exec(s, schema)) == 0)
		version = 1;
	for (; r == 0 && version < SCHEMA_VERSION; version++)
		r = exec(s, upgrades[version - 1]);
	if (r == 0)
		return state_commit(s);
	state_rollback(s);
	return r;
}

/* Nothing is in it, which SQLite would take for a new one: all sessions,
 * grants and revocations would be gone without a word. */
static bool
is_cut_off(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0;
}

int
state_open(const char *dir, struct state **out, char *why, size_t size)
{
	/* One owner: the exclusive lock needs no shared memory file. */
	static const char pragmas[] = "PRAGMA locking_mode=EXCLUSIVE;"
				      "PRAGMA journal_mode=WAL;"
				      "PRAGMA synchronous=FULL;"
				      "PRAGMA trusted_schema=OFF;"
				      "PRAGMA temp_store=MEMORY;";
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
		    SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX;
	struct state *s = calloc(1, sizeof(*s));
	char path[4096];
	int r;

	*why = '\0';
	if (s == NULL)
		return ERR_NOMEM;
	if ((size_t)snprintf(path, sizeof(path), "%s/minter.db", dir) >=
	    sizeof(path)) {
		free(s);
		return ERR_TOO_BIG;
	}
	if ((r = safefile_beside(path, why, size)) != 0) {
		free(s);
		return r;
	}
	if (is_cut_off(path)) {
		(void)snprintf(why, size, "minter.db: the file is empty");
		free(s);
		return ERR_TRUNCATED;
	}
	r = translate(sqlite3_open_v2(path, &s->db, flags, NULL));
	if (r == 0)
		(void)sqlite3_busy_timeout(s->db, 3000);
	if (r != 0 || (r = exec(s, pragmas)) != 0 ||
	    (r = make_schema(s, why, size)) != 0) {
		if (*why == '\0')
			(void)snprintf(why, size, "minter.db: %s",
			    s->db == NULL ? "out of memory"
					  : sqlite3_errmsg(s->db));
		state_close(s);
		return r;
	}
	*out = s;
	return 0;
}

void
state_close(struct state *s)
{
	if (s == NULL)
		return;
	(void)sqlite3_close(s->db); /* no statement outlives a call */
	free(s);
}

int
state_begin(struct state *s)
{
	return exec(s, "BEGIN IMMEDIATE");
}

int
state_commit(struct state *s)
{
	int r = exec(s, "COMMIT");

	if (r != 0)
		state_rollback(s);
	return r;
}

void
state_rollback(struct state *s)
{
	if (sqlite3_get_autocommit(s->db) == 0)
		(void)exec(s, "ROLLBACK"); /* the file decides at next open */
}

int
state_meta_get(struct state *s, const char *key, char *out, size_t size)
{
	sqlite3_stmt *q = NULL;
	int r = prepare(s, &q, "SELECT value FROM meta WHERE key=?", "t", key);

	if (r == 0)
		r = step(q);
	if (r == 1)
		text_copy(q, 0, out, size);
	(void)sqlite3_finalize(q);
	return r == 1 ? 0 : r == 0 ? ERR_NOT_FOUND : r;
}

int
state_meta_put(struct state *s, const char *key, const char *v)
{
	return run(s, "INSERT OR REPLACE INTO meta VALUES(?,?)", "tt", key, v);
}

int
state_grant_put(struct state *s, const char *name, const char *json)
{
	return run(
	    s, "INSERT OR REPLACE INTO grants VALUES(?,?)", "tt", name, json);
}

int
state_grant_remove(struct state *s, const char *name)
{
	return run(s, "DELETE FROM grants WHERE name=?", "t", name);
}

/* Rows of (name, text), handed out one by one; finalizes q. */
static int
each_pair(sqlite3_stmt *q, int r, state_grant_each *each, void *ctx)
{
	while (r == 0 && (r = step(q)) == 1)
		r = each(ctx, text(q, 0), text(q, 1));
	(void)sqlite3_finalize(q);
	return r;
}

int
state_grants(struct state *s, state_grant_each *each, void *ctx)
{
	sqlite3_stmt *q = NULL;
	int r =
	    prepare(s, &q, "SELECT name, json FROM grants ORDER BY name", "");

	return each_pair(q, r, each, ctx);
}

int
state_session_put(struct state *s, const struct session_row *r)
{
	return run(s,
	    "INSERT INTO sessions VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
	    " ON CONFLICT(id) DO UPDATE SET guest=excluded.guest,"
	    " state=excluded.state, created=excluded.created,"
	    " expires=excluded.expires, expires_ms=excluded.expires_ms,"
	    " boot_id=excluded.boot_id, channel_dir=excluded.channel_dir,"
	    " channel_ours=excluded.channel_ours,"
	    " channel_uid=excluded.channel_uid,"
	    " base_random=excluded.base_random,"
	    " placeholders=excluded.placeholders, grants=excluded.grants,"
	    " named=excluded.named, until=excluded.until",
	    "ttiiiittiitttttii", r->id, r->guest, r->state, r->created,
	    r->expires, r->expires_ms, r->boot_id, r->channel_dir,
	    (int64_t)r->channel_ours, r->channel_uid, r->base_random,
	    r->placeholders, r->grants, r->named, r->until, r->pid,
	    r->pid_started);
}

int
state_session_end(struct state *s, const char *id, enum session_state st)
{
	return run(
	    s, "UPDATE sessions SET state=? WHERE id=?", "it", (int64_t)st, id);
}

static void
read_session(sqlite3_stmt *q, struct session_row *r)
{
	*r = (struct session_row){
	    .id = text(q, 0),
	    .guest = text(q, 1),
	    .state = sqlite3_column_int64(q, 2),
	    .created = sqlite3_column_int64(q, 3),
	    .expires = sqlite3_column_int64(q, 4),
	    .expires_ms = sqlite3_column_int64(q, 5),
	    .boot_id = text(q, 6),
	    .channel_dir = text(q, 7),
	    .channel_ours = sqlite3_column_int64(q, 8) != 0,
	    .channel_uid = sqlite3_column_int64(q, 9),
	    .base_random = text(q, 10),
	    .placeholders = text(q, 11),
	    .grants = text(q, 12),
	    .named = text(q, 13),
	    .until = text(q, 14),
	    .pid = sqlite3_column_int64(q, 15),
	    .pid_started = sqlite3_column_int64(q, 16),
	};
}

/* seen: NULL, or told whether there was a row. */
static int
each_session(
    sqlite3_stmt *q, int r, state_session_each *each, void *ctx, bool *seen)
{
	struct session_row row;

	while (r == 0 && (r = step(q)) == 1) {
		if (seen != NULL)
			*seen = true;
		read_session(q, &row);
		r = each(ctx, &row);
	}
	(void)sqlite3_finalize(q);
	return r;
}

int
state_sessions(struct state *s, bool all, state_session_each *each, void *ctx)
{
	sqlite3_stmt *q = NULL;
	int r = prepare(s, &q,
	    "SELECT * FROM sessions WHERE state=1 OR ?"
	    " ORDER BY created DESC, rowid DESC LIMIT 10000",
	    "i", (int64_t)all);

	return each_session(q, r, each, ctx, NULL);
}

int
state_session_find(
    struct state *s, const char *key, state_session_each *each, void *ctx)
{
	sqlite3_stmt *q = NULL;
	bool seen = false;
	int r = prepare(s, &q,
	    "SELECT * FROM sessions WHERE id=? OR guest=?"
	    " ORDER BY state=1 DESC, created DESC, rowid DESC LIMIT 1",
	    "tt", key, key);

	r = each_session(q, r, each, ctx, &seen);
	return r == 0 && !seen ? ERR_NOT_FOUND : r;
}

int
state_family_put(struct state *s, const struct family_row *f)
{
	int r = run(s,
	    "INSERT INTO families VALUES(?,?,?,?,?,?,?,?,?,?,?)"
	    " ON CONFLICT(id) DO UPDATE SET jti=excluded.jti,"
	    " issued=excluded.issued, expires=excluded.expires,"
	    " expires_ms=excluded.expires_ms",
	    "tttiiiittti", f->id, f->session, f->jti, f->issued, f->expires,
	    f->expires_ms, (int64_t)f->revoked, f->parent, f->act,
	    f->details == NULL ? "" : f->details, f->until);

	if (r != 0)
		return r;
	return run(s, "INSERT INTO tokens VALUES(?,?,?,?)", "ttii", f->jti,
	    f->id, f->issued, f->expires);
}

/* What has ended needs no room for what it could do: it may nothing. Not
 * empty, which would be all that its session may. */
#define NOTHING "CASE details WHEN '' THEN '' ELSE '[]' END"

int
state_family_revoke(struct state *s, const char *id)
{
	return run(s,
	    "WITH RECURSIVE tree(id) AS (SELECT ?1 UNION SELECT f.id"
	    " FROM families f JOIN tree t ON f.parent=t.id)"
	    " UPDATE families SET revoked=1, details=" NOTHING
	    " WHERE id IN tree",
	    "t", id);
}

static void
read_family(sqlite3_stmt *q, struct family_row *f)
{
	text_copy(q, 0, f->id, sizeof(f->id));
	text_copy(q, 1, f->session, sizeof(f->session));
	text_copy(q, 2, f->jti, sizeof(f->jti));
	f->issued = sqlite3_column_int64(q, 3);
	f->expires = sqlite3_column_int64(q, 4);
	f->expires_ms = sqlite3_column_int64(q, 5);
	f->revoked = sqlite3_column_int64(q, 6) != 0;
	text_copy(q, 7, f->parent, sizeof(f->parent));
	text_copy(q, 8, f->act, sizeof(f->act));
	f->details = text(q, 9);
	f->until = sqlite3_column_int64(q, 10);
}

int
state_families(
    struct state *s, const char *session, state_family_each *each, void *ctx)
{
	sqlite3_stmt *q = NULL;
	struct family_row f;
	int r = prepare(s, &q,
	    "SELECT * FROM families WHERE ? OR session=?"
	    " ORDER BY issued DESC, rowid DESC LIMIT 10000",
	    "it", (int64_t)(session == NULL), session == NULL ? "" : session);

	while (r == 0 && (r = step(q)) == 1) {
		read_family(q, &f);
		r = each(ctx, &f);
	}
	(void)sqlite3_finalize(q);
	return r;
}

static void
read_token(sqlite3_stmt *q, struct token_row *t)
{
	text_copy(q, 0, t->jti, sizeof(t->jti));
	text_copy(q, 1, t->family, sizeof(t->family));
	text_copy(q, 2, t->session, sizeof(t->session));
	t->issued = sqlite3_column_int64(q, 3);
	t->expires = sqlite3_column_int64(q, 4);
	t->revoked = sqlite3_column_int64(q, 5) != 0;
}

int
state_token_find(struct state *s, const char *key, struct token_row *out)
{
	sqlite3_stmt *q = NULL;
	int r = prepare(s, &q,
	    "SELECT t.jti, f.id, f.session, t.issued, t.expires, f.revoked"
	    " FROM tokens t JOIN families f ON t.family=f.id"
	    " WHERE t.jti=? OR (f.id=? AND t.jti=f.jti)",
	    "tt", key, key);

	if (r == 0)
		r = step(q);
	if (r == 1)
		read_token(q, out);
	(void)sqlite3_finalize(q);
	return r == 1 ? 0 : r == 0 ? ERR_NOT_FOUND : r;
}

int
state_revoked_put(
    struct state *s, const char *session, const char *name, const char *json)
{
	return run(s, "INSERT OR REPLACE INTO revoked VALUES(?,?,?)", "ttt",
	    session, name, json);
}

int
state_revoked_clear(struct state *s, const char *session, const char *name)
{
	return run(s, "DELETE FROM revoked WHERE session=? AND name=?", "tt",
	    session, name);
}

int
state_revoked(
    struct state *s, const char *session, state_revoked_each *each, void *ctx)
{
	sqlite3_stmt *q = NULL;
	int r = prepare(s, &q,
	    "SELECT name, json FROM revoked WHERE session=? ORDER BY name", "t",
	    session);

	return each_pair(q, r, each, ctx);
}

int
state_used_put(struct state *s, const char *session, const char *grant,
    const struct used_row *u)
{
	return run(s, "INSERT OR REPLACE INTO used VALUES(?,?,?,?,?)", "ttiii",
	    session, grant, u->requests, u->up, u->down);
}

int
state_used(
    struct state *s, const char *session, state_used_each *each, void *ctx)
{
	sqlite3_stmt *q = NULL;
	int r = prepare(s, &q,
	    "SELECT grant_name, requests, up, down FROM used"
	    " WHERE session=?",
	    "t", session);

	while (r == 0 && (r = step(q)) == 1) {
		struct used_row u = {
		    .requests = sqlite3_column_int64(q, 1),
		    .up = sqlite3_column_int64(q, 2),
		    .down = sqlite3_column_int64(q, 3),
		};
		r = each(ctx, text(q, 0), &u);
	}
	(void)sqlite3_finalize(q);
	return r;
}

int
state_prune(struct state *s, int64_t now, int64_t before)
{
	static const char gone[] =
	    "(SELECT id FROM sessions WHERE state<>1 AND expires<?)";
	char sql[256];
	int r;

	if ((r = run(s, "DELETE FROM tokens WHERE expires<?", "i", before)) !=
		0 ||
	    (r = run(s, "DELETE FROM families WHERE expires<?", "i", before)) !=
		0 ||
	    (r = run(s,
		 "UPDATE families SET details='[]' WHERE expires<?"
		 " AND details NOT IN ('', '[]')",
		 "i", now)) != 0)
		return r;
	/* Accounts of families that are gone; a family's id has 22 letters. */
	if ((r = run(s,
		 "DELETE FROM used WHERE instr(grant_name, '/')=23 AND"
		 " substr(grant_name, 1, 22) NOT IN (SELECT id FROM families)",
		 "")) != 0)
		return r;
	(void)snprintf(
	    sql, sizeof(sql), "DELETE FROM revoked WHERE session IN %s", gone);
	if ((r = run(s, sql, "i", before)) != 0)
		return r;
	(void)snprintf(
	    sql, sizeof(sql), "DELETE FROM used WHERE session IN %s", gone);
	return run(s, sql, "i", before);
}
