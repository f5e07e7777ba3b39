/* SPDX-License-Identifier: ISC */
/* What for: help, made from the table of verbs. Trusts: the table. At a
 * bound: none. */
#include "cli/help.h"

#include "cli/parse.h"
#include "lib/link.h"

#include <string.h>

static void
spell(const struct verb_option *o, char *out, size_t size)
{
	char letter[8] = "";

	if (o->letter != 0)
		(void)snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	(void)snprintf(out, size, "%s--%s%s%s%s", letter, o->name,
	    o->value == NULL ? "" : " ", o->value == NULL ? "" : o->value,
	    o->many ? " ..." : "");
}

static void
print_options(FILE *f, const struct verb_option *o)
{
	char text[128];

	for (; o != NULL && o->name != NULL; o++) {
		spell(o, text, sizeof(text));
		fprintf(f, "  %-26s %s\n", text, o->help);
	}
}

static void
print_verb(FILE *f, const struct verb *v)
{
	fprintf(f, "usage: hatcheck %s%s%s%s\n\n%s\n", v->path,
	    v->options == NULL ? "" : " [OPTION]...",
	    v->arguments[0] == '\0' ? "" : " ", v->arguments, v->help);
	if (v->more != NULL)
		fprintf(f, "\n%s\n", v->more);
	if (v->options != NULL) {
		fprintf(f, "\noptions:\n");
		print_options(f, v->options);
	}
	fprintf(f, "\neverywhere:\n");
	print_options(f, verb_globals);
}

static void
print_group(FILE *f, const char *group)
{
	size_t n = strlen(group);

	fprintf(f, "usage: hatcheck %s VERB\n\n", group);
	for (const struct verb *v = verbs; v->path != NULL; v++) {
		if (strncmp(v->path, group, n) == 0 && v->path[n] == ' ')
			fprintf(f, "  %-12s %s\n", v->path + n + 1, v->help);
	}
	fprintf(f, "\nhatcheck %s VERB --help says more.\n", group);
}

static void
print_all(FILE *f)
{
	char text[96];

	fprintf(f, "usage: hatcheck [--home DIR] [--json] VERB ...\n\n"
		   "Keeps real credentials out of sandboxes.\n\n");
	for (const struct verb *v = verbs; v->path != NULL; v++) {
		(void)snprintf(text, sizeof(text), "%s%s%s", v->path,
		    v->arguments[0] == '\0' ? "" : " ", v->arguments);
		fprintf(f, "  %-34s %s\n", text, v->help);
	}
	fprintf(f, "\neverywhere:\n");
	print_options(f, verb_globals);
	fprintf(f, "\nhatcheck VERB --help says more; hatcheck(1) says all.\n");
}

void
help_print(FILE *f, const char *group, const struct verb *verb)
{
	if (verb != NULL)
		print_verb(f, verb);
	else if (group[0] != '\0')
		print_group(f, group);
	else
		print_all(f);
}

static json_t *
options_json(const struct verb_option *o)
{
	json_t *list = json_array();

	for (; o != NULL && o->name != NULL; o++) {
		char letter[2] = {o->letter, '\0'};
		(void)json_array_append_new(
		    list, json_pack("{s:s, s:s?, s:s, s:b, s:s}", "name",
			      o->name, "value", o->value, "letter", letter,
			      "many", o->many, "help", o->help));
	}
	return list;
}

static int
table_json(void)
{
	json_t *list = json_array(), *all;

	for (const struct verb *v = verbs; v->path != NULL; v++)
		(void)json_array_append_new(list,
		    json_pack("{s:s, s:s, s:s, s:s?, s:o}", "verb", v->path,
			"arguments", v->arguments, "help", v->help, "more",
			v->more, "options", options_json(v->options)));
	all = json_pack("{s:o, s:o}", "everywhere", options_json(verb_globals),
	    "verbs", list);
	int r = all == NULL ? CLI_FAILED : cli_print_json(all);
	json_decref(all);
	return r;
}

int
help_run(struct cli *cli, const struct args *a)
{
	char path[160] = "";
	struct cli_error e;
	const struct verb *v;

	if (cli->json)
		return table_json();
	if (a->n_words > 0)
		(void)snprintf(path, sizeof(path), "%s%s%s", a->words[0],
		    a->n_words > 1 ? " " : "",
		    a->n_words > 1 ? a->words[1] : "");
	v = verb_find(path);
	if (v == NULL && path[0] != '\0' && !verb_is_group(path)) {
		(void)cli_error(&e, CLI_USAGE, "help", "hatcheck --help",
		    "there is no verb \"%s\"", path);
		return cli_report(cli, &e);
	}
	help_print(stdout, path, v);
	return fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
}

int
version_run(struct cli *cli, const struct args *a)
{
	json_t *j;

	(void)a;
	if (!cli->json)
		return printf("hatcheck %s (build %s)\n", VERSION,
			   link_build_id()) < 0
			   ? CLI_FAILED
			   : CLI_OK;
	j = json_pack(
	    "{s:s, s:s}", "version", VERSION, "build", link_build_id());
	int r = j == NULL ? CLI_FAILED : cli_print_json(j);
	json_decref(j);
	return r;
}
