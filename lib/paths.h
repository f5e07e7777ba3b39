/* SPDX-License-Identifier: ISC */
/*
 * Where everything is. Decided from --home, or from who we are, and never
 * from the environment (a guest-writable .env must not move the vault):
 *
 *	          --home DIR   user                        system (root)
 *	config    DIR/config   ~/.config/hatcheck          /etc/hatcheck
 *	state     DIR/state    ~/.local/state/hatcheck     /var/lib/hatcheck
 *	run       DIR/run      /run/user/UID/hatcheck      /run/hatcheck
 *	log       DIR/log      ~/.local/state/hatcheck/log /var/log/hatcheck
 *
 * ~ is the password database's. Without /run/user/UID: state/run.
 */
#ifndef LIB_PATHS_H
#define LIB_PATHS_H

#include "lib/err.h"

#include <limits.h>

struct paths {
	char config[PATH_MAX];
	char state[PATH_MAX];
	char run[PATH_MAX];
	char log[PATH_MAX];
};

/* home: --home's value or NULL. It must be absolute or is taken from the
 * caller's current directory, resolved once. ERR_DENIED: a symbolic link on
 * the way belongs to neither root nor us. */
MUST_USE int paths_find(const char *home, struct paths *out);
/* out = base "/" name; ERR_TOO_BIG. */
MUST_USE int paths_join(
    const char *base, const char *name, char out[static PATH_MAX]);

/* state/vault/   vault.db           state/minter/  minter.db
 * log/audit/     SESSION.jsonl, minter.jsonl, keys.json
 * run/admin.sock run/vault.sock     run/s/SESSION/hatcheck.sock
 * log/hatcheckd.log                 run/hatcheckd.pid (flock)
 * config/hatcheckd.yaml             config/vault.json (backend choice) */

#endif
