/* SPDX-License-Identifier: ISC */
/*
 * The vault's own socket from the caller's side: one request, one reply
 * (messages/vault_cli.h). The only way on which a secret leaves the CLI.
 */
#ifndef CLI_VAULT_CLIENT_H
#define CLI_VAULT_CLIENT_H

#include "cli/cli.h"
#include "lib/secret.h"

/* in: reference taken (NULL: {}). secret: borrowed, or NULL. *out is a new
 * reference (out may be NULL). what: the act, for messages. Returns 0 or
 * e->code. */
int vault_call(struct cli *cli, const char *verb, const char *what, json_t *in,
    const struct keep *secret, json_t **out, struct cli_error *e);

#endif
