/* SPDX-License-Identifier: ISC */
/*
 * The table of verbs (cli/verbs.c). It alone feeds dispatch, option
 * parsing, --help, completion and the check of hatcheck(1).
 */
#ifndef CLI_VERB_H
#define CLI_VERB_H

#include "cli/cli.h"

#define ARGS_MAX 512 /* options given in one call */

struct verb_option {
	const char *name;  /* "host": --host VALUE or --host=VALUE */
	const char *value; /* "HOST", or NULL for a flag */
	char letter;	   /* 'n': -n VALUE too, or 0 */
	bool many;	   /* may be given again */
	const char *help;
};

/* What was typed, sorted by the verb's table. Borrows from argv. */
struct args {
	const struct verb *verb;
	const char **words; /* without the verb's own; NULL-terminated */
	size_t n_words;
	struct {
		const struct verb_option *option;
		const char *value;
	} given[ARGS_MAX];
	size_t n_given;
};

struct verb {
	const char *path;		   /* "credential add" */
	const char *arguments;		   /* "NAME", "METHOD URL", "[SESSION]",
					    * "-- COMMAND [ARG]..." (options end at the
					    * first word or at "--"), or "" */
	const char *help;		   /* one line */
	const struct verb_option *options; /* ends with name NULL; or NULL */
	const char *more; /* further lines for --help, or NULL */
	int (*run)(struct cli *cli, const struct args *args);
	/* For completion: what the first word names ("credential", "grant",
	 * "session", "preset", "file"), or NULL. */
	const char *names;
	bool homeless; /* does not need our directories */
};

/* Ends with path NULL. */
extern const struct verb verbs[];

/* --home and --json, understood everywhere. */
extern const struct verb_option verb_globals[];

bool args_has(const struct args *a, const char *option);
/* The last value given, or NULL. */
const char *args_value(const struct args *a, const char *option);
/* The i-th value of an option that may be given again, or NULL. */
const char *args_nth(const struct args *a, const char *option, size_t i);
/* A plain decimal up to max; fallback when not given. */
int args_number(const struct args *a, const char *option, uint64_t max,
    uint64_t fallback, uint64_t *out, struct cli_error *e);

#endif
