/* SPDX-License-Identifier: ISC */
/* What for: credentials, their versions and their rows. Trusts: the store
 * for metadata, the backend for values. At a bound: refuses with a
 * sentence; after a crash the order of house.h makes things whole. */
#include "vault/house_in.h"
#include "vault/kind.h"

#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define WHY 256

/* --- rows ------------------------------------------------------------ */

static int
row_decode(struct span row, struct metadata *m, uint32_t *oldest)
{
	char why[WHY];

	if (row.n <= 4)
		return ERR_CRYPTO;
	*oldest = (uint32_t)row.p[0] << 24 | (uint32_t)row.p[1] << 16 |
		  (uint32_t)row.p[2] << 8 | row.p[3];
	return metadata_parse(span_from(row, 4), m, why, sizeof(why)) == 0
		   ? 0
		   : ERR_CRYPTO;
}

int
house_row_get(
    struct house *h, const char *name, struct metadata *m, uint32_t *oldest)
{
	struct keep *row = NULL;
	int r;

	r = store_get(h->store, STORE_CREDENTIAL, name, 0, &row);
	if (r == ERR_TOO_BIG)
		return ERR_NOT_FOUND;
	if (r == 0)
		r = row_decode(keep_reveal(row), m, oldest);
	keep_free(row);
	return r;
}

static int
row_put(struct house *h, const struct metadata *m, uint32_t oldest)
{
	struct buf *row = buf_new(METADATA_JSON_MAX);
	json_t *json = metadata_to_json(m);
	char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
	int r = row == NULL || text == NULL ? ERR_NOMEM : 0;

	if (r == 0 && (r = buf_put_u32(row, oldest)) == 0 &&
	    (r = buf_put_str(row, text)) == 0)
		r = store_put(
		    h->store, STORE_CREDENTIAL, m->name, 0, buf_span(row));
	free(text);
	json_decref(json);
	buf_free(row);
	return r;
}

static int
no_such(struct house *h, const char *name, struct house_words *w)
{
	return house_fail(h, w, ERR_NOT_FOUND, "hatcheck credential list",
	    "There is no credential \"%.64s\".", name);
}

/* The row, with words for every failure. */
static int
find(struct house *h, const char *name, struct metadata *m, uint32_t *oldest,
    struct house_words *w)
{
	int r;

	if ((r = house_need_open(h, w)) != 0)
		return r;
	metadata_init(m);
	r = house_row_get(h, name, m, oldest);
	if (r == ERR_NOT_FOUND)
		return no_such(h, name, w);
	return house_store_result(h, r, w);
}

/* --- values ---------------------------------------------------------- */

static int
intent_put(struct house *h, const char *name, uint32_t version)
{
	return store_put(
	    h->store, STORE_INTENT, name, version, span_str("pending"));
}

static int
value_put_and_check(struct house *h, const char *name, uint32_t version,
    const struct keep *value, struct house_words *w)
{
	struct backend *b = h->backend;
	struct keep *back = NULL;
	int r;

	b->why[0] = '\0';
	if ((r = b->ops->put(b, name, version, keep_reveal(value))) == 0 &&
	    (r = b->ops->get(b, name, version, &back)) == 0 &&
	    !keep_eq(value, keep_reveal(back))) {
		backend_say(b, "The keychain changed the value.");
		r = ERR_IO;
	}
	keep_free(back);
	return house_note(h, r, w);
}

static int
value_get(struct house *h, const char *name, uint32_t version,
    struct keep **out, struct house_words *w)
{
	struct backend *b = h->backend;
	int r;

	b->why[0] = '\0';
	r = b->ops->get(b, name, version, out);
	if (r == ERR_NOT_FOUND)
		return house_fail(h, w, ERR_NOT_FOUND,
		    "hatcheck credential rotate",
		    "The value of \"%s\" is gone from the keychain.", name);
	return house_note(h, r, w);
}

struct intents {
	struct house *h;
	struct {
		char name[STORE_NAME_MAX + 1];
		uint32_t version;
	} one[64];
	size_t n;
};

static int
note_intent(void *ctx, const char *name, uint64_t version)
{
	struct intents *i = ctx;

	if (i->n == sizeof(i->one) / sizeof(i->one[0]))
		return 1; /* the rest at the next turn */
	snprintf(i->one[i->n].name, sizeof(i->one[0].name), "%s", name);
	i->one[i->n++].version = (uint32_t)version;
	return 0;
}

/* An intent's value is an orphan unless a row holds its version. */
static int
sweep_one(struct house *h, const char *name, uint32_t version)
{
	struct metadata m;
	uint32_t oldest = 0;
	int r;

	metadata_init(&m);
	r = house_row_get(h, name, &m, &oldest);
	if (r == ERR_NOT_FOUND ||
	    (r == 0 && (version < oldest || version > m.version)))
		r = h->backend->ops->delete (h->backend, name, version);
	metadata_free(&m);
	if (r != 0)
		return r;
	return store_delete(h->store, STORE_INTENT, name, version);
}

int
house_sweep_intents(struct house *h)
{
	struct intents *all = calloc(1, sizeof(*all));
	int r;

	if (all == NULL)
		return ERR_NOMEM;
	r = store_each(h->store, STORE_INTENT, note_intent, all);
	r = r > 0 ? 0 : r;
	for (size_t i = 0; i < all->n && r == 0; i++)
		r = sweep_one(h, all->one[i].name, all->one[i].version);
	free(all);
	return r;
}

/* After what was asked is done and acknowledged: what cannot be swept now
 * is swept at the next opening. */
static void
sweep_later_if_need_be(struct house *h)
{
	int r = house_sweep_intents(h);

	if (r != 0)
		log_event(LOG_WARN, "vault_sweep_deferred", LOG_ERR(r));
}

/* --- changes --------------------------------------------------------- */

/* The transaction that makes a value count. */
static int
commit_row(struct house *h, const struct metadata *m, uint32_t oldest,
    uint32_t pruned, struct house_words *w)
{
	int r;

	if ((r = store_begin(h->store)) == 0 &&
	    ((r = row_put(h, m, oldest)) != 0 ||
		(r = store_delete(
		     h->store, STORE_INTENT, m->name, m->version)) != 0 ||
		(pruned != 0 && (r = intent_put(h, m->name, pruned)) != 0) ||
		(r = store_commit(h->store)) != 0))
		store_rollback(h->store);
	return house_store_result(h, r, w);
}

static int
store_version(struct house *h, const struct metadata *m, uint32_t oldest,
    uint32_t pruned, const struct keep *value, struct house_words *w)
{
	int r;

	r = intent_put(h, m->name, m->version);
	if ((r = house_store_result(h, r, w)) != 0)
		return r;
	if ((r = value_put_and_check(h, m->name, m->version, value, w)) == 0)
		r = commit_row(h, m, oldest, pruned, w);
	if (r != 0 || pruned != 0)
		sweep_later_if_need_be(h);
	return r;
}

static int
check_all(struct house *h, struct metadata *m, const struct keep *value,
    struct house_words *w)
{
	char why[WHY] = "";

	if (kind_fill_slots(m, why, sizeof(why)) == 0 &&
	    metadata_check(m, why, sizeof(why)) == 0 &&
	    kind_check_value(m, keep_reveal(value), why, sizeof(why)) == 0)
		return 0;
	return house_fail(h, w, ERR_ARGUMENT,
	    "See hatcheck credential add --help.", "%s", why);
}

static int
check_free(struct house *h, const char *name, struct house_words *w)
{
	struct keep *row = NULL;
	size_t n = 0;
	int r;

	r = store_get(h->store, STORE_CREDENTIAL, name, 0, &row);
	keep_free(row);
	if (r == 0)
		return house_fail(h, w, ERR_EXISTS,
		    "hatcheck credential rotate, or choose another name.",
		    "There is a credential \"%s\" already.", name);
	if (r != ERR_NOT_FOUND)
		return house_store_result(h, r, w);
	if ((r = house_count(h, &n)) != 0)
		return house_store_result(h, r, w);
	if (n >= HOUSE_CREDENTIALS_MAX)
		return house_fail(h, w, ERR_TOO_BIG,
		    "hatcheck credential remove",
		    "The vault holds %d credentials, which is the limit.",
		    HOUSE_CREDENTIALS_MAX);
	return 0;
}

int
house_add(struct house *h, const json_t *json, const struct keep *value,
    struct metadata *out, struct house_words *w)
{
	struct metadata m;
	char why[WHY] = "";
	int r;

	if (value == NULL)
		return house_fail(h, w, ERR_ARGUMENT,
		    "Give it by terminal, pipe or file.",
		    "The credential has no value.");
	metadata_init(&m);
	if (metadata_from_json(json, &m, why, sizeof(why)) != 0) {
		r = house_fail(h, w, ERR_ARGUMENT,
		    "See hatcheck credential add --help.", "%s", why);
		goto out;
	}
	m.version = 1;
	m.created = m.rotated = (int64_t)time(NULL);
	if ((r = check_all(h, &m, value, w)) != 0 ||
	    (r = house_need_open(h, w)) != 0 ||
	    (r = check_free(h, m.name, w)) != 0 ||
	    (r = store_version(h, &m, 1, 0, value, w)) != 0)
		goto out;
	*out = m;
	return 0;
out:
	metadata_free(&m);
	return r;
}

int
house_show(struct house *h, const char *name, struct metadata *out,
    struct house_words *w)
{
	uint32_t oldest = 0;
	struct metadata m;
	int r = find(h, name, &m, &oldest, w);

	if (r == 0)
		*out = m;
	return r;
}

void
house_note_rejected(
    struct house *h, const char *name, uint32_t version, const char *host)
{
	struct metadata m;
	uint32_t oldest = 0;

	if (find(h, name, &m, &oldest, NULL) != 0)
		return;
	if (m.version == version)
		rejected_note(
		    &h->rejected, m.name, version, host, (int64_t)time(NULL));
	metadata_free(&m);
}

void
house_tell_rejected(const struct house *h, json_t *metadata)
{
	rejected_show(h->rejected, metadata);
}

struct names {
	char (*name)[STORE_NAME_MAX + 1];
	size_t n, room;
};

static int
note_name(void *ctx, const char *name, uint64_t version)
{
	struct names *all = ctx;

	(void)version;
	if (all->name != NULL && all->n < all->room)
		snprintf(all->name[all->n], sizeof(all->name[0]), "%s", name);
	all->n++;
	return 0;
}

int
house_count(struct house *h, size_t *out)
{
	struct names all = {0};
	int r = house_need_open(h, NULL);

	if (r == 0)
		r = store_each(h->store, STORE_CREDENTIAL, note_name, &all);
	if (r == 0)
		*out = all.n;
	return r;
}

static int
append(struct house *h, json_t *list, const char *name, struct house_words *w)
{
	struct metadata m;
	uint32_t oldest = 0;
	int r;

	if ((r = find(h, name, &m, &oldest, w)) != 0)
		return r;
	json_t *json = metadata_to_json(&m);
	metadata_free(&m);
	house_tell_rejected(h, json);
	return json_array_append_new(list, json) == 0 ? 0 : ERR_NOMEM;
}

/* All names at once: what is done with each may use the store. */
static int
all_names(struct house *h, struct names *all, struct house_words *w)
{
	int r;

	if ((r = house_need_open(h, w)) != 0)
		return r;
	all->n = 0;
	all->room = HOUSE_CREDENTIALS_MAX;
	all->name = calloc(all->room, sizeof(all->name[0]));
	if (all->name == NULL)
		return ERR_NOMEM;
	r = store_each(h->store, STORE_CREDENTIAL, note_name, all);
	if (r == 0 && all->n > all->room)
		r = ERR_TOO_BIG;
	return house_store_result(h, r, w);
}

int
house_each(struct house *h, house_each_fn *fn, void *ctx, struct house_words *w)
{
	struct names all = {0};
	int r = all_names(h, &all, w);

	for (size_t i = 0; r == 0 && i < all.n; i++) {
		struct metadata m;
		struct keep *value = NULL;
		house_begin(h, backend_now_ms());
		r = house_lease(h, all.name[i], &m, &value, w);
		if (r != 0)
			break;
		r = fn(ctx, &m, value);
		keep_free(value);
		metadata_free(&m);
	}
	free(all.name);
	return r;
}

int
house_list(struct house *h, json_t **out, struct house_words *w)
{
	struct names all = {0};
	json_t *list = json_array();
	int r = all_names(h, &all, w);

	if (r == 0 && list == NULL)
		r = ERR_NOMEM;
	for (size_t i = 0; r == 0 && i < all.n; i++)
		r = append(h, list, all.name[i], w);
	if (r == 0) {
		*out = list;
		list = NULL;
	}
	json_decref(list);
	free(all.name);
	return r;
}

int
house_bind(struct house *h, const char *name, const json_t *bindings,
    struct metadata *out, struct house_words *w)
{
	struct keep *value = NULL;
	struct metadata m;
	char why[WHY] = "";
	uint32_t oldest = 0;
	int r;

	if ((r = find(h, name, &m, &oldest, w)) != 0)
		return r;
	/* The value must fit the new slots too. */
	if ((r = value_get(h, name, m.version, &value, w)) != 0)
		goto out;
	if (metadata_bindings_from_json(bindings, &m, why, sizeof(why)) != 0) {
		r = house_fail(h, w, ERR_ARGUMENT,
		    "See hatcheck credential bind --help.", "%s", why);
		goto out;
	}
	if ((r = check_all(h, &m, value, w)) != 0)
		goto out;
	r = row_put(h, &m, oldest);
	if ((r = house_store_result(h, r, w)) != 0)
		goto out;
	keep_free(value);
	*out = m;
	return 0;
out:
	keep_free(value);
	metadata_free(&m);
	return r;
}

int
house_rotate(struct house *h, const char *name, const struct keep *value,
    struct metadata *out, struct house_words *w)
{
	struct metadata m;
	uint32_t oldest = 0, pruned = 0;
	int r;

	if (value == NULL)
		return house_fail(h, w, ERR_ARGUMENT,
		    "Give it by terminal, pipe or file.",
		    "The credential has no new value.");
	if ((r = find(h, name, &m, &oldest, w)) != 0)
		return r;
	m.version++;
	m.rotated = (int64_t)time(NULL);
	if (m.version - oldest >= HOUSE_VERSIONS)
		pruned = oldest++;
	if ((r = check_all(h, &m, value, w)) != 0 ||
	    (r = store_version(h, &m, oldest, pruned, value, w)) != 0) {
		metadata_free(&m);
		return r;
	}
	*out = m;
	return 0;
}

int
house_remove(struct house *h, const char *name, struct house_words *w)
{
	struct metadata m;
	uint32_t oldest = 0;
	int r;

	if ((r = find(h, name, &m, &oldest, w)) != 0)
		return r;
	if ((r = store_begin(h->store)) == 0) {
		r = store_delete(h->store, STORE_CREDENTIAL, name, 0);
		for (uint32_t v = oldest; r == 0 && v <= m.version; v++)
			r = intent_put(h, name, v);
		if (r == 0)
			r = store_commit(h->store);
		if (r != 0)
			store_rollback(h->store);
	}
	metadata_free(&m);
	if ((r = house_store_result(h, r, w)) != 0)
		return r;
	sweep_later_if_need_be(h);
	return 0;
}

int
house_lease(struct house *h, const char *name, struct metadata *out,
    struct keep **value, struct house_words *w)
{
	struct metadata m;
	uint32_t oldest = 0;
	int r;

	if ((r = find(h, name, &m, &oldest, w)) != 0)
		return r;
	if ((r = value_get(h, name, m.version, value, w)) != 0) {
		metadata_free(&m);
		return r;
	}
	*out = m;
	return 0;
}

/* --- restore --------------------------------------------------------- */

static bool
same_metadata(const struct metadata *a, const struct metadata *b)
{
	json_t *x = metadata_to_json(a), *y = metadata_to_json(b);
	bool same = x != NULL && y != NULL && json_equal(x, y) != 0;

	json_decref(x);
	json_decref(y);
	return same;
}

/* 0: it is here already, the same. ERR_NOT_FOUND: the name is free. */
static int
compare(struct house *h, const struct metadata *m, const struct keep *value,
    struct house_words *w)
{
	struct keep *here = NULL;
	struct metadata old;
	uint32_t oldest = 0;
	bool same;
	int r;

	if ((r = find(h, m->name, &old, &oldest, w)) != 0)
		return r;
	same = same_metadata(&old, m);
	/* A value that the keychain lost is put back: ERR_NOT_FOUND. */
	r = value_get(h, m->name, old.version, &here, w);
	if ((r == 0 && !(same && keep_eq(value, keep_reveal(here)))) ||
	    (r == ERR_NOT_FOUND && !same))
		r = house_fail(h, w, ERR_EXISTS,
		    "Remove or rename it, then restore again.",
		    "Another credential \"%s\" is here already.", m->name);
	keep_free(here);
	metadata_free(&old);
	return r;
}

int
house_restore_check(struct house *h, const struct metadata *m,
    const struct keep *value, struct house_words *w)
{
	int r = compare(h, m, value, w);

	return r == ERR_NOT_FOUND ? 0 : r;
}

int
house_restore(struct house *h, const struct metadata *m,
    const struct keep *value, struct house_words *w)
{
	int r = compare(h, m, value, w);

	if (r != ERR_NOT_FOUND)
		return r;
	return store_version(h, m, m->version, 0, value, w);
}
