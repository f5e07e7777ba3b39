/* SPDX-License-Identifier: ISC */
/* What for: credentials and the house key in the desktop's keychain.
 * Trusts: the keychain for secrecy; what it gives back for the house key is
 * proven by the store's manifest. At a bound: a named state within the
 * deadline; never another backend. */
#include "vault/backend.h"
#include "vault/backend/keychain.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

/* No credential can have this name. */
#define HOUSE_KEY "@house"
#define HOUSE_HEX (STORE_HOUSE * 2 + 1)

struct own {
	struct keychain *keychain;
	int64_t failed_ms; /* when a call last ran into its deadline */
	int failed_err;
};

static int
ss_open(struct backend *b)
{
	struct own *o = calloc(1, sizeof(*o));
	int r;

	if (o == NULL)
		return ERR_NOMEM;
	if ((r = keychain_new(&o->keychain)) != 0) {
		free(o);
		return r;
	}
	b->own = o;
	return 0;
}

static void
ss_close(struct backend *b)
{
	struct own *o = b->own;

	keychain_free(o->keychain);
	free(o);
}

/* Who waits since before a call ran into its deadline has waited through
 * that deadline: it is not made to wait through another. */
static int
ready(struct backend *b)
{
	struct own *o = b->own;

	if (o->failed_ms < b->asked_ms || o->failed_err == 0)
		return 0;
	backend_say(b, "%s", keychain_why(o->keychain));
	return o->failed_err;
}

static int
result(struct backend *b, int r)
{
	struct own *o = b->own;

	if (r != 0)
		backend_say(b, "%s", keychain_why(o->keychain));
	o->failed_err = r == ERR_UNAVAILABLE ? r : 0;
	if (r == ERR_UNAVAILABLE)
		o->failed_ms = backend_now_ms();
	return r;
}

static struct keychain *
keychain(struct backend *b)
{
	return ((struct own *)b->own)->keychain;
}

static const char *
house(const struct backend *b, char out[static HOUSE_HEX])
{
	return sodium_bin2hex(
	    out, HOUSE_HEX, store_house(b->store), STORE_HOUSE);
}

static int
ss_probe(struct backend *b)
{
	int r = ready(b);

	return r != 0 ? r
		      : result(b, keychain_probe(keychain(b), b->deadline_ms));
}

static int
ss_get(struct backend *b, const char *name, uint32_t version, struct keep **out)
{
	char hex[HOUSE_HEX];
	struct keychain_id id = {house(b, hex), name, version};
	int r = ready(b);

	return r != 0 ? r
		      : result(b, keychain_get(
				      keychain(b), &id, b->deadline_ms, out));
}

static int
ss_put(struct backend *b, const char *name, uint32_t version, struct span value)
{
	char hex[HOUSE_HEX], label[STORE_NAME_MAX + 32];
	struct keychain_id id = {house(b, hex), name, version};
	int r = ready(b);

	if (r != 0)
		return r;
	snprintf(label, sizeof(label), "Hatcheck: %s", name);
	return result(
	    b, keychain_put(keychain(b), &id, label, value, b->deadline_ms));
}

static int
ss_delete(struct backend *b, const char *name, uint32_t version)
{
	char hex[HOUSE_HEX];
	struct keychain_id id = {house(b, hex), name, version};
	int r = ready(b);

	return r != 0 ? r
		      : result(b,
			    keychain_delete(keychain(b), &id, b->deadline_ms));
}

static int
ss_unlock(struct backend *b, const struct keep *secret, struct keep **key)
{
	struct keep *k = NULL;
	int r;

	(void)secret; /* the keychain is unlocked by its own program */
	r = ss_get(b, HOUSE_KEY, 0, &k);
	if (r == ERR_NOT_FOUND)
		backend_say(b, "The keychain has no key for this store: its "
			       "entry \"Hatcheck: @house\" is gone.");
	if (r == 0 && keep_len(k) != SEAL_KEY) {
		backend_say(b, "The keychain's key for this store is damaged.");
		keep_free(k);
		return ERR_CRYPTO;
	}
	if (r == 0)
		*key = k;
	return r;
}

static int
ss_adopt(struct backend *b, const struct keep *secret, const struct keep *key)
{
	struct keep *back = NULL;
	int r;

	(void)secret;
	if ((r = ss_put(b, HOUSE_KEY, 0, keep_reveal(key))) == 0 &&
	    (r = ss_get(b, HOUSE_KEY, 0, &back)) == 0 &&
	    !keep_eq(key, keep_reveal(back))) {
		backend_say(b, "The keychain changed the key of the store.");
		r = ERR_IO;
	}
	keep_free(back);
	return r;
}

/* What a broken-off migration to the sealed file left in vault.db. */
static int
ss_settle(struct backend *b)
{
	int r;

	if ((r = store_header_delete(b->store, "custody.0")) != 0 ||
	    (r = store_header_delete(b->store, "custody.1")) != 0)
		return r;
	return store_clear(b->store, STORE_VALUE);
}

static int
ss_disown(struct backend *b)
{
	return ss_delete(b, HOUSE_KEY, 0);
}

static void
ss_lock(struct backend *b)
{
	keychain_disconnect(keychain(b));
}

const struct backend_ops backend_secret_service = {
    .id = CONFIG_SECRET_SERVICE,
    .open = ss_open,
    .probe = ss_probe,
    .unlock = ss_unlock,
    .adopt = ss_adopt,
    .settle = ss_settle,
    .disown = ss_disown,
    .lock = ss_lock,
    .put = ss_put,
    .get = ss_get,
    .delete = ss_delete,
    .close = ss_close,
};
