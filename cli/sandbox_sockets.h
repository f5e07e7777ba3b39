/* SPDX-License-Identifier: ISC */
/*
 * Sockets of the host's in what a sandbox may see: even a read-only mount
 * lets a program connect() to them, and what listens there (an editor, a
 * database, a process manager) acts with the user's rights. Each is covered
 * with /dev/null for the time of the run.
 *
 * Limits: what is made after the start is not covered; at most
 * SANDBOX_SOCKETS of them, and SANDBOX_ENTRIES files looked at in each
 * tree, beyond which the user is told that it was not looked at whole.
 */
#ifndef CLI_SANDBOX_SOCKETS_H
#define CLI_SANDBOX_SOCKETS_H

#include "lib/buf.h"

#include <stdbool.h>

#define SANDBOX_SOCKETS 64
#define SANDBOX_ENTRIES 500000

struct sandbox_sockets {
	char *path[SANDBOX_SOCKETS];
	size_t n;
	bool whole; /* all was looked at */
};

/* Look through the tree at root, within its file system, without following
 * links; adds to s (zeroed at first, but whole = true). ERR_NOMEM. */
MUST_USE int sandbox_sockets_find(struct sandbox_sockets *s, const char *root);
void sandbox_sockets_free(struct sandbox_sockets *s);
/* Append bwrap's words, NUL-ended each; they come after the binds. */
MUST_USE int
sandbox_sockets_words(const struct sandbox_sockets *s, struct buf *out);

#endif
