/* SPDX-License-Identifier: ISC */
/*
 * The files of a project that run later, outside the sandbox, when a tool
 * of the user merely enters or opens the project: git's hooks and
 * configuration, editors' settings, direnv and the like.
 *
 *	there already	read-only in the sandbox, and every directory on
 *			the way to it is a mount of its own, so that it
 *			cannot be renamed away
 *	a directory	made, empty, mounted read-only, and removed again
 *	not there	at the end when nothing is in it and no other run
 *			is in the project
 *	a file not	if it is there at the end it was made inside: it is
 *	there		renamed to NAME.hatcheck-held, and the user is told
 *	a link		refused: what it names cannot be pinned
 *
 * Limits (docs/THREATS.md): directories below the project can hold such
 * files too; so can build files, scripts and installed packages, which the
 * user runs knowingly; a file that the user replaces outside meanwhile
 * loses its read-only mount, so at the end changes are reported.
 */
#ifndef CLI_SANDBOX_GUARD_H
#define CLI_SANDBOX_GUARD_H

#include "cli/cli.h"
#include "lib/buf.h"

#include <stdbool.h>
#include <sys/stat.h>

#define GUARD_MAX 64 /* more than guard.c has rows */

struct guard {
	char root[PATH_MAX];
	int fd; /* of root, with a shared lock while we run; -1: not open */
	struct guard_item {
		const char *name; /* relative to root */
		enum {
			GUARD_PIN,   /* a directory on the way: read-write */
			GUARD_SEAL,  /* there: read-only */
			GUARD_GHOST, /* empty: read-only, then removed */
			GUARD_WATCH  /* not there: must not appear */
		} state;
		struct stat was; /* of GUARD_SEAL */
	} items[GUARD_MAX];
	size_t n;
};

/* Look at the writable directory root (resolved), and make ghosts. */
int guard_open(struct guard *g, const char *root, struct cli_error *e)
    __attribute__((warn_unused_result));
/* Append bwrap's words, NUL-ended each; they come after root's own bind. */
MUST_USE int guard_words(const struct guard *g, struct buf *out);
/* When the sandbox is gone: remove ghosts, hold back what appeared. Each
 * finding is one call of told, a sentence. Answers how many there were. */
size_t guard_close(
    struct guard *g, void (*told)(void *arg, const char *sentence), void *arg);

#endif
