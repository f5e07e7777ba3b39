/* SPDX-License-Identifier: ISC */
/*
 * While a sandboxed command runs: relay its terminal, pass signals on to
 * its agent, wait for its end.
 */
#ifndef CLI_RUN_WATCH_H
#define CLI_RUN_WATCH_H

#include "cli/sandbox.h"

/* Block the signals that are passed on; *fd tells them. Before the session
 * is made, so that none can end us in between. */
MUST_USE int watch_signals(int *fd);

/* Until bwrap ended. *status: what to exit with. e when the command never
 * began (e->code is returned). */
int watch_run(const struct sandbox_run *run, struct pty *pty, int signals,
    int *status, struct cli_error *e) __attribute__((warn_unused_result));

#endif
