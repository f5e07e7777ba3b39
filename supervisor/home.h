/* SPDX-License-Identifier: ISC */
/*
 * The directories, the pid file and the two listening sockets: made and
 * checked once, at start, before any child exists. Every directory is 0700
 * and ours. As a system service state/vault, state/minter and log/audit
 * belong to their roles, the ways to them and to the sockets can be
 * traversed (0711), --home itself included, and the configuration can be read
 * by the vault (0755).
 */
#ifndef SUPERVISOR_HOME_H
#define SUPERVISOR_HOME_H

#include "lib/paths.h"
#include "supervisor/roles.h"

struct home {
	struct paths paths;
	char vault_state[PATH_MAX], minter_state[PATH_MAX], audit[PATH_MAX];
	char config_file[PATH_MAX];
	int config_dir;			/* config/ */
	int run_dir;			/* run/ */
	int sessions_dir;		/* run/s/ */
	int audit_dir;			/* log/audit/ */
	int vault_socket, admin_socket; /* listening */
	gid_t admin_gid;		/* or UNIXSOCK_NO_GROUP */
	int pid_file;			/* locked as long as we live */
};

/* given: --home, or NULL. ERR_EXISTS: another hatcheckd runs; why says
 * which. */
MUST_USE int home_open(const char *given, const struct role_ids *ids,
    struct home *out, char *why, size_t size);

/* Let the group use both sockets (0660), or nobody else ("": 0600). The
 * group must not be root's. */
MUST_USE int
home_admin_group(struct home *h, const char *group, char *why, size_t size);

/* As root: what the administrator wrote for the vault (config/vault.json,
 * config/vault.key) becomes the vault's own, so that it can read it. */
void home_hand_over(const struct home *h, const struct role_ids *ids);

/* At an orderly end: remove pid file and sockets. */
void home_close(struct home *h);

#endif
