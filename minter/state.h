/* SPDX-License-Identifier: ISC */
/*
 * What must survive: grants, sessions, token families, what was revoked and
 * what was used, in DIR/minter.db (SQLite, WAL, synchronous=FULL, one
 * owner). When state_commit() has returned 0 it is on disk. Every failure
 * is ERR_IO, but for ERR_NOT_FOUND, ERR_EXISTS and ERR_NOMEM.
 *
 * Rows hold no secret: tokens appear as jti only. Placeholders are inert.
 */
#ifndef MINTER_STATE_H
#define MINTER_STATE_H

#include "lib/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATE_ID_MAX 33	  /* session, family and token ids, with NUL */
#define STATE_NAME_MAX 65 /* grant, credential and guest names, with NUL */

struct state;

/* why: a sentence when it fails. An older schema is brought up to date, the
 * whole way or not at all; a newer one is refused. */
MUST_USE int
state_open(const char *dir, struct state **out, char *why, size_t size);
void state_close(struct state *s);

MUST_USE int state_begin(struct state *s);
MUST_USE int state_commit(struct state *s);
void state_rollback(struct state *s);

MUST_USE int
state_meta_get(struct state *s, const char *key, char *out, size_t size);
MUST_USE int state_meta_put(struct state *s, const char *key, const char *v);

/* Named grants, as canonical JSON. */
typedef int state_grant_each(void *ctx, const char *name, const char *json);
MUST_USE int
state_grant_put(struct state *s, const char *name, const char *json);
MUST_USE int state_grant_remove(struct state *s, const char *name);
MUST_USE int state_grants(struct state *s, state_grant_each *each, void *ctx);

enum session_state {
	SESSION_ACTIVE = 1,
	SESSION_ENDED = 2,
	SESSION_REVOKED = 3,
	SESSION_EXPIRED = 4
};
const char *session_state_name(enum session_state st);

/* Strings borrow: the caller's when put, SQLite's until each returns. */
struct session_row {
	const char *id, *guest;
	int64_t state;		  /* enum session_state */
	int64_t created, expires; /* Unix seconds */
	int64_t expires_ms;	  /* CLOCK_BOOTTIME of boot_id */
	const char *boot_id;
	const char *channel_dir;
	bool channel_ours; /* the supervisor chose channel_dir */
	int64_t channel_uid;
	const char *base_random;
	const char *placeholders; /* JSON, see document.h */
	const char *grants;	  /* JSON array, the snapshot */
	const char *named; /* JSON array: grants that follow grant.apply */
	const char *until; /* JSON object: grant name -> Unix seconds */
	int64_t pid, pid_started; /* lib/procid.h */
};
typedef int state_session_each(void *ctx, const struct session_row *row);
MUST_USE int state_session_put(struct state *s, const struct session_row *r);
MUST_USE int
state_session_end(struct state *s, const char *id, enum session_state st);
/* all: the ended ones too, newest first. */
MUST_USE int
state_sessions(struct state *s, bool all, state_session_each *each, void *ctx);
/* By id, or the newest of that guest name. */
MUST_USE int state_session_find(
    struct state *s, const char *key, state_session_each *each, void *ctx);

/* A family and its newest token. Of a renewal only what is new is stored. */
struct family_row {
	char id[STATE_ID_MAX], session[STATE_ID_MAX], jti[STATE_ID_MAX];
	int64_t issued, expires; /* Unix seconds */
	int64_t expires_ms;	 /* CLOCK_BOOTTIME of the session's boot_id */
	bool revoked;
	char parent[STATE_ID_MAX]; /* of a child token; or empty */
	char act[STATE_NAME_MAX];  /* the sub-agent; empty: none */
	int64_t until;		   /* no renewal goes beyond; 0: the session's */
	/* A narrower family's grants, JSON; empty: all of the session's.
	 * Borrowed, as in session_row. */
	const char *details;
};
typedef int state_family_each(void *ctx, const struct family_row *row);
/* The family and one more token of it. */
MUST_USE int state_family_put(struct state *s, const struct family_row *f);
/* And all below it. What they could do is forgotten. */
MUST_USE int state_family_revoke(struct state *s, const char *id);
/* session: NULL for all. Newest first. */
MUST_USE int state_families(
    struct state *s, const char *session, state_family_each *each, void *ctx);

struct token_row {
	char jti[STATE_ID_MAX], family[STATE_ID_MAX], session[STATE_ID_MAX];
	int64_t issued, expires;
	bool revoked; /* its family is */
};
/* key: a jti, or a family id (then its newest token). */
MUST_USE int
state_token_find(struct state *s, const char *key, struct token_row *out);

/* What was taken away from a live session, with the grant's JSON. */
typedef int state_revoked_each(void *ctx, const char *name, const char *json);
MUST_USE int state_revoked_put(
    struct state *s, const char *session, const char *name, const char *json);
MUST_USE int
state_revoked_clear(struct state *s, const char *session, const char *name);
MUST_USE int state_revoked(
    struct state *s, const char *session, state_revoked_each *each, void *ctx);

/* grant: the grant's name, or FAMILY/GRANT. */
struct used_row {
	int64_t requests, up, down;
};
typedef int
state_used_each(void *ctx, const char *grant, const struct used_row *u);
MUST_USE int state_used_put(struct state *s, const char *session,
    const char *grant, const struct used_row *u);
MUST_USE int state_used(
    struct state *s, const char *session, state_used_each *each, void *ctx);

/* Forget tokens and families that expired before, what sessions that ended
 * before then left behind, and what families could do that have expired. */
MUST_USE int state_prune(struct state *s, int64_t now, int64_t before);

#endif
