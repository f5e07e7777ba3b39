/* SPDX-License-Identifier: ISC */
/*
 * The admin API from the caller's side: one blocking HTTP/1.1 request over
 * run/admin.sock per call (docs/admin-api.md). The far end is the daemon of
 * the same user, checked by SO_PEERCRED; its answer is still read strictly
 * and bounded at 16 MiB.
 */
#ifndef CLI_ADMIN_H
#define CLI_ADMIN_H

#include "cli/cli.h"
#include "lib/buf.h"

/* POST /v1/NAME with in, whose reference is taken (NULL: {}); for "status"
 * GET. *out is a new reference (out may be NULL). Returns 0 or e->code:
 * CLI_NOT_RUNNING when nobody answers at the socket, else by the problem
 * document's status: 403 DENIED, 404 NOT_FOUND, 423 LOCKED. */
int admin_call(struct cli *cli, const char *name, json_t *in, json_t **out,
    struct cli_error *e);

/* GET /v1/NAME, whose answer is text: appended to out. */
int admin_text(struct cli *cli, const char *name, struct buf *out,
    struct cli_error *e);

/* The pure part: a whole response as read until the end of the stream.
 * *body borrows from in. */
int admin_parse(struct span in, unsigned *status, struct span *body)
    __attribute__((warn_unused_result));

#endif
