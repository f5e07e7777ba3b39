/* SPDX-License-Identifier: ISC */
/*
 * The vault proper: credentials with their versions, the minter's keys, the
 * sessions' roots, over one store and one backend. No sockets here, no
 * threads: every call may block (backend.h) and runs on the worker.
 *
 * How a value is never lost and never left behind:
 *
 *	add, rotate:	intent -> value -> read back -> { row, no intent }
 *	remove:		{ no row, intents } -> values go -> no intents
 *
 * where {} is one transaction. A crash anywhere leaves either the old row
 * or the new one, and at most an intent, which the next opening sweeps.
 */
#ifndef VAULT_HOUSE_H
#define VAULT_HOUSE_H

#include "messages/keeper.h"
#include "scope/metadata.h"
#include "vault/backend.h"

/* How many versions of a credential are kept, the newest included. */
#define HOUSE_VERSIONS 5
#define HOUSE_CREDENTIALS_MAX 2048

struct house;

/* What went wrong, for people: what happened and why; what to do next. */
struct house_words {
	char what[512];
	char next[512];
};

/* Opens config and store; a locked or missing keychain is a state, not a
 * failure. Fails only for lack of memory. */
MUST_USE int
house_new(const char *config_dir, const char *state_dir, struct house **out);
void house_free(struct house *h);

/* Call fn for each credential with its current value. fn may not change
 * the house. */
typedef int
house_each_fn(void *ctx, const struct metadata *m, const struct keep *value);
MUST_USE int house_each(
    struct house *h, house_each_fn *fn, void *ctx, struct house_words *w);

/* As of the last call. house_why() when open: what went wrong before, such
 * as a migration that failed. */
enum vault_state house_state(const struct house *h);
const char *house_why(const struct house *h);
const struct config *house_config(const struct house *h);
/* vault.json came after we began: the walls are those of no choice, and
 * this process must make room for another. */
bool house_outgrown(const struct house *h);
/* Every job calls it first: the caller waits since asked_ms. */
void house_begin(struct house *h, int64_t asked_ms);

/* Read vault.json again (when there was none), ask the keychain, open if
 * that needs no passphrase. Not when locked by house_lock(). */
void house_probe(struct house *h);
MUST_USE int
house_unlock(struct house *h, const struct keep *secret, struct house_words *w);
void house_lock(struct house *h);

/* Credentials. metadata out-parameters are the caller's to metadata_free().
 * name: any C string; what is no name is ERR_NOT_FOUND. */
MUST_USE int house_add(struct house *h, const json_t *metadata,
    const struct keep *value, struct metadata *out, struct house_words *w);
MUST_USE int house_show(struct house *h, const char *name, struct metadata *out,
    struct house_words *w);
/* A new JSON array. */
MUST_USE int house_list(struct house *h, json_t **out, struct house_words *w);
MUST_USE int house_count(struct house *h, size_t *out);
MUST_USE int house_bind(struct house *h, const char *name,
    const json_t *bindings, struct metadata *out, struct house_words *w);
MUST_USE int house_rotate(struct house *h, const char *name,
    const struct keep *value, struct metadata *out, struct house_words *w);
MUST_USE int
house_remove(struct house *h, const char *name, struct house_words *w);
/* An upstream rejects that version, a courier says: house_list() and
 * house_tell_rejected() show it from now on. */
void house_note_rejected(
    struct house *h, const char *name, uint32_t version, const char *host);
/* Add to a credential's metadata what is known of that. */
void house_tell_rejected(const struct house *h, json_t *metadata);
/* Value and metadata together. */
MUST_USE int house_lease(struct house *h, const char *name, struct metadata *m,
    struct keep **value, struct house_words *w);
/* Could house_restore() take it? */
MUST_USE int house_restore_check(struct house *h, const struct metadata *m,
    const struct keep *value, struct house_words *w);
/* Take in a credential as a backup has it, under its own version and
 * times. ERR_EXISTS: another one has that name. Identical: 0. */
MUST_USE int house_restore(struct house *h, const struct metadata *m,
    const struct keep *value, struct house_words *w);

/* The minter's keys. */
MUST_USE int
house_key_get(struct house *h, const char *name, struct keep **out);
MUST_USE int
house_key_put(struct house *h, const char *name, struct span bytes);

/* An intermediate for the session's gate, and the root, which is made when
 * there is none. DER, appended. */
MUST_USE int house_ca(struct house *h, const char *session, struct span spki,
    const char *const *names, size_t n_names, struct buf *intermediate,
    struct buf *root);
MUST_USE int house_forget_session(struct house *h, const char *session);
/* Roots of sessions that live() does not know are deleted. */
MUST_USE int house_sweep_roots(
    struct house *h, bool (*live)(void *ctx, const char *session), void *ctx);

/* Move to another backend or key source: copy, read back, switch
 * vault.json, remove the old. */
MUST_USE int house_migrate(struct house *h, const struct config_choice *to,
    const struct keep *secret, size_t *n, struct house_words *w);
/* Leave it for the next start, whose walls let it reach the keychain or
 * the key file; it goes on as soon as the vault is open then. */
MUST_USE int house_migrate_later(struct house *h,
    const struct config_choice *to, size_t *n, struct house_words *w);

#endif
