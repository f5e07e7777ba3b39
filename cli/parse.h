/* SPDX-License-Identifier: ISC */
/*
 * A command line, sorted by the table of verbs; pure. What main(), help and
 * completion share.
 */
#ifndef CLI_PARSE_H
#define CLI_PARSE_H

#include "cli/verb.h"

struct parsed {
	struct args args; /* .words is the caller's array of argc + 1 */
	const char *home;
	bool json, help;
	char group[64]; /* "credential" when that was the first word */
};

/* 0, or CLI_USAGE. With --help a verb may be missing. */
int verb_parse(int argc, char **argv, struct parsed *out, struct cli_error *e)
    __attribute__((warn_unused_result));

const struct verb *verb_find(const char *path);
/* Is there a verb of two words that starts with this one? */
bool verb_is_group(const char *word);
/* The option that "--name", "--name=value", "-n" or "-nvalue" means for v
 * (NULL: globals only); *value points behind "=" or the letter, or NULL. */
const struct verb_option *
verb_option_find(const struct verb *v, const char *word, const char **value);
/* How many words a verb takes. */
void verb_counts(const struct verb *v, size_t *least, size_t *most);
/* Its words are a command line of its own ("run"). */
bool verb_takes_command(const struct verb *v);

#endif
