/* SPDX-License-Identifier: ISC */
/* What for: sorting a command line by the table of verbs. Trusts: the
 * table. At a bound: a usage error that says which word. Words that look
 * like secrets are never repeated. */
#include "cli/verb.h"

#include "cli/parse.h"
#include "cli/secret_input.h"

#include <string.h>

const struct verb_option verb_globals[] = {
    {"home", "DIR", 0, false,
	"keep configuration, state, sockets and logs under DIR"},
    {"json", NULL, 0, false, "documents of the API instead of tables"},
    {"help", NULL, 'h', false, "say what this does"},
    {NULL},
};

/* "--sk-..." and "--note=sk-..." hide one as well. */
static const char *
shown(const char *word)
{
	const char *equals = strchr(word, '=');

	if (secret_looks_like(word + strspn(word, "-")) ||
	    (equals != NULL && secret_looks_like(equals + 1)))
		return "(what looks like a secret)";
	return word;
}

static int
usage_error(struct cli_error *e, const struct verb *v, const char *why,
    const char *word)
{
	char next[256];

	(void)snprintf(next, sizeof(next), "hatcheck %s%s--help",
	    v == NULL ? "" : v->path, v == NULL ? "" : " ");
	return cli_error(e, CLI_USAGE, v == NULL ? "usage" : v->path, next,
	    "%s%s%s", why, word == NULL ? "" : " ",
	    word == NULL ? "" : shown(word));
}

const struct verb *
verb_find(const char *path)
{
	for (const struct verb *v = verbs; v->path != NULL; v++) {
		if (strcmp(v->path, path) == 0)
			return v;
	}
	return NULL;
}

bool
verb_is_group(const char *word)
{
	size_t n = strlen(word);

	for (const struct verb *v = verbs; v->path != NULL; v++) {
		if (strncmp(v->path, word, n) == 0 && v->path[n] == ' ')
			return true;
	}
	return false;
}

static const struct verb_option *
find_in(const struct verb_option *o, const char *name, size_t n, char letter)
{
	for (; o != NULL && o->name != NULL; o++) {
		if (letter != 0 ? o->letter == letter
				: strlen(o->name) == n &&
				      strncmp(o->name, name, n) == 0)
			return o;
	}
	return NULL;
}

const struct verb_option *
verb_option_find(const struct verb *v, const char *word, const char **value)
{
	const struct verb_option *o;
	const char *name, *equals = NULL;
	char letter = 0;
	size_t n;

	*value = NULL;
	if (word[1] == '-') {
		name = word + 2;
		equals = strchr(name, '=');
		n = equals == NULL ? strlen(name) : (size_t)(equals - name);
		*value = equals == NULL ? NULL : equals + 1;
	} else {
		name = word + 1;
		n = 1;
		letter = word[1];
		*value = word[2] == '\0' ? NULL : word + 2;
	}
	o = v == NULL ? NULL : find_in(v->options, name, n, letter);
	return o != NULL ? o : find_in(verb_globals, name, n, letter);
}

bool
verb_takes_command(const struct verb *v)
{
	return strncmp(v->arguments, "-- ", 3) == 0;
}

void
verb_counts(const struct verb *v, size_t *least, size_t *most)
{
	const char *p = v->arguments;

	*least = *most = 0;
	while (*p != '\0') {
		size_t n = strcspn(p, " ");
		bool optional = *p == '[';
		if (n == 2 && strncmp(p, "--", 2) == 0) {
			p += n + (p[n] == ' ');
			continue;
		}
		*least += optional ? 0 : 1;
		*most += 1;
		if (n > 3 && strncmp(p + n - 3, "...", 3) == 0)
			*most = ARGS_MAX;
		p += n + (p[n] == ' ');
	}
}

/* State of one pass over argv. */
struct pass {
	struct parsed *out;
	struct args *args;
	char group[64]; /* first word of a verb of two */
	bool ended;	/* no options from here on */
};

static int
take_option(struct pass *s, int argc, char **argv, int *i, struct cli_error *e)
{
	const struct verb *v = s->args->verb;
	const char *value;
	const struct verb_option *o = verb_option_find(v, argv[*i], &value);

	if (o == NULL)
		return usage_error(e, v, "there is no option", argv[*i]);
	if (o->value == NULL && value != NULL)
		return usage_error(e, v, "no value goes with", argv[*i]);
	if (o->value != NULL && value == NULL) {
		if (*i + 1 >= argc)
			return usage_error(
			    e, v, "a value is missing after", argv[*i]);
		value = argv[++*i];
	}
	if (o == &verb_globals[0])
		s->out->home = value;
	else if (o == &verb_globals[1])
		s->out->json = true;
	else if (o == &verb_globals[2])
		s->out->help = true;
	else if (!o->many && args_has(s->args, o->name))
		return usage_error(e, v, "given twice:", argv[*i]);
	else if (s->args->n_given == ARGS_MAX)
		return usage_error(e, v, "too many options", NULL);
	else {
		s->args->given[s->args->n_given].option = o;
		s->args->given[s->args->n_given++].value = value;
	}
	return 0;
}

/* A word before the verb is known. */
static int
take_verb_word(struct pass *s, const char *word, struct cli_error *e)
{
	char path[160];

	if (s->group[0] == '\0') {
		(void)snprintf(path, sizeof(path), "%s", word);
	} else {
		(void)snprintf(path, sizeof(path), "%s %s", s->group, word);
	}
	s->args->verb = verb_find(path);
	if (s->args->verb != NULL)
		return 0;
	if (s->group[0] == '\0' && strlen(word) < sizeof(s->group) &&
	    verb_is_group(word)) {
		(void)snprintf(s->group, sizeof(s->group), "%s", word);
		return 0;
	}
	return cli_error(e, CLI_USAGE, "usage",
	    s->group[0] == '\0' ? "hatcheck --help" : "see --help of the group",
	    "there is no verb \"%s\"", shown(path));
}

static int
take_word(struct pass *s, char **argv, int i, struct cli_error *e)
{
	size_t least, most;

	if (s->args->verb == NULL)
		return take_verb_word(s, argv[i], e);
	verb_counts(s->args->verb, &least, &most);
	if (verb_takes_command(s->args->verb))
		s->ended = true; /* what follows is the command's */
	if (s->args->n_words >= most)
		return usage_error(
		    e, s->args->verb, "unexpected argument", argv[i]);
	s->args->words[s->args->n_words++] = argv[i];
	return 0;
}

int
verb_parse(int argc, char **argv, struct parsed *out, struct cli_error *e)
{
	struct pass s = {.out = out, .args = &out->args};
	size_t least, most;
	int r = 0;

	for (int i = 1; i < argc && r == 0; i++) {
		if (!s.ended && strcmp(argv[i], "--") == 0)
			s.ended = true;
		else if (!s.ended && argv[i][0] == '-' && argv[i][1] != '\0')
			r = take_option(&s, argc, argv, &i, e);
		else
			r = take_word(&s, argv, i, e);
	}
	(void)snprintf(out->group, sizeof(out->group), "%s", s.group);
	if (r != 0 || out->help)
		return r;
	if (out->args.verb == NULL)
		return usage_error(e, NULL,
		    s.group[0] == '\0' ? "no verb was given"
				       : "a verb is missing after",
		    s.group[0] == '\0' ? NULL : s.group);
	verb_counts(out->args.verb, &least, &most);
	if (out->args.n_words < least)
		return usage_error(
		    e, out->args.verb, "expected:", out->args.verb->arguments);
	return 0;
}

bool
args_has(const struct args *a, const char *option)
{
	return args_nth(a, option, 0) != NULL;
}

const char *
args_value(const struct args *a, const char *option)
{
	const char *last = NULL;

	for (size_t i = 0; i < a->n_given; i++) {
		if (strcmp(a->given[i].option->name, option) == 0)
			last = a->given[i].value;
	}
	return last;
}

const char *
args_nth(const struct args *a, const char *option, size_t i)
{
	for (size_t k = 0; k < a->n_given; k++) {
		if (strcmp(a->given[k].option->name, option) != 0)
			continue;
		if (i-- == 0)
			return a->given[k].value == NULL ? ""
							 : a->given[k].value;
	}
	return NULL;
}

int
args_number(const struct args *a, const char *option, uint64_t max,
    uint64_t fallback, uint64_t *out, struct cli_error *e)
{
	const char *value = args_value(a, option);

	if (value == NULL) {
		*out = fallback;
		return 0;
	}
	if (span_u64(span_str(value), max, out) != 0)
		return usage_error(e, a->verb, "not a number in range:", value);
	return 0;
}
