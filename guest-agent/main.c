/* SPDX-License-Identifier: ISC */
/*
 * hatcheck-guest: the small helper inside a sandbox. One table of verbs
 * feeds dispatch and --help.
 * Trusts its command line; reads no configuration file.
 * Anything it does not understand is a usage error, status 2.
 */
#include "guest-agent/text.h"
#include "guest-agent/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Which options a verb takes, besides --channel and --help. */
enum takes {
	TAKES_PORT = 1 << 0,
	TAKES_PRINT_ENV = 1 << 1,
	TAKES_SHELL = 1 << 2,
	TAKES_OUT = 1 << 3,
	TAKES_BUNDLE = 1 << 4,
	TAKES_WAIT = 1 << 5,
	TAKES_JSON = 1 << 6,
	TAKES_ALLOW = 1 << 7,
	TAKES_TTL = 1 << 8,
	TAKES_AS = 1 << 9
};

static const struct verb {
	const char *name;
	const char *arguments;
	const char *help;
	int (*run)(const struct options *o);
	unsigned takes;
	int least, most; /* words; most -1: any */
} verbs[] = {
    {"run",
	"[--wait S] [--allow RULE]... [--ttl TIME] [--as NAME] "
	"-- COMMAND [ARG]...",
	"run a command with everything set; with --allow, kept apart and with "
	"less",
	verb_run, TAKES_WAIT | TAKES_ALLOW | TAKES_TTL | TAKES_AS, 1, -1},
    {"serve", "[--port N] [--wait S] [--print-env]",
	"bridge a loopback port to the host until a signal ends it", verb_serve,
	TAKES_PORT | TAKES_WAIT | TAKES_PRINT_ENV, 0, 0},
    {"env", "[--shell sh|fish|json]",
	"print the variables for clients of a running bridge", verb_env,
	TAKES_SHELL, 0, 0},
    {"token", "", "print a fresh session token", verb_token, 0, 0, 0},
    {"ca", "[--bundle] [--out FILE]", "print the session's root certificate",
	verb_ca, TAKES_OUT | TAKES_BUNDLE, 0, 0},
    {"git-credential", "get|store|erase", "answer git as its helper",
	verb_git_credential, 0, 1, 1},
    {"api-key", "NAME", "print the placeholder of a credential", verb_api_key,
	0, 1, 1},
    {"status", "", "say what this session is and may reach", verb_status, 0, 0,
	0},
    {"doctor", "[--json]", "look for what is wrong, and say how to mend it",
	verb_doctor, TAKES_JSON, 0, 0},
    {"trust", "install|remove [--wait S]",
	"let the system, Java and NSS trust this session, or no longer",
	verb_trust, TAKES_WAIT, 1, 1},
    {"version", "", "print the version", verb_version, 0, 0, 0},
};

static const struct flag {
	const char *name;
	unsigned takes; /* 0: every verb */
	bool value;
	const char *help;
} flags[] = {
    {"--channel", 0, true,
	"PATH  the host's directory or socket, or vsock:2 "
	"(" CHANNEL_DEFAULT ")"},
    {"--port", TAKES_PORT, true, "N  listen there; 0: any (8377)"},
    {"--wait", TAKES_WAIT, true,
	"S  seconds to wait for the host (run, trust 10, serve 300)"},
    {"--allow", TAKES_ALLOW, true,
	"RULE  only this: 'GET,HEAD HOST/PATH', or a grant's name"},
    {"--ttl", TAKES_TTL, true, "TIME  no longer than that: 90, 10m, 2h"},
    {"--as", TAKES_AS, true, "NAME  of the sub-agent, for the log"},
    {"--print-env", TAKES_PRINT_ENV, false,
	"print the variables once it serves"},
    {"--shell", TAKES_SHELL, true, "S  sh, fish or json"},
    {"--bundle", TAKES_BUNDLE, false, "the system's roots too"},
    {"--out", TAKES_OUT, true, "FILE  write there"},
    {"--json", TAKES_JSON, false, "for programs"},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
usage(FILE *to)
{
	fprintf(to, "usage: hatcheck-guest [--channel PATH] VERB ...\n\n");
	for (size_t i = 0; i < COUNT(verbs); i++)
		fprintf(to, "  %s%s%s\n        %s\n", verbs[i].name,
		    *verbs[i].arguments ? " " : "", verbs[i].arguments,
		    verbs[i].help);
	fprintf(to, "\noptions:\n");
	for (size_t i = 0; i < COUNT(flags); i++)
		fprintf(to, "  %s %s\n", flags[i].name, flags[i].help);
	fprintf(to, "\nSee hatcheck-guest(1).\n");
}

static const struct verb *
find_verb(const char *name)
{
	for (size_t i = 0; i < COUNT(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	warn("no verb \"%s\" (next: hatcheck-guest --help)", name);
	exit(EXIT_USAGE);
}

static const struct flag *
find_flag(const struct verb *v, const char *word, size_t n)
{
	for (size_t i = 0; i < COUNT(flags); i++) {
		const struct flag *f = &flags[i];

		if (strlen(f->name) == n && strncmp(f->name, word, n) == 0 &&
		    (f->takes == 0 || (v != NULL && (v->takes & f->takes))))
			return f;
	}
	warn("no option \"%s\" here (next: hatcheck-guest --help)", word);
	exit(EXIT_USAGE);
}

static int
seconds(const char *s)
{
	char *end = NULL;
	long n = s == NULL ? -1 : strtol(s, &end, 10);

	if (n < 0 || *s < '0' || *s > '9' || *end != '\0' || n > WAIT_MAX)
		die(EXIT_USAGE, "--wait: seconds from 0 to %d are wanted",
		    WAIT_MAX);
	return (int)n;
}

static void
set(struct options *o, const struct flag *f, const char *value)
{
	switch (f->takes) {
	case TAKES_PORT:
		o->port = value;
		break;
	case TAKES_PRINT_ENV:
		o->print_env = true;
		break;
	case TAKES_SHELL:
		o->shell = value;
		break;
	case TAKES_OUT:
		o->out = value;
		break;
	case TAKES_BUNDLE:
		o->bundle = true;
		break;
	case TAKES_WAIT:
		o->wait = seconds(value);
		break;
	case TAKES_JSON:
		o->json = true;
		break;
	case TAKES_ALLOW:
		if (o->n_allow == ALLOW_MAX)
			die(EXIT_USAGE, "at most %d times --allow", ALLOW_MAX);
		o->allow[o->n_allow++] = value;
		break;
	case TAKES_TTL:
		o->ttl = value;
		break;
	case TAKES_AS:
		o->as = value;
		break;
	default:
		channel_find(&o->channel, value);
	}
}

/* One option at words[0], "--name value" or "--name=value"; answers how
 * many words it took. */
static int
take_flag(struct options *o, const struct verb *v, char **words)
{
	const char *eq = strchr(words[0], '=');
	const struct flag *f = find_flag(
	    v, words[0], eq ? (size_t)(eq - words[0]) : strlen(words[0]));

	if (!f->value && eq != NULL)
		die(EXIT_USAGE, "%s takes no value", f->name);
	if (f->value && eq == NULL && words[1] == NULL)
		die(EXIT_USAGE, "%s wants a value", f->name);
	set(o, f, !f->value ? NULL : eq ? eq + 1 : words[1]);
	return f->value && eq == NULL ? 2 : 1;
}

/* Options and the verb; options end at "--" or at the first word after the
 * verb. */
static const struct verb *
parse(char **words, struct options *o)
{
	const struct verb *v = NULL;

	for (;;) {
		if (*words == NULL)
			break;
		if (strcmp(*words, "--help") == 0 ||
		    strcmp(*words, "-h") == 0) {
			usage(stdout);
			exit(0);
		}
		if (v != NULL && strcmp(*words, "--") == 0) {
			words++;
			break;
		}
		if (**words == '-' && (*words)[1] != '\0')
			words += take_flag(o, v, words);
		else if (v == NULL)
			v = find_verb(*words++);
		else
			break;
	}
	o->words = words;
	while (words[o->n_words] != NULL)
		o->n_words++;
	return v;
}

int
main(int argc, char **argv)
{
	struct options o = {.wait = -1};
	const struct verb *v;

	(void)argc;
	channel_find(&o.channel, NULL);
	v = parse(argv + (argv[0] != NULL), &o);
	if (v == NULL) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (o.n_words < v->least || (v->most >= 0 && o.n_words > v->most))
		die(EXIT_USAGE, "usage: hatcheck-guest %s %s", v->name,
		    v->arguments);
	return v->run(&o);
}
