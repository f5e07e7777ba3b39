/* SPDX-License-Identifier: ISC */
/* What for: credentials in vault.db, the house key wrapped beside them.
 * Trusts: the key source; of the file, nothing. At a bound: refuses. */
#include "vault/backend.h"
#include "vault/keysource.h"

/* Two places for the wrapped house key: while the key source changes, the
 * old and the new one both open. */
#define SLOTS 2
static const char *const slots[SLOTS] = {"custody.0", "custody.1"};
#define CUSTODY_FORMAT 1
/* format, key source, ops, mem, salt; then the box */
#define CUSTODY_HEAD (2 + 8 + 8 + SEAL_SALT)
#define CUSTODY_MAX (CUSTODY_HEAD + SEAL_KEY + SEAL_EXTRA)

static int
sealed_open(struct backend *b)
{
	b->slot = -1;
	return 0;
}

static int
sealed_probe(struct backend *b)
{
	if (store_unlocked(b->store))
		return 0;
	backend_say(b, "The vault is locked.");
	return ERR_LOCKED;
}

static uint64_t
get_u64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static int
put_head(struct buf *out, const struct config_choice *c,
    const struct seal_cost *cost)
{
	int r;

	if ((r = buf_put_u8(out, CUSTODY_FORMAT)) != 0 ||
	    (r = buf_put_u8(out, (uint8_t)c->key)) != 0 ||
	    (r = buf_put_u64(out, cost->ops)) != 0 ||
	    (r = buf_put_u64(out, cost->mem)) != 0)
		return r;
	return buf_put(out, cost->salt, sizeof(cost->salt));
}

/* What the wrapped key is tied to: the head, and this house. */
static int
put_ad(struct buf *ad, struct span head, struct store *s)
{
	int r;

	if ((r = buf_put_str(ad, "custody")) != 0 ||
	    (r = buf_put_span(ad, head)) != 0)
		return r;
	return buf_put(ad, store_house(s), STORE_HOUSE);
}

static int
read_head(struct backend *b, struct span custody, struct seal_cost *cost)
{
	if (custody.n != CUSTODY_MAX || custody.p[0] != CUSTODY_FORMAT) {
		backend_say(b, "The vault's store is damaged.");
		return ERR_CRYPTO;
	}
	if (custody.p[1] != (uint8_t)b->choice.key) {
		backend_say(b, "The store was made with another kind of key "
			       "than vault.json names.");
		return ERR_NOT_FOUND;
	}
	cost->ops = get_u64(custody.p + 2);
	cost->mem = get_u64(custody.p + 10);
	memcpy(cost->salt, custody.p + 18, sizeof(cost->salt));
	return 0;
}

static int
unwrap(struct backend *b, struct span custody, const struct keep *secret,
    struct keep **key)
{
	struct span head = span_of(custody.p, CUSTODY_HEAD);
	struct buf *ad = NULL;
	struct keep *wrap = NULL;
	struct seal_cost cost;
	int r;

	if ((r = read_head(b, custody, &cost)) != 0 ||
	    (r = keysource_key(&b->choice, secret, &cost, &wrap, b->why,
		 sizeof(b->why))) != 0)
		return r;
	ad = buf_new(1024);
	r = ad == NULL ? ERR_NOMEM : put_ad(ad, head, b->store);
	if (r == 0)
		r = seal_open(
		    wrap, buf_span(ad), span_from(custody, CUSTODY_HEAD), key);
	if (r == ERR_CRYPTO)
		backend_say(b, "%s",
		    secret != NULL ? "The passphrase is wrong."
				   : "The key does not open this store.");
	keep_free(wrap);
	buf_free(ad);
	return r;
}

static int
unlock_slot(
    struct backend *b, int slot, const struct keep *secret, struct keep **key)
{
	struct buf *custody = buf_new(CUSTODY_MAX);
	int r;

	if (custody == NULL)
		return ERR_NOMEM;
	r = store_header_get(b->store, slots[slot], custody);
	if (r == ERR_CRYPTO)
		backend_say(b, "The vault's store is damaged.");
	if (r == 0)
		r = unwrap(b, buf_span(custody), secret, key);
	buf_free(custody);
	return r;
}

static int
sealed_unlock(struct backend *b, const struct keep *secret, struct keep **key)
{
	int worst = ERR_NOT_FOUND;

	backend_say(b, "The store belongs to another backend.");
	for (int i = 0; i < SLOTS; i++) {
		int r = unlock_slot(b, i, secret, key);
		if (r == 0) {
			b->slot = i;
			return 0;
		}
		if (r != ERR_NOT_FOUND)
			worst = r;
	}
	return worst;
}

static int
free_slot(struct backend *b, int *slot)
{
	struct buf *custody = buf_new(CUSTODY_MAX);
	int r = custody == NULL ? ERR_NOMEM : 0;

	for (int i = 0; i < SLOTS && r == 0; i++) {
		r = store_header_get(b->store, slots[i], custody);
		*slot = i;
		buf_reset(custody);
	}
	buf_free(custody);
	return r == ERR_NOT_FOUND ? 0 : r == 0 ? ERR_EXISTS : r;
}

static int
check_passphrase(struct backend *b, const struct keep *secret)
{
	if (b->choice.key != CONFIG_KEY_PASSPHRASE)
		return 0;
	if (secret != NULL && keep_len(secret) >= PASSPHRASE_MIN)
		return 0;
	backend_say(b, "A passphrase has at least %d bytes.", PASSPHRASE_MIN);
	return ERR_ARGUMENT;
}

static int
sealed_adopt(
    struct backend *b, const struct keep *secret, const struct keep *key)
{
	struct buf *custody = NULL, *ad = NULL;
	struct keep *wrap = NULL;
	struct seal_cost cost;
	int slot = -1, r;

	seal_cost_fresh(&cost);
	if ((r = check_passphrase(b, secret)) != 0 ||
	    (r = free_slot(b, &slot)) != 0 ||
	    (r = keysource_key(&b->choice, secret, &cost, &wrap, b->why,
		 sizeof(b->why))) != 0)
		return r;
	custody = buf_new(CUSTODY_MAX);
	ad = buf_new(1024);
	r = custody == NULL || ad == NULL ? ERR_NOMEM : 0;
	if (r == 0 && (r = put_head(custody, &b->choice, &cost)) == 0 &&
	    (r = put_ad(ad, buf_span(custody), b->store)) == 0 &&
	    (r = seal_box(wrap, buf_span(ad), keep_reveal(key), custody)) ==
		0 &&
	    (r = store_header_put(b->store, slots[slot], buf_span(custody))) ==
		0)
		b->slot = slot;
	keep_free(wrap);
	buf_free(custody);
	buf_free(ad);
	return r;
}

/* Deletes every slot but the one that opened. */
static int
sealed_settle(struct backend *b)
{
	int r = 0;

	for (int i = 0; i < SLOTS && r == 0; i++) {
		if (i != b->slot)
			r = store_header_delete(b->store, slots[i]);
	}
	return r;
}

static int
sealed_disown(struct backend *b)
{
	return b->slot < 0 ? 0 : store_header_delete(b->store, slots[b->slot]);
}

static void
sealed_lock(struct backend *b)
{
	(void)b; /* the house drops its key */
}

static int
sealed_put(
    struct backend *b, const char *name, uint32_t version, struct span value)
{
	return store_put(b->store, STORE_VALUE, name, version, value);
}

static int
sealed_get(
    struct backend *b, const char *name, uint32_t version, struct keep **out)
{
	return store_get(b->store, STORE_VALUE, name, version, out);
}

static int
sealed_delete(struct backend *b, const char *name, uint32_t version)
{
	return store_delete(b->store, STORE_VALUE, name, version);
}

static void
sealed_close(struct backend *b)
{
	(void)b;
}

const struct backend_ops backend_sealed_file = {
    .id = CONFIG_SEALED_FILE,
    .open = sealed_open,
    .probe = sealed_probe,
    .unlock = sealed_unlock,
    .adopt = sealed_adopt,
    .settle = sealed_settle,
    .disown = sealed_disown,
    .lock = sealed_lock,
    .put = sealed_put,
    .get = sealed_get,
    .delete = sealed_delete,
    .close = sealed_close,
};
