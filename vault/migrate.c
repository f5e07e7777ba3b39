/* SPDX-License-Identifier: ISC */
/* What for: moving between backends and key sources. Trusts: what it reads
 * back. At a bound: a crash before the switch of vault.json leaves the old
 * store whole, one after it the new; what is left over of the other is
 * settled at the next opening. */
#include "vault/house_in.h"

#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>

struct move {
	struct house *h;
	struct backend *to;
	size_t n;
};

static int
copy_version(struct move *m, const char *name, uint32_t version)
{
	struct backend *from = m->h->backend, *to = m->to;
	struct keep *value = NULL, *back = NULL;
	int r;

	backend_budget(from, backend_now_ms());
	backend_budget(to, backend_now_ms());
	if ((r = from->ops->get(from, name, version, &value)) == 0 &&
	    (r = to->ops->put(to, name, version, keep_reveal(value))) == 0 &&
	    (r = to->ops->get(to, name, version, &back)) == 0 &&
	    !keep_eq(value, keep_reveal(back))) {
		backend_say(to, "A value came back changed.");
		r = ERR_IO;
	}
	keep_free(value);
	keep_free(back);
	return r;
}

/* Older versions that are gone are gone; the newest must be there. */
static int
copy_credential(void *ctx, const struct metadata *m, const struct keep *value)
{
	struct move *move = ctx;
	struct metadata row;
	uint32_t oldest = 0;
	int r;

	(void)value;
	metadata_init(&row);
	if ((r = house_row_get(move->h, m->name, &row, &oldest)) != 0)
		return r;
	metadata_free(&row);
	for (uint32_t v = oldest; v <= m->version && r == 0; v++) {
		r = copy_version(move, m->name, v);
		if (r == ERR_NOT_FOUND && v != m->version)
			r = 0;
	}
	move->n++;
	return r;
}

static int
delete_credential(void *ctx, const struct metadata *m, const struct keep *value)
{
	struct move *move = ctx;
	struct metadata row;
	uint32_t oldest = 0;
	int r;

	(void)value;
	metadata_init(&row);
	if ((r = house_row_get(move->h, m->name, &row, &oldest)) != 0)
		return r;
	metadata_free(&row);
	for (uint32_t v = oldest; v <= m->version && r == 0; v++) {
		backend_budget(move->to, backend_now_ms());
		r = move->to->ops->delete (move->to, m->name, v);
	}
	return r;
}

static int
adopt(struct house *h, struct backend *to, const struct keep *secret)
{
	int r;

	if ((r = store_begin(h->store)) != 0)
		return r;
	if ((r = to->ops->adopt(to, secret, store_key(h->store))) == 0)
		r = store_commit(h->store);
	if (r != 0)
		store_rollback(h->store);
	return r;
}

static bool
same_backend(const struct config_choice *a, const struct config_choice *b)
{
	return a->backend == b->backend;
}

/* After the switch: nothing here can undo it, so failures are told only. */
static void
remove_old(struct house *h, struct backend *old)
{
	struct move m = {.h = h, .to = old};
	int r = 0;

	backend_budget(old, backend_now_ms());
	if (!same_backend(&old->choice, &h->config.now))
		r = house_each(h, delete_credential, &m, NULL);
	backend_budget(old, backend_now_ms());
	if (r == 0)
		r = old->ops->disown(old);
	if (r != 0)
		log_event(LOG_WARN, "vault_old_store_remains",
		    LOG_STR(
			"backend", config_backend_name(old->choice.backend)),
		    LOG_STR("why", old->why), LOG_ERR(r));
	backend_close(old);
}

static int
switch_over(struct house *h, struct backend *to)
{
	struct config next = {.now = to->choice};
	struct backend *old = h->backend;
	int r = config_change(h->config_dir, &h->config, &next);

	if (r != 0 && r != ERR_SEQUENCE)
		return r;
	h->config = next;
	h->backend = to;
	h->notice[0] = '\0';
	if (r == 0) {
		remove_old(h, old);
		return 0;
	}
	/* A power cut may bring the old choice back: it must open then. */
	log_event(LOG_WARN, "vault_old_store_remains",
	    LOG_STR("backend", config_backend_name(old->choice.backend)),
	    LOG_STR("why", "vault.json was written, but not synced"));
	backend_close(old);
	return 0;
}

/* What was copied goes; what cannot go now is settled or told. */
static void
undo(struct house *h, struct move *m)
{
	int r = 0;

	if (!same_backend(&h->config.now, &m->to->choice) &&
	    m->to->ops->probe(m->to) == 0)
		r = house_each(h, delete_credential, m, NULL);
	if (r == 0)
		r = m->to->ops->disown(m->to);
	if (r == 0)
		r = h->backend->ops->settle(h->backend);
	if (r != 0)
		log_event(LOG_WARN, "vault_copies_remain",
		    LOG_STR("why", m->to->why), LOG_ERR(r));
	backend_close(m->to);
}

int
house_migrate(struct house *h, const struct config_choice *to,
    const struct keep *secret, size_t *n, struct house_words *w)
{
	struct move m = {.h = h};
	char why[256] = "";
	int r;

	if ((r = house_need_open(h, w)) != 0)
		return r;
	if (config_same(&h->config.now, to) && to->key != CONFIG_KEY_PASSPHRASE)
		return house_fail(h, w, ERR_EXISTS, "hatcheck vault status",
		    "The vault is there already.");
	if ((r = backend_open(to, h->store, &m.to, why, sizeof(why))) != 0)
		return house_fail(h, w, r, "hatcheck doctor", "%s", why);
	if (to->backend == CONFIG_SECRET_SERVICE)
		r = m.to->ops->probe(m.to);
	if (r == 0)
		r = adopt(h, m.to, secret);
	if (r == 0 && !same_backend(&h->config.now, to))
		r = house_each(h, copy_credential, &m, w);
	else if (r == 0)
		r = house_count(h, &m.n);
	if (r == 0 && (r = switch_over(h, m.to)) == 0) {
		*n = m.n;
		return 0;
	}
	house_fail(h, w, r, "hatcheck doctor", "Nothing was moved: %s",
	    m.to->why[0] != '\0'	 ? m.to->why
	    : h->backend->why[0] != '\0' ? h->backend->why
					 : err_text(r));
	undo(h, &m);
	return r;
}

int
house_migrate_later(struct house *h, const struct config_choice *to, size_t *n,
    struct house_words *w)
{
	struct config c = h->config;
	int r;

	if ((r = house_need_open(h, w)) != 0 || (r = house_count(h, n)) != 0)
		return r;
	if (config_same(&h->config.now, to))
		return house_fail(h, w, ERR_EXISTS, "hatcheck vault status",
		    "The vault is there already.");
	c.has_next = true;
	c.next = *to;
	r = config_change(h->config_dir, &h->config, &c);
	if (r != 0 && r != ERR_SEQUENCE)
		return house_fail(h, w, r, "hatcheck doctor",
		    "vault.json cannot be written: %s.", err_text(r));
	h->config = c;
	return 0;
}

void
house_resume_migration(struct house *h, const struct keep *secret)
{
	struct config_choice to = h->config.next;
	struct config c = {.now = h->config.now};
	struct house_words w = {{0}, {0}};
	size_t n = 0;
	int r;

	h->config.has_next = false;
	r = house_migrate(h, &to, secret, &n, &w);
	if (r == 0) {
		log_event(LOG_INFO, "vault_migrated",
		    LOG_STR("to", config_backend_name(to.backend)),
		    LOG_INT("credentials", (int64_t)n));
		return;
	}
	log_event(LOG_ERROR, "vault_migration_failed",
	    LOG_STR("to", config_backend_name(to.backend)),
	    LOG_STR("why", w.what), LOG_ERR(r));
	snprintf(h->notice, sizeof(h->notice),
	    "The migration to %s failed. %.200s",
	    config_backend_name(to.backend), w.what);
	if (config_save(h->config_dir, &c) != 0)
		log_event(LOG_ERROR, "vault_config_not_written");
}
