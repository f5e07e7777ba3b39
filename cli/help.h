/* SPDX-License-Identifier: ISC */
/*
 * What the table of verbs says about itself: help at every level, and all
 * of it as JSON for the manual page's test.
 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/verb.h"

#include <stdio.h>

/* verb NULL: of the group, or with an empty group of the whole program. */
void help_print(FILE *f, const char *group, const struct verb *verb);

/* `hatcheck help [VERB]...`; with --json the whole table. */
int help_run(struct cli *cli, const struct args *a);
int version_run(struct cli *cli, const struct args *a);

#endif
