/* SPDX-License-Identifier: ISC */
/* What for: opening, locking and the states of the vault; the minter's
 * keys. Trusts: its store once unlocked. At a bound: a named state and a
 * sentence, never a guess. */
#include "vault/house_in.h"

#include "lib/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void
set_state(struct house *h, enum vault_state state, const char *why)
{
	h->state = state;
	if (why != h->why)
		snprintf(h->why, sizeof(h->why), "%s", why);
}

static bool
load_config(struct house *h)
{
	char why[256] = "vault.json cannot be read.";
	int r;

	if (h->configured)
		return true;
	r = config_load(h->config_dir, &h->config, why, sizeof(why));
	h->configured = r == 0;
	if (r == ERR_NOT_FOUND)
		set_state(h, VAULT_UNINITIALISED, "The vault is not set up.");
	else if (r != 0)
		set_state(h, VAULT_UNAVAILABLE, why);
	return h->configured;
}

int
house_new(const char *config_dir, const char *state_dir, struct house **out)
{
	struct house *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return ERR_NOMEM;
	h->config_dir = strdup(config_dir);
	h->state_dir = strdup(state_dir);
	if (h->config_dir == NULL || h->state_dir == NULL) {
		house_free(h);
		return ERR_NOMEM;
	}
	house_begin(h, backend_now_ms());
	(void)load_config(h); /* the state tells */
	h->late = !h->configured;
	*out = h;
	return 0;
}

bool
house_outgrown(const struct house *h)
{
	return h->late && h->configured;
}

void
house_free(struct house *h)
{
	if (h == NULL)
		return;
	backend_close(h->backend);
	store_close(h->store);
	rejected_free(&h->rejected);
	free(h->config_dir);
	free(h->state_dir);
	free(h);
}

enum vault_state
house_state(const struct house *h)
{
	return h->state;
}

const char *
house_why(const struct house *h)
{
	return h->state == VAULT_OPEN ? h->notice : h->why;
}

const struct config *
house_config(const struct house *h)
{
	return h->configured ? &h->config : NULL;
}

void
house_begin(struct house *h, int64_t asked_ms)
{
	h->asked_ms = asked_ms;
	if (h->backend != NULL)
		backend_budget(h->backend, asked_ms);
}

int
house_fail(struct house *h, struct house_words *w, int err, const char *next,
    const char *fmt, ...)
{
	va_list ap;

	(void)h;
	if (w == NULL)
		return err;
	va_start(ap, fmt);
	vsnprintf(w->what, sizeof(w->what), fmt, ap);
	va_end(ap);
	snprintf(w->next, sizeof(w->next), "%s", next);
	return err;
}

static const char *
next_step(const struct house *h)
{
	switch (h->state) {
	case VAULT_UNINITIALISED:
		return "hatcheck init";
	case VAULT_LOCKED:
		if (h->held || h->config.now.backend == CONFIG_SEALED_FILE)
			return "hatcheck unlock";
		return "Unlock the desktop's keychain, then try again.";
	case VAULT_UNAVAILABLE:
	case VAULT_OPEN:
		break;
	}
	return "hatcheck doctor";
}

static int
state_err(const struct house *h)
{
	if (h->state == VAULT_LOCKED)
		return ERR_LOCKED;
	return h->state == VAULT_OPEN ? 0 : ERR_UNAVAILABLE;
}

int
house_note(struct house *h, int err, struct house_words *w)
{
	if (err == ERR_LOCKED)
		set_state(h, VAULT_LOCKED, h->backend->why);
	else if (err == ERR_UNAVAILABLE)
		set_state(h, VAULT_UNAVAILABLE, h->backend->why);
	else if (err == 0 && store_unlocked(h->store))
		set_state(h, VAULT_OPEN, "");
	if (err == 0)
		return 0;
	if (err == ERR_LOCKED || err == ERR_UNAVAILABLE)
		return house_fail(h, w, err, next_step(h), "%s", h->why);
	if (h->backend->why[0] != '\0')
		return house_fail(
		    h, w, err, "hatcheck doctor", "%s", h->backend->why);
	return house_store_result(h, err, w);
}

int
house_store_result(struct house *h, int err, struct house_words *w)
{
	if (err == 0)
		return 0;
	if (err == ERR_CRYPTO)
		return house_fail(h, w, err,
		    "hatcheck vault restore, from a backup",
		    "The vault's store is damaged.");
	if (err == ERR_IO)
		return house_fail(h, w, err,
		    "Check space and permissions of the state directory.",
		    "The vault's store cannot be read or written.");
	return house_fail(
	    h, w, err, "hatcheck logs", "The vault failed: %s.", err_text(err));
}

/* --- opening --------------------------------------------------------- */

static bool
load_store(struct house *h)
{
	char why[256] = "The vault's store cannot be opened.";

	if (h->store == NULL &&
	    store_open(h->state_dir, &h->store, why, sizeof(why)) != 0) {
		set_state(h, VAULT_UNAVAILABLE, why);
		return false;
	}
	if (h->backend == NULL && backend_open(&h->config.now, h->store,
				      &h->backend, why, sizeof(why)) != 0) {
		set_state(h, VAULT_UNAVAILABLE, why);
		return false;
	}
	backend_budget(h->backend, h->asked_ms);
	return true;
}

/* The first opening ever: a house key, and a keeper for it. */
static int
found(struct house *h, const struct keep *secret)
{
	struct backend *b = h->backend;
	struct keep *key = NULL;
	int r;

	/* Nothing to put a key in before the keychain answers. */
	if (b->choice.backend == CONFIG_SECRET_SERVICE &&
	    (r = b->ops->probe(b)) != 0)
		return r;
	if (b->choice.key == CONFIG_KEY_PASSPHRASE && secret == NULL) {
		backend_say(b, "The vault has no passphrase yet.");
		return ERR_LOCKED;
	}
	if ((r = keep_random(SEAL_KEY, &key)) != 0)
		return r;
	if ((r = store_begin(h->store)) == 0) {
		if ((r = store_found(h->store, key)) == 0 &&
		    (r = b->ops->adopt(b, secret, key)) == 0)
			r = store_commit(h->store);
		if (r != 0)
			store_rollback(h->store);
	}
	keep_free(key);
	return r;
}

static int
unlock_store(struct house *h, const struct keep *secret)
{
	struct backend *b = h->backend;
	struct keep *key = NULL;
	int r, swept;

	if (store_unlocked(h->store))
		return b->ops->probe(b);
	b->why[0] = '\0';
	if (store_fresh(h->store))
		return found(h, secret);
	if ((r = b->ops->unlock(b, secret, &key)) != 0)
		return r;
	if ((r = store_unlock(h->store, key)) == ERR_CRYPTO)
		backend_say(b, "The vault's store is damaged, or was made "
			       "with another key; restore it from a backup.");
	keep_free(key);
	if (r == 0 && !h->config.has_next && (r = b->ops->settle(b)) != 0)
		store_lock(h->store);
	if (r == 0 && (swept = house_sweep_intents(h)) != 0)
		log_event(LOG_WARN, "vault_sweep_deferred", LOG_ERR(swept));
	return r;
}

/* Every way of failing to open is a state. */
static void
note_opening(struct house *h, int r)
{
	struct backend *b = h->backend;

	if (r == 0)
		set_state(h, VAULT_OPEN, "");
	else if (r == ERR_LOCKED)
		set_state(h, VAULT_LOCKED, b->why);
	else if (r == ERR_CRYPTO && b->choice.key == CONFIG_KEY_PASSPHRASE &&
		 !store_unlocked(h->store))
		set_state(h, VAULT_LOCKED, b->why);
	else
		set_state(h, VAULT_UNAVAILABLE,
		    b->why[0] != '\0' ? b->why : err_text(r));
}

static int
open_all(struct house *h, const struct keep *secret)
{
	bool was_open;
	int r;

	if (!load_config(h) || house_outgrown(h) || !load_store(h))
		return ERR_UNAVAILABLE;
	was_open = store_unlocked(h->store);
	r = unlock_store(h, secret);
	note_opening(h, r);
	if (r == 0 && !was_open && h->config.has_next)
		house_resume_migration(h, secret);
	return r;
}

void
house_probe(struct house *h)
{
	if (!h->held)
		(void)open_all(h, NULL); /* the state tells */
}

int
house_unlock(struct house *h, const struct keep *secret, struct house_words *w)
{
	bool was_held = h->held;
	int r;

	h->held = false;
	if ((r = open_all(h, secret)) == 0)
		return 0;
	h->held = was_held;
	return house_fail(h, w, r, next_step(h), "%s",
	    h->backend != NULL && h->backend->why[0] != '\0' ? h->backend->why
							     : h->why);
}

void
house_lock(struct house *h)
{
	h->held = true;
	if (h->store != NULL)
		store_lock(h->store);
	if (h->backend != NULL)
		h->backend->ops->lock(h->backend);
	if (h->configured)
		set_state(h, VAULT_LOCKED, "The vault was locked.");
}

int
house_need_open(struct house *h, struct house_words *w)
{
	if (h->store != NULL && store_unlocked(h->store))
		return 0;
	house_probe(h);
	if (h->store != NULL && store_unlocked(h->store))
		return 0;
	return house_fail(h, w, state_err(h), next_step(h), "%s", h->why);
}

/* --- the minter's keys ----------------------------------------------- */

static bool
plain_name(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n <= KEY_NAME_MAX &&
	       strspn(name,
		   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		   "0123456789-_") == n;
}

static int
keeper_name(const char *name, char *out, size_t size)
{
	if (!plain_name(name))
		return ERR_ARGUMENT;
	snprintf(out, size, "minter.%s", name);
	return 0;
}

int
house_key_get(struct house *h, const char *name, struct keep **out)
{
	char full[STORE_NAME_MAX];
	int r;

	if ((r = keeper_name(name, full, sizeof(full))) != 0 ||
	    (r = house_need_open(h, NULL)) != 0)
		return r;
	return store_get(h->store, STORE_KEEPER, full, 0, out);
}

int
house_key_put(struct house *h, const char *name, struct span bytes)
{
	char full[STORE_NAME_MAX];
	int r;

	if ((r = keeper_name(name, full, sizeof(full))) != 0 ||
	    (r = house_need_open(h, NULL)) != 0)
		return r;
	return store_put(h->store, STORE_KEEPER, full, 0, bytes);
}
