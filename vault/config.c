/* SPDX-License-Identifier: ISC */
/* What for: reading and writing vault.json. Trusts: safefile for who wrote
 * it. At a bound: refuses with a sentence. */
#include "vault/config.h"

#include "keys/json.h"
#include "lib/safefile.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_MAX 16384

static const char *const backends[] = {
    [CONFIG_SEALED_FILE] = "sealed-file",
    [CONFIG_SECRET_SERVICE] = "secret-service",
};
static const char *const keys[] = {
    [CONFIG_KEY_NONE] = "",
    [CONFIG_KEY_PASSPHRASE] = "passphrase",
    [CONFIG_KEY_FILE] = "key-file",
    [CONFIG_KEY_SYSTEMD] = "systemd-credential",
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const char *
config_backend_name(enum config_backend b)
{
	return (size_t)b < COUNT(backends) && backends[b] != NULL ? backends[b]
								  : "none";
}

bool
config_same(const struct config_choice *a, const struct config_choice *b)
{
	return a->backend == b->backend && a->key == b->key &&
	       strcmp(a->path, b->path) == 0 && strcmp(a->name, b->name) == 0;
}

static int
find(const char *const *table, size_t n, const char *word)
{
	for (size_t i = 1; word != NULL && i < n; i++) {
		if (strcmp(table[i], word) == 0)
			return (int)i;
	}
	return 0;
}

static int
refuse(char *why, size_t size, const char *text)
{
	snprintf(why, size, "vault.json: %s", text);
	return ERR_FORMAT;
}

/* The members that the choice of key needs, and no others. */
static int
parse_key(const json_t *json, struct config_choice *c, char *why, size_t size)
{
	static const char *const with_path[] = {
	    "backend", "key", "path", "next", NULL};
	static const char *const with_name[] = {
	    "backend", "key", "name", "next", NULL};
	static const char *const plain[] = {"backend", "key", "next", NULL};

	c->key =
	    (enum config_key)find(keys, COUNT(keys), json_text(json, "key"));
	switch (c->key) {
	case CONFIG_KEY_PASSPHRASE:
		return json_only(json, plain, NULL)
			   ? 0
			   : refuse(why, size, "unknown member.");
	case CONFIG_KEY_FILE:
		if (!json_only(json, with_path, NULL) ||
		    json_text_copy(json, "path", c->path, sizeof(c->path)) !=
			0 ||
		    c->path[0] != '/')
			return refuse(why, size,
			    "a key-file needs an absolute \"path\" alone.");
		return 0;
	case CONFIG_KEY_SYSTEMD:
		if (!json_only(json, with_name, NULL) ||
		    json_text_copy(json, "name", c->name, sizeof(c->name)) !=
			0 ||
		    strchr(c->name, '/') != NULL || c->name[0] == '.')
			return refuse(why, size,
			    "a systemd-credential needs a plain \"name\" "
			    "alone.");
		return 0;
	case CONFIG_KEY_NONE:
		break;
	}
	return refuse(why, size,
	    "\"key\" is passphrase, key-file or systemd-credential.");
}

int
config_choice_parse(
    const json_t *json, struct config_choice *out, char *why, size_t size)
{
	static const char *const bare[] = {"backend", "next", NULL};
	struct config_choice c = {0};
	int r;

	c.backend = (enum config_backend)find(
	    backends, COUNT(backends), json_text(json, "backend"));
	if (c.backend == CONFIG_SECRET_SERVICE) {
		if (!json_only(json, bare, NULL))
			return refuse(
			    why, size, "secret-service takes no other member.");
	} else if (c.backend == CONFIG_SEALED_FILE) {
		if ((r = parse_key(json, &c, why, size)) != 0)
			return r;
	} else {
		return refuse(
		    why, size, "\"backend\" is sealed-file or secret-service.");
	}
	*out = c;
	return 0;
}

json_t *
config_choice_to_json(const struct config_choice *c)
{
	json_t *j =
	    json_pack("{s:s}", "backend", config_backend_name(c->backend));

	if (j == NULL || c->key == CONFIG_KEY_NONE)
		return j;
	json_object_set_new(j, "key", json_string(keys[c->key]));
	if (c->key == CONFIG_KEY_FILE)
		json_object_set_new(j, "path", json_string(c->path));
	if (c->key == CONFIG_KEY_SYSTEMD)
		json_object_set_new(j, "name", json_string(c->name));
	return j;
}

static int
parse(struct span text, struct config *out, char *why, size_t size)
{
	json_t *json = json_strict(text), *next;
	struct config c = {0};
	int r;

	if (!json_is_object(json)) {
		json_decref(json);
		return refuse(why, size, "not one JSON object.");
	}
	r = config_choice_parse(json, &c.now, why, size);
	next = json_object_get(json, "next");
	if (r == 0 && next != NULL) {
		c.has_next = true;
		r = json_object_get(next, "next") == NULL
			? config_choice_parse(next, &c.next, why, size)
			: refuse(why, size, "\"next\" within \"next\".");
	}
	if (r == 0)
		*out = c;
	json_decref(json);
	return r;
}

int
config_load(const char *dir, struct config *out, char *why, size_t size)
{
	struct buf *b = buf_new(FILE_MAX);
	char path[PATH_MAX];
	int r = ERR_TOO_BIG;

	if (b == NULL)
		return ERR_NOMEM;
	if (snprintf(path, sizeof(path), "%s/%s", dir, CONFIG_FILE) <
		(int)sizeof(path) &&
	    (r = safefile_read(path, FILE_MAX, false, b, why, size)) == 0)
		r = parse(buf_span(b), out, why, size);
	buf_free(b);
	return r;
}

int
config_save(const char *dir, const struct config *c)
{
	json_t *json = config_choice_to_json(&c->now);
	char *text = NULL, why[256];
	int fd = -1, r = ERR_NOMEM;

	if (json != NULL && c->has_next)
		json_object_set_new(
		    json, "next", config_choice_to_json(&c->next));
	if (json != NULL)
		text = json_dumps(json, JSON_INDENT(1));
	json_decref(json);
	if (text == NULL)
		return r;
	if ((r = safefile_dir(dir, false, &fd, why, sizeof(why))) == 0)
		r = safefile_write(fd, CONFIG_FILE, span_str(text));
	if (fd >= 0)
		close(fd);
	free(text);
	return r;
}

static bool
is_there(const char *dir, const struct config *c)
{
	struct config found;
	char why[256];

	if (config_load(dir, &found, why, sizeof(why)) != 0)
		return false;
	return config_same(&found.now, &c->now) &&
	       found.has_next == c->has_next &&
	       (!c->has_next || config_same(&found.next, &c->next));
}

int
config_change(
    const char *dir, const struct config *was, const struct config *next)
{
	int r = config_save(dir, next);

	if (r == 0 || config_save(dir, was) == 0)
		return r;
	return is_there(dir, next) ? ERR_SEQUENCE : r;
}
