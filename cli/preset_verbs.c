/* SPDX-License-Identifier: ISC */
/* What for: showing presets. Trusts: the checked presets. At a bound:
 * none. */
#include "cli/verbs.h"

#include "cli/credential_binding.h"
#include "cli/preset.h"
#include "cli/text.h"

#include <stdio.h>
#include <string.h>

/* Every preset, whole. */
static int
load_all(struct cli *cli, json_t *all, struct cli_error *e)
{
	json_t *names = NULL, *one;
	const json_t *name;
	size_t i;

	if (preset_names(cli, &names, e) != 0)
		return e->code;
	json_array_foreach (names, i, name) {
		if (preset_load(cli, json_string_value(name), &one, e) != 0)
			break;
		(void)json_array_append_new(all, one);
	}
	json_decref(names);
	return e->code;
}

static int
print_all(const json_t *all)
{
	static const char *const headings[] = {
	    "PRESET", "SERVICE", "SCOPES", "HOSTS", NULL};
	struct text_table *t = text_table_new(headings);
	const json_t *p, *s;
	size_t i, k;

	if (t == NULL)
		return CLI_FAILED;
	json_array_foreach (all, i, p) {
		char scopes[256] = "", hosts[512];
		json_array_foreach (json_object_get(p, "scopes"), k, s) {
			size_t n = strlen(scopes);
			(void)snprintf(scopes + n, sizeof(scopes) - n, "%s%s%s",
			    n == 0 ? "" : " ", cli_string(s, "name"),
			    json_is_true(json_object_get(s, "default")) ? "*"
									: "");
		}
		binding_text(
		    json_object_get(p, "credential"), hosts, sizeof(hosts));
		text_table_row(t, (const char *[]){cli_string(p, "preset"),
				      cli_string(p, "title"), scopes, hosts});
	}
	int r = text_table_print(t, stdout);
	text_table_free(t);
	return r == 0 ? CLI_OK : CLI_FAILED;
}

int
preset_list_run(struct cli *cli, const struct args *a)
{
	json_t *all = json_array();
	struct cli_error e = {0};
	int r;

	(void)a;
	if (load_all(cli, all, &e) != 0) {
		json_decref(all);
		return cli_report(cli, &e);
	}
	if (cli->json) {
		r = cli_print_json(all);
	} else {
		r = print_all(all);
		cli_note(cli, "* when no scope is named");
	}
	json_decref(all);
	return r;
}

static void
strings_line(const json_t *list, char *out, size_t size)
{
	const json_t *s;
	size_t i, at = 0;

	out[0] = '\0';
	json_array_foreach (list, i, s) {
		int n = snprintf(out + at, size - at, "%s%s",
		    at == 0 ? "" : ",", json_string_value(s));
		if (n < 0 || (size_t)n >= size - at)
			return; /* cut */
		at += (size_t)n;
	}
}

static void
rule_rows(struct text_table *t, const json_t *scope)
{
	const json_t *g, *rule, *path;
	size_t i, k, m;

	json_array_foreach (json_object_get(scope, "grants"), i, g) {
		char hosts[256], methods[128];
		strings_line(json_object_get(g, "hosts"), hosts, sizeof(hosts));
		json_array_foreach (json_object_get(g, "allow"), k, rule) {
			strings_line(json_object_get(rule, "methods"), methods,
			    sizeof(methods));
			json_array_foreach (
			    json_object_get(rule, "paths"), m, path) {
				text_table_row(t,
				    (const char *[]){cli_string(scope, "name"),
					methods, hosts,
					json_string_value(path)});
			}
		}
	}
}

static int
print_one(const json_t *p)
{
	static const char *const headings[] = {
	    "SCOPE", "METHODS", "HOSTS", "PATH", NULL};
	struct text_table *t = text_table_new(headings);
	const json_t *s;
	char env[256];
	size_t i;

	if (t == NULL)
		return CLI_FAILED;
	strings_line(json_object_get(json_object_get(p, "credential"), "env"),
	    env, sizeof(env));
	printf("%s: %s; variables: %s\n", cli_string(p, "preset"),
	    cli_string(p, "title"), env[0] == '\0' ? "none" : env);
	json_array_foreach (json_object_get(p, "scopes"), i, s) {
		printf("  %s%s: %s\n", cli_string(s, "name"),
		    json_is_true(json_object_get(s, "default")) ? " (default)"
								: "",
		    cli_string(s, "title"));
		rule_rows(t, s);
	}
	(void)putchar('\n');
	int r = text_table_print(t, stdout);
	text_table_free(t);
	return r == 0 ? CLI_OK : CLI_FAILED;
}

int
preset_show_run(struct cli *cli, const struct args *a)
{
	struct cli_error e = {0};
	json_t *p = NULL;

	if (preset_load(cli, a->words[0], &p, &e) != 0)
		return cli_report(cli, &e);
	int r = cli->json ? cli_print_json(p) : print_one(p);
	json_decref(p);
	return r;
}
