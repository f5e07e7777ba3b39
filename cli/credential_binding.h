/* SPDX-License-Identifier: ISC */
/*
 * Credential metadata from options (docs/ARCHITECTURE.md).
 */
#ifndef CLI_CREDENTIAL_BINDING_H
#define CLI_CREDENTIAL_BINDING_H

#include "cli/verb.h"

/* {"hosts":[--host...],"slot":{...}} from --kind (or kind when that was not
 * given), --header, --user, --query. New reference. */
int binding_from_options(const struct args *a, const char *kind, json_t **out,
    struct cli_error *e) __attribute__((warn_unused_result));

/* Whole metadata of a new credential: the preset's, when one is named, with
 * what the options say on top. New reference. */
int metadata_from_options(struct cli *cli, const struct args *a, json_t **out,
    struct cli_error *e) __attribute__((warn_unused_result));

/* "api.github.com bearer, github.com basic" for people. */
void binding_text(const json_t *metadata, char *out, size_t size);

#endif
