/* SPDX-License-Identifier: ISC */
/*
 * Which vault, and where its key comes from: the options that `init` and
 * `vault migrate` share, as the JSON of config/vault.json
 * (docs/ARCHITECTURE.md).
 */
#ifndef CLI_KEY_SOURCE_H
#define CLI_KEY_SOURCE_H

#include "cli/verb.h"

/* From --key, --key-file (config/vault.key when not said) for backend
 * "sealed-file" or "secret-service". Makes a missing key file, 32 random
 * bytes, mode 0600. New reference. */
int key_source(struct cli *cli, const struct args *a, const char *backend,
    json_t **out, struct cli_error *e) __attribute__((warn_unused_result));

/* config/vault.json as it is: new reference, or NULL in *out when there is
 * none yet. */
int key_source_load(struct cli *cli, json_t **out, struct cli_error *e)
    __attribute__((warn_unused_result));
/* Replace it atomically. */
int key_source_save(struct cli *cli, const json_t *source, struct cli_error *e)
    __attribute__((warn_unused_result));

/* "sealed file, key file /x" for people. */
void key_source_text(const json_t *source, char *out, size_t size);

#endif
