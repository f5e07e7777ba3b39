/* SPDX-License-Identifier: ISC */
/* What for: metadata from options. Trusts: nothing; the vault checks all of
 * it again. At a bound: refuses. */
#include "cli/credential_binding.h"

#include "cli/preset.h"

#include <stdio.h>
#include <string.h>

#define WHAT "describe the credential"

/* Which option a slot type needs, under which key of the slot. */
static const struct slot_row {
	const char *type, *option, *key;
} slots[] = {
    {"bearer", NULL, NULL},
    {"header", "header", "name"},
    {"basic", "user", "user"},
    {"query", "query", "name"},
};
#define N_SLOTS (sizeof(slots) / sizeof(slots[0]))

static int
slot_from_options(
    const struct args *a, const char *type, json_t **out, struct cli_error *e)
{
	const struct slot_row *row = NULL;

	for (size_t i = 0; i < N_SLOTS; i++) {
		if (strcmp(slots[i].type, type) == 0)
			row = &slots[i];
	}
	if (row == NULL)
		return cli_error(e, CLI_USAGE, WHAT,
		    "bearer, header, basic or query", "there is no kind \"%s\"",
		    type);
	for (size_t i = 0; i < N_SLOTS; i++) {
		if (&slots[i] != row && slots[i].option != NULL &&
		    args_has(a, slots[i].option))
			return cli_error(e, CLI_USAGE, WHAT, NULL,
			    "--%s does not go with kind %s", slots[i].option,
			    type);
	}
	if (row->option != NULL && args_value(a, row->option) == NULL)
		return cli_error(e, CLI_USAGE, WHAT, NULL, "kind %s needs --%s",
		    type, row->option);
	*out = json_pack("{s:s}", "type", type);
	if (row->option != NULL &&
	    json_object_set_new(
		*out, row->key, json_string(args_value(a, row->option))) != 0)
		return cli_error(
		    e, CLI_USAGE, WHAT, NULL, "--%s is not UTF-8", row->option);
	return 0;
}

static json_t *
strings_of(const struct args *a, const char *option)
{
	json_t *list = json_array();
	const char *s;

	for (size_t i = 0; (s = args_nth(a, option, i)) != NULL; i++) {
		if (json_array_append_new(list, json_string(s)) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

int
binding_from_options(
    const struct args *a, const char *kind, json_t **out, struct cli_error *e)
{
	const char *given = args_value(a, "kind");
	json_t *hosts, *slot = NULL;

	e->code = 0;
	if (!args_has(a, "host"))
		return cli_error(e, CLI_USAGE, WHAT, NULL,
		    "--host says where it may be sent; none was given");
	if (slot_from_options(a, given == NULL ? kind : given, &slot, e) != 0) {
		json_decref(slot);
		return e->code;
	}
	if ((hosts = strings_of(a, "host")) == NULL) {
		json_decref(slot);
		return cli_error(
		    e, CLI_USAGE, WHAT, NULL, "--host is not UTF-8");
	}
	*out = json_pack("{s:o, s:o}", "hosts", hosts, "slot", slot);
	return *out == NULL ? cli_error_from(e, ERR_NOMEM, WHAT, NULL) : 0;
}

/* What a preset says, or bare metadata of --kind and --host. */
static int
base_metadata(
    struct cli *cli, const struct args *a, json_t **out, struct cli_error *e)
{
	const char *preset = args_value(a, "preset");
	const char *kind = args_value(a, "kind");
	json_t *whole = NULL, *binding = NULL;

	if (preset != NULL) {
		if (kind != NULL || args_has(a, "header") ||
		    args_has(a, "query"))
			return cli_error(e, CLI_USAGE, WHAT, NULL,
			    "the preset says how it is sent");
		if (preset_load(cli, preset, &whole, e) != 0)
			return e->code;
		*out = json_deep_copy(json_object_get(whole, "credential"));
		json_decref(whole);
		if (*out == NULL || json_object_set_new(*out, "preset",
					json_string(preset)) != 0)
			return cli_error_from(e, ERR_NOMEM, WHAT, NULL);
		return 0;
	}
	if (kind == NULL)
		return cli_error(e, CLI_USAGE, WHAT, "hatcheck preset list",
		    "--kind and --host, or --preset, say how it is sent");
	if (binding_from_options(a, kind, &binding, e) != 0)
		return e->code;
	*out = json_pack("{s:s, s:[o]}", "kind", kind, "bindings", binding);
	return *out == NULL ? cli_error_from(e, ERR_NOMEM, WHAT, NULL) : 0;
}

/* --user beside a preset: whose password it is, in every basic slot. */
static int
override_user(json_t *metadata, const struct args *a)
{
	const char *user = args_value(a, "user");
	json_t *binding, *slot;
	size_t i;
	int r = 0;

	if (args_value(a, "preset") == NULL || user == NULL)
		return 0;
	json_array_foreach (json_object_get(metadata, "bindings"), i, binding) {
		slot = json_object_get(binding, "slot");
		if (strcmp(cli_string(slot, "type"), "basic") == 0)
			r |= json_object_set_new(
			    slot, "user", json_string(user));
	}
	return r;
}

/* --host beside a preset narrows or moves its first binding (a company's
 * own host of the same service). */
static int
override_hosts(json_t *metadata, const struct args *a)
{
	json_t *first =
	    json_array_get(json_object_get(metadata, "bindings"), 0);

	if (args_value(a, "preset") == NULL || !args_has(a, "host"))
		return 0;
	json_t *bindings = json_array();
	if (json_object_set_new(first, "hosts", strings_of(a, "host")) != 0 ||
	    json_array_append(bindings, first) != 0)
		return ERR_FORMAT;
	return json_object_set_new(metadata, "bindings", bindings);
}

int
metadata_from_options(
    struct cli *cli, const struct args *a, json_t **out, struct cli_error *e)
{
	json_t *m = NULL;
	int r = 0;

	e->code = 0;
	if (base_metadata(cli, a, &m, e) != 0)
		goto out;
	r |= json_object_set_new(m, "name", json_string(a->words[0]));
	r |= override_hosts(m, a);
	r |= override_user(m, a);
	if (args_has(a, "env"))
		r |= json_object_set_new(m, "env", strings_of(a, "env"));
	if (args_has(a, "note"))
		r |= json_object_set_new(
		    m, "note", json_string(args_value(a, "note")));
	if (args_has(a, "echoes"))
		r |= json_object_set_new(m, "echoes", json_true());
	if (args_has(a, "short"))
		r |= json_object_set_new(m, "unscrubbable", json_true());
	if (r != 0) {
		(void)cli_error(
		    e, CLI_USAGE, WHAT, NULL, "an argument is not UTF-8");
		goto out;
	}
	*out = m;
	m = NULL;
out:
	json_decref(m);
	return e->code;
}

void
binding_text(const json_t *metadata, char *out, size_t size)
{
	const json_t *binding, *host;
	size_t i, k, at = 0;

	out[0] = '\0';
	json_array_foreach (json_object_get(metadata, "bindings"), i, binding) {
		json_array_foreach (
		    json_object_get(binding, "hosts"), k, host) {
			int n = snprintf(out + at, size - at, "%s%s",
			    at == 0 ? "" : " ",
			    json_string_value(host) == NULL
				? ""
				: json_string_value(host));
			if (n < 0 || (size_t)n >= size - at)
				return; /* cut */
			at += (size_t)n;
		}
	}
}
