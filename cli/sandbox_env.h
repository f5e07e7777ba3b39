/* SPDX-License-Identifier: ISC */
/*
 * The environment of a sandboxed command: a fixed list, and what the user
 * names with --env. Nothing that looks like a credential passes: those go
 * into the vault, and reach their service through a grant.
 */
#ifndef CLI_SANDBOX_ENV_H
#define CLI_SANDBOX_ENV_H

#include "lib/buf.h"

#include <stdbool.h>

/* NULL: "K=V" may be given by --env; else why not. */
const char *env_refusal(const char *pair);
/* The shape of a known kind of key, token or password, anywhere in it. */
bool env_key_shaped(const char *value);

/* Append bwrap's words (--clearenv, --setenv K V..., NUL-ended each). env:
 * our own environment; only TERM, LANG and their like are taken, and only
 * when their values are plain. */
MUST_USE int env_words(struct buf *out, char *const env[],
    const char *const pairs[], size_t n_pairs);

#endif
