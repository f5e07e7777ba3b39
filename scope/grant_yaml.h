/* SPDX-License-Identifier: ISC */
/*
 * Grant files, read by yaml.h with a strict schema.
 * Linked by the CLI only. ca_file is read here (relative to the YAML file)
 * and becomes ca_pem.
 */
#ifndef SCOPE_GRANT_YAML_H
#define SCOPE_GRANT_YAML_H

#include "scope/grant.h"

/* text: the file's bytes; path: its name, for messages and ca_file. why:
 * "grants.yaml:12: unknown key \"host\"; …". A NUL byte, a second document
 * and an unknown key are refused. */
MUST_USE int grant_set_from_yaml(struct span text, const char *path,
    struct grant_set *out, char *why, size_t size);

#endif
