/* SPDX-License-Identifier: ISC */
/*
 * A live session as the minter has it in memory, and the random names of
 * things. Plain data with its rows in state.h; who changes one saves it
 * before anybody is told.
 */
#ifndef MINTER_SESSION_H
#define MINTER_SESSION_H

#include "keys/jwt.h"
#include "lib/chainlog.h"
#include "lib/link.h"
#include "lib/procid.h"
#include "messages/counts.h"
#include "messages/rules.h"
#include "minter/state.h"
#include "scope/grant.h"
#include "scope/metadata.h"

#include <jansson.h>

#define SESSION_GRANTS_MAX 24	/* JWT_GRANTS_MAX: a token names them all */
#define SESSION_FAMILIES_MAX 64 /* live ones */
#define SESSION_CHILDREN_MAX 48 /* of these, the narrower ones */
#define SESSION_DEPTH_MAX JWT_ACT_MAX
#define SESSION_BASE_MAX 23 /* 22 characters of base64url, with NUL */
#define SESSION_DIR_MAX 4096

struct family {
	struct family *next;
	struct family_row row; /* .session and .details are not used here */
	bool narrow;	       /* it has details: */
	struct grant_set details;
};

struct minter;

struct session {
	struct session *next;
	struct minter *m; /* for the handlers of its links */
	char id[STATE_ID_MAX], guest[STATE_NAME_MAX];
	enum session_state state;
	int64_t created, expires; /* Unix seconds */
	int64_t expires_ms;	  /* CLOCK_BOOTTIME */
	/* The same: when its tokens so far are paid off, and those of its
	 * sub-agents. */
	int64_t pace_ms, pace_below_ms;
	/* Its place (messages/channel.h); ours: empty until it started. */
	char channel_dir[SESSION_DIR_MAX];
	bool channel_ours;
	uint32_t channel_uid;
	struct procid process; /* it ends with that; .pid 0: with none */
	char base_random[SESSION_BASE_MAX];
	struct grant_set grants;
	json_t *placeholders; /* [{"credential","value","env":[…]}, …] */
	json_t *named;	      /* ["grant", …]: they follow grant.apply */
	json_t *until;	      /* {"grant":[Unix seconds, BOOTTIME ms]} */
	json_t *used;	      /* {"account":{"requests","up","down"}} */
	bool used_dirty;
	struct family *families; /* unrevoked; expired ones are swept */
	struct link *gate, *courier;
	bool gate_told, courier_told; /* have their first documents */
	bool started;		      /* the supervisor said so */
	bool changed;	/* siblings are to be told: change_spread() */
	bool finishing; /* no token, no request any more */
	bool reaping;	/* CTL_END is on its way */
	bool over;	/* processes reaped: free when the links have broken */
	int64_t over_ms;
	unsigned cuts; /* under way: not to be freed */
	void *opening; /* struct opening: a caller waits, or NULL */
	uint64_t head_seq, anchored_seq; /* of the courier's audit chain */
	uint8_t head_hash[CHAINLOG_HASH];
	enum counts_log log; /* what its courier says of it */
};

/* 20 base32 characters (100 random bits) behind a prefix of 2. */
void session_random_id(char out[static STATE_ID_MAX], const char *prefix);
/* [a-z0-9][a-z0-9._-]*, at most 64, and nothing like a session id. */
bool session_name_ok(const char *name);

/* NULL when memory is out. */
struct session *session_new(void);
void session_free(struct session *s); /* NULL is fine; frees the links */

/* Between memory and row. boot_id: this boot's. */
MUST_USE int
session_save(struct state *st, const struct session *s, const char *boot_id);
/* now: Unix seconds; after a reboot lifetimes come from the wall clock. */
MUST_USE int session_load(const struct session_row *row, const char *boot_id,
    int64_t now, int64_t now_ms, struct session **out);

struct grant *session_grant(const struct session *s, const char *name);
bool session_has_credential(const struct session *s, const char *credential);
/* A placeholder for each credential of set that has none yet, appended to
 * list; facts: metadata of each of them. */
MUST_USE int session_placeholders(json_t *list, const struct grant_set *set,
    const struct metadata *facts, size_t n_facts);
/* Drop the placeholders of credentials that no grant of set names. */
void session_placeholders_sweep(json_t *list, const struct grant_set *set);

struct family *session_family(const struct session *s, const char *id);
/* narrow_only: children and other narrower ones. */
size_t session_families_live(
    const struct session *s, int64_t now_ms, bool narrow_only);
void family_free(struct family *f); /* NULL is fine */
/* Forget those that have ended, and all below them. */
void session_families_sweep(struct session *s, int64_t now_ms);
/* Forget what families used that are not there any more. */
void session_used_sweep(struct session *s);
/* Its parent; NULL: it has none (or that is gone). */
struct family *session_parent(const struct session *s, const struct family *f);
/* Is id f itself or one of its ancestors? */
bool session_is_below(
    const struct session *s, const struct family *f, const char *id);
/* How many narrower families it stands in, itself included. */
unsigned session_depth(const struct session *s, const struct family *f);

/* Deep copies, by way of their canonical JSON. */
MUST_USE int
session_grants_copy(const struct grant_set *from, struct grant_set *out);
/* Take grant i out of set and free it. */
void session_grants_remove(struct grant_set *set, size_t i);

#endif
