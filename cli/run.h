/* SPDX-License-Identifier: ISC */
/*
 * `hatcheck run -- COMMAND`: a session for one command, and the command in
 * a sandbox without network (cli/sandbox.h) whose only way out is the
 * session's channel. The session ends with the command.
 */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/verb.h"

extern const struct verb_option run_options[];

/* The command's exit status (128 + N when signal N ended it), or
 * CLI_RUN_FAILED, _CANNOT, _MISSING; usage errors as everywhere. */
int run_verb(struct cli *cli, const struct args *args);

#endif
