/* SPDX-License-Identifier: ISC */
/*
 * What each child is: one table. The programs are opened once, at start,
 * from the directory that hatcheckd itself was run from (who can write
 * there can replace hatcheckd as well) or else from LIBEXECDIR, and run by
 * those descriptors ever after.
 */
#ifndef SUPERVISOR_ROLES_H
#define SUPERVISOR_ROLES_H

#include "lib/link.h"

#include <sys/types.h>

#define ROLES_MAX 8 /* indexes by enum link_role */

struct role {
	const char *program; /* file name; NULL: no child of ours */
	const char *user;    /* as a system service */
	bool per_session;
};
extern const struct role roles[ROLES_MAX];

struct role_ids {
	bool apart; /* we are root: a uid per role */
	uid_t uid[ROLES_MAX];
	gid_t gid[ROLES_MAX];
};

/* As root: the users of the table. why says how to get them. */
MUST_USE int role_ids_find(struct role_ids *out, char *why, size_t size);

/* Close-on-exec descriptors of the programs. */
struct helpers {
	int fd[ROLES_MAX];
};
MUST_USE int helpers_open(struct helpers *out, char *why, size_t size);

#endif
