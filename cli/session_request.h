/* SPDX-License-Identifier: ISC */
/*
 * The body of session.create from options, for `session create` and `run`:
 * --name, --grant, --preset, --allow, --credential, --ttl; and --dir, --uid
 * when the verb has them; and --pid, or mine: the session ends with that
 * process. 0: with none.
 */
#ifndef CLI_SESSION_REQUEST_H
#define CLI_SESSION_REQUEST_H

#include "cli/verb.h"

#include <sys/types.h>

#define SESSION_TTL_DEFAULT (8 * 3600)

/* New reference. At least one grant must come of it. */
int session_request(struct cli *cli, const struct args *a, pid_t mine,
    json_t **out, struct cli_error *e) __attribute__((warn_unused_result));

#endif
