/* SPDX-License-Identifier: ISC */
/* What for: presets. Trusts: the directory that this program was installed
 * with; what is in it is still checked like any grant and any metadata. At
 * a bound: a file over 64 KiB, or nested deeper than 16, is refused.
 *
 * YAML becomes JSON here and is then read by the strict readers of grants
 * and of metadata, so that presets have no third grammar. */
#include "cli/preset.h"

#include "cli/vault_client.h"
#include "lib/buf.h"
#include "scope/grant_json.h"
#include "scope/metadata.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#define WHAT "read the preset"
#define FILE_MAX_ (64 * 1024)
#define DEPTH_MAX 16

/* --- YAML to JSON ----------------------------------------------------- */

struct reader {
	yaml_document_t document;
	char why[256];
};

static json_t *node_json(struct reader *r, int index, int depth);

static json_t *
fail(struct reader *r, const yaml_node_t *n, const char *text)
{
	if (r->why[0] == '\0')
		(void)snprintf(r->why, sizeof(r->why), "%zu: %s",
		    n->start_mark.line + 1, text);
	return NULL;
}

/* Plain true, false and decimals are what they look like; all else, and
 * all that is quoted, is a string. */
static json_t *
scalar_json(struct reader *r, const yaml_node_t *n)
{
	struct span s = span_of(n->data.scalar.value, n->data.scalar.length);
	bool plain = n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	uint64_t number;
	json_t *j;

	if (plain && (span_is(s, "true") || span_is(s, "false")))
		return json_boolean(span_is(s, "true"));
	if (plain && span_u64(s, INT64_MAX, &number) == 0)
		return json_integer((json_int_t)number);
	j = json_stringn((const char *)s.p, s.n);
	return j != NULL ? j : fail(r, n, "not UTF-8");
}

static json_t *
sequence_json(struct reader *r, const yaml_node_t *n, int depth)
{
	json_t *list = json_array();

	for (yaml_node_item_t *i = n->data.sequence.items.start;
	     i < n->data.sequence.items.top; i++) {
		/* A NULL element fails the append. */
		if (json_array_append_new(list, node_json(r, *i, depth)) != 0) {
			json_decref(list);
			return fail(r, n, "cannot be read");
		}
	}
	return list;
}

static json_t *
mapping_json(struct reader *r, const yaml_node_t *n, int depth)
{
	json_t *o = json_object();

	for (yaml_node_pair_t *p = n->data.mapping.pairs.start;
	     p < n->data.mapping.pairs.top; p++) {
		yaml_node_t *k = yaml_document_get_node(&r->document, p->key);
		const char *key = k != NULL && k->type == YAML_SCALAR_NODE
				      ? (const char *)k->data.scalar.value
				      : NULL;
		if (key == NULL || strlen(key) != k->data.scalar.length ||
		    json_object_get(o, key) != NULL) {
			json_decref(o);
			return fail(r, k == NULL ? n : k,
			    "a key is no plain word, or comes twice");
		}
		if (json_object_set_new(
			o, key, node_json(r, p->value, depth)) != 0) {
			json_decref(o);
			return fail(r, k, "cannot be read");
		}
	}
	return o;
}

static json_t *
node_json(struct reader *r, int index, int depth)
{
	const yaml_node_t *n = yaml_document_get_node(&r->document, index);

	if (n == NULL)
		return NULL;
	if (depth > DEPTH_MAX) /* an alias may hold itself */
		return fail(r, n, "nested too deep");
	switch (n->type) {
	case YAML_SCALAR_NODE:
		return scalar_json(r, n);
	case YAML_SEQUENCE_NODE:
		return sequence_json(r, n, depth + 1);
	case YAML_MAPPING_NODE:
		return mapping_json(r, n, depth + 1);
	default:
		return fail(r, n, "empty");
	}
}

/* Exactly one document. */
static json_t *
yaml_json(struct span text, struct reader *r)
{
	yaml_parser_t parser;
	yaml_document_t second;
	json_t *j = NULL;

	if (memchr(text.p, '\0', text.n) != NULL) {
		(void)snprintf(r->why, sizeof(r->why), "a NUL byte");
		return NULL;
	}
	if (yaml_parser_initialize(&parser) != 1)
		return NULL;
	yaml_parser_set_input_string(&parser, text.p, text.n);
	if (yaml_parser_load(&parser, &r->document) == 1) {
		if (yaml_document_get_root_node(&r->document) != NULL)
			j = node_json(r, 1, 0);
		yaml_document_delete(&r->document);
		bool more = yaml_parser_load(&parser, &second) == 1;
		if (more && yaml_document_get_root_node(&second) != NULL) {
			(void)snprintf(
			    r->why, sizeof(r->why), "a second document");
			json_decref(j);
			j = NULL;
		}
		if (more)
			yaml_document_delete(&second);
	} else {
		(void)snprintf(r->why, sizeof(r->why), "%zu: %s",
		    parser.problem_mark.line + 1,
		    parser.problem == NULL ? "no YAML" : parser.problem);
	}
	yaml_parser_delete(&parser);
	return j;
}

/* --- checks ----------------------------------------------------------- */

static bool
only_keys(const json_t *o, const char *const *keys, const char **odd)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)o, key, value) {
		size_t i = 0;
		while (keys[i] != NULL && strcmp(keys[i], key) != 0)
			i++;
		if (keys[i] == NULL) {
			*odd = key;
			return false;
		}
	}
	return json_is_object(o);
}

/* The credential as metadata of a made-up name, in canonical form. */
static int
check_credential(json_t *preset, char *why, size_t size)
{
	json_t *j = json_deep_copy(json_object_get(preset, "credential"));
	struct metadata m;
	int r;

	metadata_init(&m);
	r = j == NULL || json_object_set(
			     j, "name", json_object_get(preset, "preset")) != 0
		? ERR_FORMAT
		: metadata_from_json(j, &m, why, size);
	json_decref(j);
	if (r == 0 && m.n_bindings == 0) {
		(void)snprintf(why, size, "the credential is bound nowhere");
		r = ERR_FORMAT;
	}
	metadata_free(&m);
	return r;
}

/* How many of a grant's hosts lie in the credential's bindings. */
static size_t
covered(const struct grant *g, const struct metadata *m)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n_hosts; i++)
		n += metadata_covers(m, g->hosts[i].pattern, g->hosts[i].port);
	return n;
}

/* A grant for hosts of the bindings is marked with the preset's name where
 * the credential's will stand; one for other hosts has no credential. */
static int
mark_grants(
    const struct metadata *m, struct grant_set *set, char *why, size_t size)
{
	for (size_t i = 0; i < set->n; i++) {
		struct grant *g = &set->g[i];
		size_t n = covered(g, m);
		if (g->credential[0] != '\0' || (n != 0 && n != g->n_hosts) ||
		    (n != 0 && g->tunnel)) {
			(void)snprintf(why, size,
			    "grant %s: names a credential, or mixes hosts "
			    "inside and outside of the bindings",
			    g->name);
			return ERR_FORMAT;
		}
		if (n != 0)
			memcpy(g->credential, m->name, sizeof(m->name));
	}
	return 0;
}

/* Grants of a scope, in canonical form. */
static int
check_grants(json_t *preset, json_t *scope, char *why, size_t size)
{
	json_t *j = json_deep_copy(json_object_get(preset, "credential"));
	struct grant_set set = {0};
	struct metadata m;
	int r;

	metadata_init(&m);
	(void)json_object_set(j, "name", json_object_get(preset, "preset"));
	if ((r = metadata_from_json(j, &m, why, size)) == 0 &&
	    (r = grant_set_from_json(
		 json_object_get(scope, "grants"), &set, why, size)) == 0 &&
	    (r = mark_grants(&m, &set, why, size)) == 0)
		r = json_object_set_new(
		    scope, "grants", grant_set_to_json(&set));
	grant_set_free(&set);
	metadata_free(&m);
	json_decref(j);
	return r;
}

static int
check_scopes(json_t *preset, char *why, size_t size)
{
	static const char *const keys[] = {
	    "name", "title", "default", "grants", NULL};
	json_t *scopes = json_object_get(preset, "scopes"), *scope;
	const char *odd = "";
	size_t i;

	if (json_array_size(scopes) == 0) {
		(void)snprintf(why, size, "scopes: at least one is needed");
		return ERR_FORMAT;
	}
	json_array_foreach (scopes, i, scope) {
		if (!only_keys(scope, keys, &odd) ||
		    cli_string(scope, "name")[0] == '\0') {
			(void)snprintf(why, size,
			    "a scope has no name, or an unknown key \"%s\"",
			    odd);
			return ERR_FORMAT;
		}
		int r = check_grants(preset, scope, why, size);
		if (r != 0)
			return r;
	}
	return 0;
}

static int
check(json_t *preset, char *why, size_t size)
{
	static const char *const keys[] = {
	    "preset", "title", "credential", "test", "scopes", NULL};
	static const char *const test[] = {"method", "host", "path", NULL};
	const char *odd = "";
	int r;

	if (!only_keys(preset, keys, &odd) ||
	    !only_keys(json_object_get(preset, "test"), test, &odd)) {
		(void)snprintf(
		    why, size, "not a preset, or an unknown key \"%s\"", odd);
		return ERR_FORMAT;
	}
	if (cli_string(preset, "preset")[0] == '\0' ||
	    cli_string(preset, "title")[0] == '\0') {
		(void)snprintf(why, size, "preset and title are needed");
		return ERR_FORMAT;
	}
	if ((r = check_credential(preset, why, size)) != 0)
		return r;
	return check_scopes(preset, why, size);
}

int
preset_parse(
    struct span text, const char *path, json_t **out, struct cli_error *e)
{
	struct reader r = {.why = ""};
	char why[512] = "";
	json_t *j = yaml_json(text, &r);

	e->code = 0;
	if (j == NULL)
		return cli_error(e, CLI_FAILED, WHAT, "install Hatcheck again",
		    "%s:%s", path, r.why[0] == '\0' ? "no YAML" : r.why);
	if (check(j, why, sizeof(why)) != 0) {
		json_decref(j);
		return cli_error(e, CLI_FAILED, WHAT, "install Hatcheck again",
		    "%s: %s", path, why);
	}
	*out = j;
	return 0;
}

/* --- files ------------------------------------------------------------ */

/* Only relative to this program, or where it was configured to be. */
static int
open_dir(const struct cli *cli, int *dir)
{
	static const char *const places[] = {
	    "../share/hatcheck/presets", "../../../presets"};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (paths_join(cli->bindir, places[i], path) != 0)
			continue;
		*dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (*dir >= 0)
			return 0;
	}
	*dir = open(DATADIR "/presets", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *dir >= 0 ? 0 : ERR_NOT_FOUND;
}

/* Names are file names: nothing that could leave the directory. */
static bool
name_good(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n <= 64 && name[n] == '\0';
}

static int
read_file(int dir, const char *file, struct buf *b)
{
	struct stat st;
	uint8_t *p;
	int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int r = fd < 0 ? ERR_NOT_FOUND : 0;

	if (r == 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
			  st.st_size > FILE_MAX_))
		r = ERR_TOO_BIG;
	if (r == 0 && (r = buf_reserve(b, (size_t)st.st_size, &p)) == 0) {
		if (read(fd, p, (size_t)st.st_size) == st.st_size)
			buf_claim(b, (size_t)st.st_size);
		else
			r = ERR_IO;
	}
	if (fd >= 0)
		close(fd);
	return r;
}

int
preset_load(
    const struct cli *cli, const char *name, json_t **out, struct cli_error *e)
{
	struct buf *b = buf_new(FILE_MAX_ + 1);
	char file[96];
	int dir = -1, r = b == NULL ? ERR_NOMEM : 0;

	e->code = 0;
	(void)snprintf(file, sizeof(file), "%.64s.yaml", name);
	if (r == 0)
		r = name_good(name) ? open_dir(cli, &dir) : ERR_NOT_FOUND;
	if (r == 0)
		r = read_file(dir, file, b);
	if (r == ERR_NOT_FOUND)
		(void)cli_error(e, CLI_NOT_FOUND, WHAT, "hatcheck preset list",
		    "there is no preset \"%s\"", name);
	else if (r != 0)
		(void)cli_error_from(e, r, WHAT, NULL);
	else
		(void)preset_parse(buf_span(b), file, out, e);
	if (dir >= 0)
		close(dir);
	buf_free(b);
	return e->code;
}

static int
by_text(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

/* Takes the reference. */
static json_t *
sorted(json_t *list)
{
	size_t n = json_array_size(list);
	const char **all = calloc(n + 1, sizeof(*all));
	json_t *out = json_array();

	for (size_t i = 0; all != NULL && i < n; i++)
		all[i] = json_string_value(json_array_get(list, i));
	if (all != NULL && n > 0)
		qsort(all, n, sizeof(*all), by_text);
	for (size_t i = 0; all != NULL && i < n; i++)
		(void)json_array_append_new(out, json_string(all[i]));
	free(all);
	json_decref(list);
	return out;
}

int
preset_names(const struct cli *cli, json_t **out, struct cli_error *e)
{
	json_t *list = json_array();
	struct dirent *d;
	DIR *dp;
	int dir;

	e->code = 0;
	if (open_dir(cli, &dir) != 0 || (dp = fdopendir(dir)) == NULL) {
		json_decref(list);
		return cli_error(e, CLI_NOT_FOUND, "find the presets",
		    "install Hatcheck again", "%s/presets is not there",
		    DATADIR);
	}
	while ((d = readdir(dp)) != NULL) {
		size_t n = strlen(d->d_name);
		if (n > 5 && strcmp(d->d_name + n - 5, ".yaml") == 0)
			(void)json_array_append_new(
			    list, json_stringn(d->d_name, n - 5));
	}
	closedir(dp);
	*out = sorted(list);
	return 0;
}

/* --- for sessions ----------------------------------------------------- */

/* The only credential that was stored with this preset. */
static int
find_credential(struct cli *cli, const char *preset, char *out, size_t size,
    struct cli_error *e)
{
	json_t *list = NULL;
	const json_t *m;
	size_t i, n = 0;

	if (vault_call(cli, "credential.list", "list credentials", NULL, NULL,
		&list, e) != 0)
		return e->code;
	json_array_foreach (list, i, m) {
		if (strcmp(cli_string(m, "preset"), preset) == 0 && n++ == 0)
			(void)snprintf(out, size, "%s", cli_string(m, "name"));
	}
	json_decref(list);
	if (n == 1)
		return 0;
	char next[200];
	(void)snprintf(next, sizeof(next),
	    n == 0 ? "hatcheck credential add %.64s --preset %.64s"
		   : "--credential NAME",
	    preset, preset);
	return cli_error(e, n == 0 ? CLI_NOT_FOUND : CLI_USAGE, "--preset",
	    next,
	    n == 0 ? "no credential is stored for %s"
		   : "several credentials are stored for %s",
	    preset);
}

/* The grants of the scope called so, or of the default ones. */
static json_t *
scope_grants(const json_t *preset, const char *scope)
{
	json_t *all = json_array(), *s;
	size_t i;

	json_array_foreach (json_object_get(preset, "scopes"), i, s) {
		bool wanted = scope == NULL
				  ? json_is_true(json_object_get(s, "default"))
				  : strcmp(cli_string(s, "name"), scope) == 0;
		if (wanted)
			(void)json_array_extend(
			    all, json_object_get(s, "grants"));
	}
	return all;
}

static bool
needs_credential(const json_t *grants)
{
	const json_t *g;
	size_t i;

	json_array_foreach (grants, i, g) {
		if (json_object_get(g, "credential") != NULL)
			return true;
	}
	return false;
}

/* The preset's name, where it stands for the credential, by the real one. */
static int
fill_credential(json_t *grants, const char *credential)
{
	json_t *g;
	size_t i;
	int r = 0;

	json_array_foreach (grants, i, g) {
		if (json_object_get(g, "credential") != NULL)
			r |= json_object_set_new(
			    g, "credential", json_string(credential));
	}
	return r;
}

int
preset_grants(struct cli *cli, const char *word, const char *credential,
    json_t **out, struct cli_error *e)
{
	char name[80], found[80] = "";
	const char *scope = strchr(word, ':');
	json_t *preset = NULL, *grants = NULL;

	e->code = 0;
	(void)snprintf(name, sizeof(name), "%.*s",
	    scope == NULL ? 79 : (int)(scope - word), word);
	if (preset_load(cli, name, &preset, e) != 0)
		return e->code;
	grants = scope_grants(preset, scope == NULL ? NULL : scope + 1);
	json_decref(preset);
	if (json_array_size(grants) == 0)
		(void)cli_error(e, CLI_NOT_FOUND, "--preset",
		    "hatcheck preset show", "%s has no such scope", word);
	else if (credential == NULL && needs_credential(grants))
		(void)find_credential(cli, name, found, sizeof(found), e);
	if (e->code == 0 && fill_credential(grants,
				credential == NULL ? found : credential) != 0)
		(void)cli_error_from(e, ERR_NOMEM, WHAT, NULL);
	if (e->code == 0)
		*out = grants;
	else
		json_decref(grants);
	return e->code;
}
