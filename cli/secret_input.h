/* SPDX-License-Identifier: ISC */
/*
 * Secrets come from a terminal (no echo), from standard input or from a
 * file, straight into a struct keep; never from an argument or the
 * environment.
 */
#ifndef CLI_SECRET_INPUT_H
#define CLI_SECRET_INPUT_H

#include "cli/cli.h"
#include "lib/secret.h"

struct secret_input {
	const char *prompt; /* "Value of demo" */
	const char *file;   /* --from-file, "-" for stdin, or NULL */
	bool twice;	    /* ask again and compare (new passphrases) */
};

/* Terminal when stdin is one and no file was named. One trailing newline is
 * cut from a pipe or a terminal, none from a file; anything else is kept,
 * NUL included. */
int secret_read(
    const struct secret_input *in, struct keep **out, struct cli_error *e);

/* The same from an open fd: all of it, at most KEEP_MAX. */
int secret_read_fd(
    int fd, bool cut_newline, struct keep **out, struct cli_error *e);

/* Does this argument look like a key (known prefixes, or long and random)?
 * Arguments are visible to every process of the machine. */
bool secret_looks_like(const char *text);

#endif
