/* SPDX-License-Identifier: ISC */
/*
 * Is hatcheckd running for these paths; start it; stop it.
 */
#ifndef CLI_DAEMON_H
#define CLI_DAEMON_H

#include "cli/cli.h"

#include <sys/types.h>

/* Somebody holds the lock of run/hatcheckd.pid. *pid: who (may be NULL). */
bool daemon_running(const struct cli *cli, pid_t *pid);

/* Start it when it does not run, and wait until the admin and the vault
 * socket answer, at most 10 s. It runs on in its own session, its messages
 * appended to log/hatcheckd.log; when it fails to start, e carries the last
 * lines of that. Idempotent. */
int daemon_ensure(struct cli *cli, struct cli_error *e)
    __attribute__((warn_unused_result));

/* Ask it to stop and wait until it has, at most 10 s. CLI_NOT_RUNNING when
 * it does not run. */
int daemon_stop(struct cli *cli, struct cli_error *e)
    __attribute__((warn_unused_result));

/* out = the path of a program of this installation ("hatcheckd",
 * "hatcheck-guest"): beside this binary, then in LIBEXECDIR. */
int daemon_program(const struct cli *cli, const char *name,
    char out[static PATH_MAX], struct cli_error *e)
    __attribute__((warn_unused_result));

/* What to do when it does not run: start, or, where no vault was chosen
 * yet, init. */
const char *daemon_next(const struct cli *cli);

/* Does the daemon that runs come from another build than this program?
 * It goes on after an upgrade; its vault speaks to its own build only. */
bool daemon_other_build(struct cli *cli);
#define DAEMON_OTHER_BUILD \
	"the running daemon is of another build than this program"
#define DAEMON_OTHER_NEXT "hatcheck stop; hatcheck start"

#endif
