/* SPDX-License-Identifier: ISC */
/* What for: credentials by their names; values only pass from the user to
 * the vault. Trusts: the vault. At a bound: the vault refuses. */
#include "cli/verbs.h"

#include "cli/credential_binding.h"
#include "cli/daemon.h"
#include "cli/secret_input.h"
#include "cli/text.h"
#include "cli/vault_client.h"

#include <stdio.h>
#include <string.h>

static int
refuse_secrets(const struct args *a, struct cli_error *e)
{
	bool bad = false;

	for (size_t i = 0; i < a->n_words; i++)
		bad |= secret_looks_like(a->words[i]);
	for (size_t i = 0; i < a->n_given; i++)
		bad |= a->given[i].value != NULL &&
		       strcmp(a->given[i].option->name, "from-file") != 0 &&
		       secret_looks_like(a->given[i].value);
	if (!bad)
		return 0;
	return cli_error(e, CLI_USAGE, a->verb->path,
	    "type it when asked, or pipe it in; and rotate this one",
	    "an argument looks like a secret: every process of this machine "
	    "and your shell's history can read arguments");
}

/* One document of the vault: as JSON, or as one sentence about it. */
static int
done(struct cli *cli, json_t *out, const char *said)
{
	char hosts[512];
	int r = CLI_OK;

	if (cli->json) {
		r = cli_print_json(out);
	} else if (said != NULL) {
		binding_text(out, hosts, sizeof(hosts));
		cli_note(cli, "%s %s, for %s.", said, cli_string(out, "name"),
		    hosts);
	}
	json_decref(out);
	return r;
}

static int
read_value(const struct args *a, struct keep **out, struct cli_error *e)
{
	char prompt[128];
	struct secret_input in = {
	    .prompt = prompt, .file = args_value(a, "from-file")};

	(void)snprintf(prompt, sizeof(prompt), "Value of %.64s", a->words[0]);
	return secret_read(&in, out, e);
}

int
credential_add_run(struct cli *cli, const struct args *a)
{
	json_t *metadata = NULL, *out = NULL;
	struct keep *value = NULL;
	struct cli_error e = {0};
	int r;

	if ((r = refuse_secrets(a, &e)) == 0 &&
	    (r = metadata_from_options(cli, a, &metadata, &e)) == 0 &&
	    (r = daemon_ensure(cli, &e)) == 0)
		r = read_value(a, &value, &e);
	if (r == 0) {
		r = vault_call(cli, "credential.add", "store the credential",
		    metadata, value, &out, &e);
		metadata = NULL;
	}
	keep_free(value);
	json_decref(metadata);
	return r != 0 ? cli_report(cli, &e) : done(cli, out, "Stored");
}

int
credential_rotate_run(struct cli *cli, const struct args *a)
{
	struct keep *value = NULL;
	struct cli_error e = {0};
	json_t *out = NULL;
	int r;

	if ((r = refuse_secrets(a, &e)) == 0 &&
	    (r = daemon_ensure(cli, &e)) == 0 &&
	    (r = read_value(a, &value, &e)) == 0)
		r = vault_call(cli, "credential.rotate",
		    "rotate the credential",
		    json_pack("{s:s}", "name", a->words[0]), value, &out, &e);
	keep_free(value);
	return r != 0 ? cli_report(cli, &e) : done(cli, out, "Rotated");
}

static int
by_name(struct cli *cli, const struct args *a, const char *verb,
    const char *what, json_t **out)
{
	struct cli_error e = {0};
	int r = refuse_secrets(a, &e);

	if (r == 0)
		r = daemon_ensure(cli, &e);
	if (r == 0)
		r = vault_call(cli, verb, what,
		    json_pack("{s:s}", "name", a->words[0]), NULL, out, &e);
	return r != 0 ? cli_report(cli, &e) : 0;
}

int
credential_remove_run(struct cli *cli, const struct args *a)
{
	json_t *out = NULL;
	int r =
	    by_name(cli, a, "credential.remove", "remove the credential", &out);

	return r != 0 ? r : done(cli, out, NULL);
}

static void
print_slot(const json_t *slot, char *out, size_t size)
{
	const char *name = cli_string(slot, "name");

	if (name[0] == '\0')
		name = cli_string(slot, "user");
	(void)snprintf(out, size, "%s%s%s", cli_string(slot, "type"),
	    name[0] == '\0' ? "" : " ", name);
}

/* What an upstream said of it, when it said so; false: nothing. */
static bool
rejected_text(const json_t *m, char *out, size_t size)
{
	const json_t *r = json_object_get(m, "rejected");
	char when[32];

	if (r == NULL)
		return false;
	(void)snprintf(out, size, "by %s, %s (next: hatcheck credential rotate "
				  "%s)",
	    cli_string(r, "host"),
	    cli_time(json_integer_value(json_object_get(r, "at")), when),
	    cli_string(m, "name"));
	return true;
}

static int
print_metadata(const json_t *m)
{
	static const char *const headings[] = {"FIELD", "VALUE", NULL};
	struct text_table *t = text_table_new(headings);
	char number[32], when[32], text[512], slot[128];
	const json_t *binding;
	size_t i;
	int r;

	if (t == NULL)
		return CLI_FAILED;
	text_table_row(t, (const char *[]){"name", cli_string(m, "name")});
	text_table_row(t, (const char *[]){"kind", cli_string(m, "kind")});
	(void)snprintf(number, sizeof(number), "%lld",
	    (long long)json_integer_value(json_object_get(m, "version")));
	text_table_row(t, (const char *[]){"version", number});
	text_table_row(
	    t, (const char *[]){"created",
		   cli_time(json_integer_value(json_object_get(m, "created")),
		       when)});
	text_table_row(
	    t, (const char *[]){"rotated",
		   cli_time(json_integer_value(json_object_get(m, "rotated")),
		       when)});
	text_table_row(t, (const char *[]){"note", cli_string(m, "note")});
	text_table_row(t, (const char *[]){"preset", cli_string(m, "preset")});
	if (rejected_text(m, text, sizeof(text)))
		text_table_row(t, (const char *[]){"rejected", text});
	json_array_foreach (json_object_get(m, "bindings"), i, binding) {
		json_t *one = json_pack("{s:[O]}", "bindings", binding);
		binding_text(one, text, sizeof(text) - sizeof(slot));
		json_decref(one);
		print_slot(
		    json_object_get(binding, "slot"), slot, sizeof(slot));
		size_t n = strlen(text);
		(void)snprintf(text + n, sizeof(text) - n, " as %s", slot);
		text_table_row(t, (const char *[]){"sent to", text});
	}
	r = text_table_print(t, stdout);
	text_table_free(t);
	return r == 0 ? CLI_OK : CLI_FAILED;
}

int
credential_show_run(struct cli *cli, const struct args *a)
{
	json_t *out = NULL;
	int r = by_name(cli, a, "credential.show", "show the credential", &out);

	if (r != 0)
		return r;
	r = cli->json ? cli_print_json(out) : print_metadata(out);
	json_decref(out);
	return r;
}

static int
print_list(const json_t *list)
{
	static const char *const headings[] = {
	    "NAME", "KIND", "VERSION", "ROTATED", "SENT TO", "NOTE", NULL};
	struct text_table *t = text_table_new(headings);
	const json_t *m;
	size_t i;

	if (t == NULL)
		return CLI_FAILED;
	json_array_foreach (list, i, m) {
		char version[24], when[32], hosts[512];
		(void)snprintf(version, sizeof(version), "%lld",
		    (long long)json_integer_value(
			json_object_get(m, "version")));
		binding_text(m, hosts, sizeof(hosts));
		text_table_row(t,
		    (const char *[]){cli_string(m, "name"),
			cli_string(m, "kind"), version,
			cli_time(
			    json_integer_value(json_object_get(m, "rotated")),
			    when),
			hosts, cli_string(m, "note")});
	}
	int r = text_table_print(t, stdout);
	text_table_free(t);
	json_array_foreach (list, i, m) {
		char text[512];
		if (rejected_text(m, text, sizeof(text)))
			printf("%s is rejected %s\n", cli_string(m, "name"),
			    text);
	}
	return r == 0 && fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
}

int
credential_list_run(struct cli *cli, const struct args *a)
{
	struct cli_error e = {0};
	json_t *out = NULL;
	int r = daemon_ensure(cli, &e);

	(void)a;
	if (r == 0)
		r = vault_call(cli, "credential.list", "list credentials", NULL,
		    NULL, &out, &e);
	if (r != 0)
		return cli_report(cli, &e);
	r = cli->json ? cli_print_json(out) : print_list(out);
	json_decref(out);
	return r;
}

/* The bindings that are there and the new one; or that one alone. */
static int
joined(
    const json_t *old, const struct args *a, json_t **out, struct cli_error *e)
{
	json_t *binding = NULL, *all = json_array();

	if (binding_from_options(a, cli_string(old, "kind"), &binding, e) ==
	    0) {
		int r = 0;
		if (!args_has(a, "replace"))
			r = json_array_extend(
			    all, json_object_get(old, "bindings"));
		r |= json_array_append_new(all, binding);
		*out = json_pack(
		    "{s:s, s:O}", "name", a->words[0], "bindings", all);
		if (r != 0 || *out == NULL)
			(void)cli_error_from(e, ERR_NOMEM, "bind", NULL);
	}
	json_decref(all);
	return e->code;
}

int
credential_bind_run(struct cli *cli, const struct args *a)
{
	json_t *old = NULL, *in = NULL, *out = NULL;
	struct cli_error e = {0};
	int r = by_name(cli, a, "credential.show", "bind the credential", &old);

	if (r != 0)
		return r;
	r = joined(old, a, &in, &e);
	json_decref(old);
	if (r == 0)
		r = vault_call(cli, "credential.bind", "bind the credential",
		    in, NULL, &out, &e);
	return r != 0 ? cli_report(cli, &e) : done(cli, out, "Bound");
}
