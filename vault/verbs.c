/* SPDX-License-Identifier: ISC */
/* What for: what a person may ask of the vault. Trusts: the caller, whom
 * the kernel named; not the shape of what it sends. At a bound: refuses
 * with a sentence and the next step. */
#include "vault/verbs.h"

#include "keys/json.h"
#include "vault/backup.h"
#include "vault/house_in.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define PART (36 * 1024) /* raw bytes of a backup in one message */

struct transfer {
	struct buf *backup;  /* going out */
	struct buf *restore; /* coming in */
	uint64_t next_part;
};

struct call {
	struct house *h;
	struct transfer *t;
	json_t *in;
	const struct keep *secret;
	struct answer *a;
};

int
transfer_new(struct transfer **out)
{
	struct transfer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return ERR_NOMEM;
	*out = t;
	return 0;
}

void
transfer_free(struct transfer *t)
{
	if (t == NULL)
		return;
	buf_free(t->backup);
	buf_free(t->restore);
	free(t);
}

void
answer_clear(struct answer *a)
{
	free(a->json);
	memset(a, 0, sizeof(*a));
}

static int
refuse(struct call *c, int err, const char *what, const char *next)
{
	return house_fail(c->h, &c->a->words, err, next, "%s", what);
}

/* Steals result. */
static int
reply(struct call *c, json_t *result)
{
	c->a->json = result == NULL ? NULL : json_dumps(result, JSON_COMPACT);
	json_decref(result);
	return c->a->json == NULL ? ERR_NOMEM : 0;
}

static int
reply_metadata(struct call *c, struct metadata *m, bool changed)
{
	int r = reply(c, metadata_to_json(m));

	if (changed) {
		snprintf(c->a->changed, sizeof(c->a->changed), "%s", m->name);
		c->a->version = m->version;
	}
	metadata_free(m);
	return r;
}

static const char *
state_name(enum vault_state s)
{
	switch (s) {
	case VAULT_OPEN:
		return "open";
	case VAULT_LOCKED:
		return "locked";
	case VAULT_UNAVAILABLE:
		return "unavailable";
	case VAULT_UNINITIALISED:
		break;
	}
	return "uninitialised";
}

static const char *
name_in(struct call *c)
{
	const char *name = json_text(c->in, "name");

	return name == NULL ? "" : name;
}

static int
v_status(struct call *c)
{
	const struct config *conf;
	json_t *out;
	size_t n = 0;

	house_probe(c->h);
	conf = house_config(c->h);
	out = json_pack("{s:s, s:s, s:s}", "backend",
	    conf == NULL ? "none" : config_backend_name(conf->now.backend),
	    "state", state_name(house_state(c->h)), "why", house_why(c->h));
	if (out != NULL && house_state(c->h) == VAULT_OPEN &&
	    house_count(c->h, &n) == 0)
		json_object_set_new(
		    out, "credentials", json_integer((json_int_t)n));
	return reply(c, out);
}

static int
v_unlock(struct call *c)
{
	int r = house_unlock(c->h, c->secret, &c->a->words);

	return r != 0 ? r : reply(c, json_pack("{s:s}", "state", "open"));
}

static int
v_lock(struct call *c)
{
	house_lock(c->h);
	c->a->all_changed = true;
	return reply(c, json_pack("{s:s}", "state", "locked"));
}

static int
v_add(struct call *c)
{
	struct metadata m;
	int r;

	if (json_object_get(c->in, "version") != NULL ||
	    json_object_get(c->in, "created") != NULL ||
	    json_object_get(c->in, "rotated") != NULL)
		return refuse(c, ERR_ARGUMENT,
		    "Version and times are the vault's to say.",
		    "Leave them out.");
	r = house_add(c->h, c->in, c->secret, &m, &c->a->words);
	return r != 0 ? r : reply_metadata(c, &m, true);
}

static int
v_list(struct call *c)
{
	json_t *list = NULL;
	int r = house_list(c->h, &list, &c->a->words);

	return r != 0 ? r : reply(c, list);
}

static int
v_show(struct call *c)
{
	struct metadata m;
	json_t *json;
	int r = house_show(c->h, name_in(c), &m, &c->a->words);

	if (r != 0)
		return r;
	json = metadata_to_json(&m);
	metadata_free(&m);
	house_tell_rejected(c->h, json);
	return reply(c, json);
}

/* A change may have been made all the same when the disk fails behind it:
 * couriers ask anew, whatever its owner was told. */
static int
failed(struct call *c, int r)
{
	if (r == ERR_IO) {
		snprintf(c->a->changed, sizeof(c->a->changed), "%s", name_in(c));
		c->a->version = 0;
	}
	return r;
}

static int
v_bind(struct call *c)
{
	const json_t *bindings = json_object_get(c->in, "bindings");
	struct metadata m;
	int r;

	r = house_bind(c->h, name_in(c), bindings, &m, &c->a->words);
	return r != 0 ? failed(c, r) : reply_metadata(c, &m, true);
}

static int
v_rotate(struct call *c)
{
	struct metadata m;
	int r;

	r = house_rotate(c->h, name_in(c), c->secret, &m, &c->a->words);
	return r != 0 ? failed(c, r) : reply_metadata(c, &m, true);
}

static int
v_remove(struct call *c)
{
	const char *name = name_in(c);
	int r = house_remove(c->h, name, &c->a->words);

	if (r != 0)
		return failed(c, r);
	snprintf(c->a->changed, sizeof(c->a->changed), "%s", name);
	c->a->version = 0;
	return reply(c, json_object());
}

/* --- backup and restore in parts ------------------------------------- */

static int
reply_part(struct call *c, uint64_t part)
{
	struct span all = buf_span(c->t->backup);
	struct span from = span_from(all, (size_t)part * PART);
	struct span piece = span_of(from.p, from.n < PART ? from.n : PART);
	bool more = from.n > PART;
	size_t size =
	    sodium_base64_ENCODED_LEN(PART, sodium_base64_VARIANT_ORIGINAL);
	char *text;
	int r;

	if (piece.n == 0)
		return refuse(c, ERR_ARGUMENT, "The backup has no such part.",
		    "Begin again with part 0.");
	if ((text = malloc(size)) == NULL)
		return ERR_NOMEM;
	sodium_bin2base64(
	    text, size, piece.p, piece.n, sodium_base64_VARIANT_ORIGINAL);
	r = reply(c, json_pack("{s:s, s:I, s:b}", "backup", text, "part",
			 (json_int_t)part, "more", (int)more));
	free(text);
	if (!more) {
		buf_free(c->t->backup);
		c->t->backup = NULL;
	}
	return r;
}

static int
v_backup(struct call *c)
{
	uint64_t part = 0;
	int r = json_u64(c->in, "part", BACKUP_MAX / PART, &part);

	if (r != 0 && r != ERR_NOT_FOUND)
		return refuse(c, ERR_ARGUMENT, "part is a number.", "");
	if (part == 0) {
		buf_free(c->t->backup);
		c->t->backup = buf_new(BACKUP_MAX);
		if (c->t->backup == NULL)
			return ERR_NOMEM;
		r = backup_make(c->h, c->secret, c->t->backup, &c->a->words);
		if (r != 0) {
			buf_free(c->t->backup);
			c->t->backup = NULL;
			return r;
		}
	}
	if (c->t->backup == NULL)
		return refuse(c, ERR_SEQUENCE, "No backup is under way.",
		    "Begin again with part 0.");
	return reply_part(c, part);
}

static int
take_part(struct call *c, const char *text)
{
	size_t n = strlen(text), got = 0;
	uint8_t *p;
	int r;

	if ((r = buf_reserve(c->t->restore, n + 1, &p)) != 0)
		return r;
	if (sodium_base642bin(p, n + 1, text, n, NULL, &got, NULL,
		sodium_base64_VARIANT_ORIGINAL) != 0)
		return refuse(c, ERR_ARGUMENT, "The part is no base64.", "");
	buf_claim(c->t->restore, got);
	return 0;
}

static void
end_restore(struct transfer *t)
{
	buf_free(t->restore);
	t->restore = NULL;
	t->next_part = 0;
}

static int
v_restore(struct call *c)
{
	const char *text = json_text(c->in, "backup");
	uint64_t part = 0;
	bool more = false;
	size_t n = 0;
	int r;

	r = json_u64(c->in, "part", BACKUP_MAX / 1024, &part);
	if (text == NULL || (r != 0 && r != ERR_NOT_FOUND) ||
	    ((r = json_flag(c->in, "more", &more)) != 0 && r != ERR_NOT_FOUND))
		return refuse(c, ERR_ARGUMENT,
		    "restore takes backup, part and more.", "");
	if (part == 0) {
		end_restore(c->t);
		c->t->restore = buf_new(BACKUP_MAX + 65536);
	}
	if (c->t->restore == NULL || part != c->t->next_part)
		return refuse(c, ERR_SEQUENCE, "The parts are out of order.",
		    "Begin again with part 0.");
	if ((r = take_part(c, text)) != 0)
		goto out;
	c->t->next_part++;
	if (more)
		return reply(c, json_pack("{s:b}", "more", 1));
	r = backup_restore(
	    c->h, c->secret, buf_span(c->t->restore), &n, &c->a->words);
	if (r == 0)
		r = reply(c, json_pack("{s:I}", "credentials", (json_int_t)n));
out:
	end_restore(c->t);
	return r;
}

/* --- migrate --------------------------------------------------------- */

/* {"to":BACKEND, ...} is vault.json's form with another first name. */
static int
parse_target(struct call *c, struct config_choice *to)
{
	json_t *j = json_copy(c->in);
	json_t *backend = json_object_get(c->in, "to");
	char why[256] = "";
	int r;

	if (j == NULL || backend == NULL ||
	    json_object_get(j, "backend") != NULL ||
	    json_object_get(j, "next") != NULL) {
		json_decref(j);
		return refuse(c, ERR_ARGUMENT,
		    "migrate needs \"to\": secret-service or sealed-file.", "");
	}
	json_object_set(j, "backend", backend);
	json_object_del(j, "to");
	r = config_choice_parse(j, to, why, sizeof(why));
	json_decref(j);
	return r == 0 ? 0 : refuse(c, ERR_ARGUMENT, why, "");
}

/* A new keychain or key file lies outside the walls that this process
 * stands in: it is started again with walls that fit, and moves then. */
static int
v_migrate(struct call *c)
{
	struct config_choice to;
	bool later;
	size_t n = 0;
	int r;

	if ((r = parse_target(c, &to)) != 0)
		return r;
	later = to.key != CONFIG_KEY_PASSPHRASE;
	r = later ? house_migrate_later(c->h, &to, &n, &c->a->words)
		  : house_migrate(c->h, &to, c->secret, &n, &c->a->words);
	if (r != 0)
		return r;
	c->a->restart = later;
	return reply(c, json_pack("{s:I, s:b}", "credentials", (json_int_t)n,
			    "pending", (int)later));
}

/* --- the table ------------------------------------------------------- */

static const struct verb {
	const char *name;
	int (*run)(struct call *c);
	const char *members[4]; /* what the JSON may hold; NULL: its own
				 * parser says */
	bool slow;
} verbs[] = {
    {"status", v_status, {""}, false},
    {"unlock", v_unlock, {""}, true},
    {"lock", v_lock, {""}, false},
    {"credential.add", v_add, {NULL}, false},
    {"credential.list", v_list, {""}, true},
    {"credential.show", v_show, {"name"}, false},
    {"credential.bind", v_bind, {"name", "bindings"}, false},
    {"credential.rotate", v_rotate, {"name"}, false},
    {"credential.remove", v_remove, {"name"}, false},
    {"backup", v_backup, {"part"}, true},
    {"restore", v_restore, {"backup", "part", "more"}, true},
    {"migrate", v_migrate, {NULL}, true},
};

static const struct verb *
find(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	}
	return NULL;
}

bool
verbs_slow(const char *verb)
{
	const struct verb *v = find(verb);

	return v != NULL && v->slow;
}

static int
run_verb(const struct verb *v, struct call *c)
{
	const char *odd = "";

	if (!json_is_object(c->in))
		return refuse(c, ERR_FORMAT,
		    "The request's JSON is not one strict object.", "");
	if (v->members[0] != NULL && !json_only(c->in, v->members, &odd))
		return house_fail(c->h, &c->a->words, ERR_ARGUMENT, "",
		    "%s does not take \"%.64s\".", v->name, odd);
	return v->run(c);
}

void
verbs_run(struct house *h, struct transfer *t, const char *verb,
    struct span json, const struct keep *secret, struct answer *a)
{
	const struct verb *v = find(verb);
	struct call c = {.h = h, .t = t, .secret = secret, .a = a};

	if (v == NULL) {
		a->err = house_fail(h, &a->words, ERR_ARGUMENT,
		    "hatcheck --help", "The vault has no such verb.");
		return;
	}
	c.in = json_strict(json);
	a->err = run_verb(v, &c);
	if (a->err != 0 && a->words.what[0] == '\0')
		house_fail(h, &a->words, a->err, "hatcheck logs",
		    "The vault failed: %s.", err_text(a->err));
	json_decref(c.in);
}
