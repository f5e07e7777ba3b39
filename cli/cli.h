/* SPDX-License-Identifier: ISC */
/*
 * What every verb of `hatcheck` stands on: where things are, how to say
 * things, how to fail.
 *
 * A function that can fail fills a struct cli_error and returns its code;
 * the verb's handler reports it once, as the last thing it does:
 *
 *	if ((r = admin_call(cli, "grant.list", NULL, &out, &e)) != 0)
 *		return cli_report(cli, &e);
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "lib/paths.h"
#include "lib/span.h"

#include <jansson.h>

/* Stable, and documented in hatcheck(1). */
enum cli_code {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NOT_RUNNING = 3,
	CLI_LOCKED = 4,
	CLI_DENIED = 5,
	CLI_NOT_FOUND = 6,
	CLI_CHECK_FAILED = 7, /* verify or doctor found something */
	CLI_RUN_FAILED = 125, /* run: before the command began */
	CLI_RUN_CANNOT = 126, /* run: the command cannot be executed */
	CLI_RUN_MISSING = 127 /* run: no such command */
};

struct cli {
	struct paths paths;
	const char *home; /* --home, absolute, or NULL */
	bool json;
	char bindir[PATH_MAX]; /* of this binary; guest agent, hatcheckd */
};

/* what: the act that failed ("store the credential"); why: a sentence;
 * next: what to do, or empty. Foreign text in it is escaped when shown. */
struct cli_error {
	int code; /* enum cli_code, never 0 */
	char what[160];
	char why[1024];
	char next[512];
};

/* Fill e and return code. */
int cli_error(struct cli_error *e, int code, const char *what, const char *next,
    const char *why, ...) __attribute__((format(printf, 5, 6)));
/* From a lib/err.h code. */
int cli_error_from(
    struct cli_error *e, int err, const char *what, const char *next);
/* "hatcheck: WHAT: WHY\n  next: NEXT\n" on stderr, or one line of JSON
 * (title, detail, next, exit) with --json; returns e->code. */
int cli_report(const struct cli *cli, const struct cli_error *e);
/* A remark for people on stderr; nothing with --json. */
void cli_note(const struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The document on stdout, one per call, indented on a terminal. Returns 0,
 * or CLI_FAILED when stdout cannot be written. */
int cli_print_json(const json_t *document);

/* The string at key of an object, or "". */
const char *cli_string(const json_t *object, const char *key);
/* Unix seconds as local "2026-11-23 15:04", or "-" for 0. */
const char *cli_time(int64_t t, char out[static 32]);

#endif
