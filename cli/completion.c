/* SPDX-License-Identifier: ISC */
/* What for: what may come next on the command line. The shells' scripts
 * only ask `hatcheck completion words`, so the table of verbs decides.
 * Trusts: nothing. At a bound: offers less. */
#include "cli/verbs.h"

#include "cli/admin.h"
#include "cli/parse.h"
#include "cli/preset.h"
#include "cli/text.h"
#include "cli/vault_client.h"

#include <stdio.h>
#include <string.h>

static const char bash_script[] =
    "_hatcheck() {\n"
    "\tlocal IFS=$'\\n'\n"
    "\tCOMPREPLY=($(hatcheck completion words -- "
    "\"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null))\n"
    "\tif [ \"${COMPREPLY[0]}\" = ':file' ]; then\n"
    "\t\tCOMPREPLY=($(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
    "\tfi\n"
    "}\n"
    "complete -o filenames -F _hatcheck hatcheck\n";

static const char zsh_script[] =
    "#compdef hatcheck\n"
    "_hatcheck() {\n"
    "\tlocal -a found\n"
    "\tfound=(\"${(@f)$(hatcheck completion words -- "
    "\"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
    "\tif [[ \"$found[1]\" == ':file' ]]; then _files; "
    "else compadd -a found; fi\n"
    "}\n"
    "compdef _hatcheck hatcheck\n";

static const char fish_script[] =
    "function __hatcheck\n"
    "\tset -l found (hatcheck completion words -- "
    "(commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)\n"
    "\tif test \"$found[1]\" = ':file'\n"
    "\t\t__fish_complete_path (commandline -ct)\n"
    "\telse\n"
    "\t\tprintf '%s\\n' $found\n"
    "\tend\n"
    "end\n"
    "complete -c hatcheck -f -a '(__hatcheck)'\n";

/* One candidate, if it goes on from what was typed. */
static void
offer(const char *typed, const char *word)
{
	char shown[256];

	if (strncmp(word, typed, strlen(typed)) != 0)
		return;
	text_escape(span_str(word), false, shown, sizeof(shown));
	(void)puts(shown);
}

/* The first word of a path, or its second when group is its first. */
static void
offer_verbs(const char *group, const char *typed)
{
	char word[64], last[64] = "";
	size_t n = strlen(group);

	for (const struct verb *v = verbs; v->path != NULL; v++) {
		const char *p = v->path;
		if (n > 0 && (strncmp(p, group, n) != 0 || p[n] != ' '))
			continue;
		p += n == 0 ? 0 : n + 1;
		(void)snprintf(
		    word, sizeof(word), "%.*s", (int)strcspn(p, " "), p);
		if (strcmp(word, last) != 0) /* a group's verbs are adjacent */
			offer(typed, word);
		memcpy(last, word, sizeof(last));
	}
}

static void
offer_options(const struct verb_option *o, const char *typed)
{
	char word[64];

	for (; o != NULL && o->name != NULL; o++) {
		(void)snprintf(word, sizeof(word), "--%s", o->name);
		offer(typed, word);
	}
}

/* The strings at key of every object of list; key NULL: of the list. */
static void
offer_each(const json_t *list, const char *key, const char *typed)
{
	const json_t *j;
	size_t i;

	json_array_foreach (list, i, j) {
		if (key == NULL && json_is_string(j))
			offer(typed, json_string_value(j));
		else if (key != NULL)
			offer(typed, cli_string(j, key));
	}
}

/* Names that only the running daemon knows; none when it does not run. */
static void
offer_known(struct cli *cli, const char *what, const char *typed)
{
	struct cli_error e;
	json_t *out = NULL;

	if (strcmp(what, "credential") == 0) {
		if (vault_call(
			cli, "credential.list", "", NULL, NULL, &out, &e) == 0)
			offer_each(out, "name", typed);
	} else if (strcmp(what, "grant") == 0) {
		if (admin_call(cli, "grant.list", NULL, &out, &e) == 0)
			offer_each(
			    json_object_get(out, "grants"), "name", typed);
	} else if (strcmp(what, "session") == 0) {
		if (admin_call(cli, "session.list", NULL, &out, &e) == 0)
			offer_each(
			    json_object_get(out, "sessions"), "id", typed);
	} else if (strcmp(what, "preset") == 0) {
		if (preset_names(cli, &out, &e) == 0)
			offer_each(out, NULL, typed);
	}
	json_decref(out);
}

static void
offer_fixed(const char *const *words, const char *typed)
{
	for (; *words != NULL; words++)
		offer(typed, *words);
}

static const char *const backends[] = {"sealed-file", "secret-service", NULL};
static const char *const keys[] = {
    "key-file", "passphrase", "systemd-credential", NULL};
static const char *const kinds[] = {"bearer", "header", "basic", "query", NULL};
static const char *const shells[] = {"bash", "zsh", "fish", NULL};

/* Values of an option or word that is called so in the table. */
static void
offer_values(struct cli *cli, const char *name, const char *typed)
{
	static const struct {
		const char *name;
		const char *const *words;
	} fixed[] = {{"backend", backends}, {"vault", backends}, {"key", keys},
	    {"kind", kinds}, {"shell", shells}};
	static const char *const files[] = {
	    "file", "key-file", "from-file", "home", "dir", "bind", "ro-bind"};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		if (strcmp(fixed[i].name, name) == 0)
			offer_fixed(fixed[i].words, typed);
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (strcmp(files[i], name) == 0)
			(void)puts(":file");
	}
	offer_known(cli, name, typed);
}

/* Walk what stands before the last word as the parser would, forgivingly:
 * which verb, and does the last word belong to an option? */
struct place {
	const struct verb *verb;
	char path[160];
	const struct verb_option *wants_value;
	bool ended;
};

static void
step(struct place *p, const char *word)
{
	const char *value;

	if (p->wants_value != NULL) {
		p->wants_value = NULL;
	} else if (word[0] == '-' && word[1] != '\0') {
		p->ended |= strcmp(word, "--") == 0;
		const struct verb_option *o =
		    verb_option_find(p->verb, word, &value);
		if (o != NULL && o->value != NULL && value == NULL)
			p->wants_value = o;
	} else if (p->verb == NULL) {
		size_t n = strlen(p->path);
		(void)snprintf(p->path + n, sizeof(p->path) - n, "%s%s",
		    n == 0 ? "" : " ", word);
		p->verb = verb_find(p->path);
	} else if (verb_takes_command(p->verb)) {
		p->ended = true;
	}
}

static void
offer_at(struct cli *cli, const struct place *p, const char *typed)
{
	if (p->wants_value != NULL) {
		offer_values(cli, p->wants_value->name, typed);
	} else if (p->ended) {
		(void)puts(":file");
	} else if (typed[0] == '-') {
		offer_options(p->verb == NULL ? NULL : p->verb->options, typed);
		offer_options(verb_globals, typed);
	} else if (p->verb == NULL) {
		offer_verbs(p->path, typed);
	} else if (p->verb->names != NULL) {
		offer_values(cli, p->verb->names, typed);
	}
}

static int
complete(struct cli *cli, const struct args *a)
{
	struct place p = {0};

	for (size_t i = 1; i + 1 < a->n_words; i++)
		step(&p, a->words[i]);
	offer_at(cli, &p, a->n_words > 1 ? a->words[a->n_words - 1] : "");
	return fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
}

int
completion_run(struct cli *cli, const struct args *a)
{
	static const struct {
		const char *shell, *script;
	} scripts[] = {
	    {"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
	struct cli_error e;

	if (strcmp(a->words[0], "words") == 0)
		return complete(cli, a);
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		if (strcmp(scripts[i].shell, a->words[0]) == 0)
			return fputs(scripts[i].script, stdout) == EOF
				   ? CLI_FAILED
				   : CLI_OK;
	}
	(void)cli_error(&e, CLI_USAGE, "completion", "bash, zsh or fish",
	    "there is none for \"%s\"", a->words[0]);
	return cli_report(cli, &e);
}
