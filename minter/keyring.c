/* SPDX-License-Identifier: ISC */
/* What for: gets or makes the signing keys. Trusts: the vault. At a bound:
 * stays without keys and says why. */
#include "minter/keyring.h"

#include "keys/jwt.h"
#include "lib/log.h"
#include "messages/keeper.h"
#include "minter/links.h"
#include "minter/pair.h"

#include <stdlib.h>

#define KEY_TOKEN "token-signing"
#define KEY_AUDIT "audit-signing"

struct asking {
	struct minter *m;
	const char *name;
	struct signing **slot;
	struct signing *made; /* put, not confirmed yet */
};

static void ask(struct minter *m, const char *name, struct signing **slot);

static void
give_up(struct asking *a, const char *what, int err)
{
	log_event(LOG_WARN, "key_unavailable", LOG_STR("key", a->name),
	    LOG_STR("step", what), LOG_ERR(err));
	a->m->keys_asked = false; /* asked again by the tick */
	signing_free(a->made);
	free(a);
}

static void
take(struct asking *a, struct signing *keys)
{
	struct minter *m = a->m;

	*a->slot = keys;
	log_event(LOG_INFO, "key_ready", LOG_STR("key", a->name),
	    LOG_STR("kid", signing_kid(keys)));
	free(a);
	if (m->audit_keys == NULL)
		ask(m, KEY_AUDIT, &m->audit_keys);
	else
		links_keys_ready(m);
}

static void
on_put(void *ctx, int err, const void *answer)
{
	struct asking *a = ctx;
	struct signing *made = a->made;

	(void)answer;
	if (err != 0) {
		give_up(a, "store", err);
		return;
	}
	a->made = NULL;
	take(a, made);
}

static void
make(struct asking *a)
{
	struct minter *m = a->m;
	struct keep *saved = NULL;
	int64_t now = 0;
	int r;

	if ((r = clock_now(&m->clock, &now)) != 0 ||
	    (r = signing_new(now, &a->made)) != 0 ||
	    (r = signing_save(a->made, &saved)) != 0) {
		give_up(a, "make", r);
		return;
	}
	struct keeper_put put = {
	    .rid = rpc_add(m->rpcs, LINK_VAULT, clock_boot_ms() + MINTER_RPC_MS,
		on_put, a),
	    .name = span_str(a->name),
	    .bytes = keep_reveal(saved)};
	r = put.rid == 0       ? ERR_NOMEM
	    : m->vault == NULL ? ERR_UNAVAILABLE
			       : link_send(m->vault, &msg_keeper_put, &put, -1);
	keep_free(saved);
	/* Not sent: the deadline tells on_put. */
	if (put.rid == 0)
		give_up(a, "make", r);
}

static void
on_got(void *ctx, int err, const void *answer)
{
	struct asking *a = ctx;
	const struct keeper_got *g = answer;
	struct signing *keys = NULL;

	if (err == ERR_NOT_FOUND) {
		make(a);
		return;
	}
	if (err == 0)
		err = signing_load(g->bytes, &keys);
	if (err != 0)
		give_up(a, "load", err);
	else
		take(a, keys);
}

static void
ask(struct minter *m, const char *name, struct signing **slot)
{
	struct asking *a = calloc(1, sizeof(*a));

	if (a == NULL || m->vault == NULL) {
		free(a);
		m->keys_asked = false;
		return;
	}
	*a = (struct asking){.m = m, .name = name, .slot = slot};
	struct keeper_get get = {
	    .rid = rpc_add(m->rpcs, LINK_VAULT, clock_boot_ms() + MINTER_RPC_MS,
		on_got, a),
	    .name = span_str(name)};
	if (get.rid == 0) {
		give_up(a, "ask", ERR_NOMEM);
		return;
	}
	/* Not sent: the deadline tells on_got. */
	if (link_send(m->vault, &msg_keeper_get, &get, -1) != 0)
		log_event(LOG_WARN, "vault_unreachable", LOG_STR("key", name));
}

void
keyring_vault_changed(struct minter *m)
{
	bool have = m->token_keys != NULL && m->audit_keys != NULL;

	if (m->vault_state != VAULT_OPEN || m->keys_asked || have)
		return;
	m->keys_asked = true;
	if (m->token_keys == NULL)
		ask(m, KEY_TOKEN, &m->token_keys);
	else
		ask(m, KEY_AUDIT, &m->audit_keys);
}

/* ---- rotation ---- */

struct rotating {
	struct minter *m;
	struct signing *fresh; /* stored, it takes the place of the old one */
	keyring_done *done;
	void *ctx;
};

static void
tell_gates(struct minter *m)
{
	struct jwks set = {0};

	if (keyring_public(m, &set) != 0)
		return;
	m->n_public_keys = set.n;
	for (struct session *s = m->sessions; s != NULL; s = s->next)
		pair_publish(m, s);
}

static void
rotated(struct rotating *t, int err)
{
	struct minter *m = t->m;

	m->rotating = false;
	if (err != 0)
		log_event(LOG_WARN, "key_not_rotated", LOG_ERR(err));
	if (t->done != NULL)
		t->done(t->ctx, err);
	signing_free(t->fresh);
	free(t);
}

static void
on_rotated(void *ctx, int err, const void *answer)
{
	struct rotating *t = ctx;
	struct minter *m = t->m;

	(void)answer;
	if (err == 0)
		err = minter_act(m, "key_rotated",
		    json_pack("{s:s, s:s, s:I}", "kid", signing_kid(t->fresh),
			"before", signing_kid(m->token_keys), "overlap",
			(json_int_t)KEYRING_OVERLAP_S));
	if (err == 0) {
		signing_free(m->token_keys);
		m->token_keys = t->fresh;
		t->fresh = NULL;
		tell_gates(m);
	}
	rotated(t, err);
}

/* A copy with a fresh current key, and it as the vault keeps it. */
static int
make_fresh(const struct minter *m, int64_t now, struct signing **fresh,
    struct keep **saved)
{
	struct keep *old = NULL;
	int r;

	if ((r = signing_save(m->token_keys, &old)) == 0)
		r = signing_load(keep_reveal(old), fresh);
	keep_free(old);
	if (r == 0)
		r = signing_rotate(*fresh, now, KEYRING_OVERLAP_S);
	return r != 0 ? r : signing_save(*fresh, saved);
}

static int
put_fresh(struct rotating *t)
{
	struct minter *m = t->m;
	struct keep *saved = NULL;
	int64_t now = 0;
	int r;

	if (m->token_keys == NULL || m->vault == NULL)
		return ERR_UNAVAILABLE;
	if ((r = clock_now(&m->clock, &now)) != 0 ||
	    (r = make_fresh(m, now, &t->fresh, &saved)) != 0)
		return r;
	struct keeper_put put = {
	    .rid = rpc_add(m->rpcs, LINK_VAULT, clock_boot_ms() + MINTER_RPC_MS,
		on_rotated, t),
	    .name = span_str(KEY_TOKEN),
	    .bytes = keep_reveal(saved)};
	/* Not sent: the deadline tells on_rotated. */
	if (put.rid != 0 && link_send(m->vault, &msg_keeper_put, &put, -1) != 0)
		log_event(LOG_WARN, "vault_unreachable",
		    LOG_STR("key", KEY_TOKEN));
	keep_free(saved);
	return put.rid == 0 ? ERR_NOMEM : 0;
}

void
keyring_rotate(struct minter *m, keyring_done *done, void *ctx)
{
	struct rotating *t = m->rotating ? NULL : calloc(1, sizeof(*t));
	int r;

	if (t == NULL) {
		if (done != NULL)
			done(ctx, m->rotating ? ERR_SEQUENCE : ERR_NOMEM);
		return;
	}
	*t = (struct rotating){.m = m, .done = done, .ctx = ctx};
	m->rotating = true;
	if ((r = put_fresh(t)) != 0)
		rotated(t, r);
}

void
keyring_tick(struct minter *m)
{
	struct jwks set = {0};
	int64_t now;

	if (!minter_ready(m) || keyring_public(m, &set) != 0 ||
	    clock_now(&m->clock, &now) != 0)
		return;
	if (m->n_public_keys > set.n)
		tell_gates(m); /* an overlap is over */
	m->n_public_keys = set.n;
	if (now - signing_made(m->token_keys) > KEYRING_AGE_S && !m->rotating)
		keyring_rotate(m, NULL, NULL);
}

int
keyring_public(struct minter *m, struct jwks *out)
{
	int64_t now;
	int r;

	if (m->token_keys == NULL)
		return ERR_NOT_FOUND;
	if ((r = clock_now(&m->clock, &now)) != 0)
		return r;
	signing_public(m->token_keys, now, out);
	return 0;
}

char *
keyring_jwks(struct minter *m)
{
	struct buf *b = buf_new(JWKS_JSON_MAX);
	struct jwks set = {0};
	char *text = NULL;

	if (b != NULL && keyring_public(m, &set) == 0 &&
	    jwks_encode(&set, b) == 0)
		text = span_dup(buf_span(b));
	buf_free(b);
	return text;
}

void
keyring_why(const struct minter *m, const char **why, const char **next)
{
	switch (m->vault_state) {
	case VAULT_LOCKED:
		*why = "The vault is locked.";
		*next = "hatcheck unlock";
		break;
	case VAULT_UNINITIALISED:
		*why = "The vault has not been set up.";
		*next = "hatcheck init";
		break;
	case VAULT_UNAVAILABLE:
		*why = "The vault's keychain does not answer.";
		*next = "hatcheck doctor";
		break;
	case VAULT_OPEN:
		*why = "The vault has not handed over the signing keys yet.";
		*next = "Try again; hatcheck status";
		break;
	default:
		*why = "The vault is not running.";
		*next = "hatcheck status";
		break;
	}
}
