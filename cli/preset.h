/* SPDX-License-Identifier: ISC */
/*
 * Known services: which hosts, where the credential goes, the shape of its
 * placeholder, a harmless test request, and narrow scopes. Read from our
 * own installation only, never from a working directory.
 *
 *	preset: github
 *	title: GitHub
 *	credential:
 *	  kind: bearer
 *	  bindings:
 *	    - { hosts: [api.github.com], slot: { type: bearer } }
 *	  placeholder: { prefix: ghp_, length: 40, alphabet: base62 }
 *	  env: [GITHUB_TOKEN]
 *	test: { method: GET, path: /user }
 *	scopes:
 *	  - name: read
 *	    title: read repositories
 *	    default: true
 *	    grants: [ ...as in a grants file, without credential... ]
 */
#ifndef CLI_PRESET_H
#define CLI_PRESET_H

#include "cli/cli.h"

/* The preset as JSON, checked: {"preset","title","credential":{metadata
 * without name},"test":{"method","host","path"},"scopes":[{"name","title",
 * "default","grants":[grant...]}]}. New reference. */
int preset_load(
    const struct cli *cli, const char *name, json_t **out, struct cli_error *e);
/* The names of all presets, sorted: array of strings. */
int preset_names(const struct cli *cli, json_t **out, struct cli_error *e);
/* One file's text, pure. */
int preset_parse(
    struct span text, const char *path, json_t **out, struct cli_error *e);

/*
 * For `run --preset WORD`: the grants (JSON array, new reference) of
 * "github" (its default scopes) or "github:write" (that scope), with
 * credential filled in: the one given, or when NULL the only one in the
 * vault that was stored with this preset.
 */
int preset_grants(struct cli *cli, const char *word, const char *credential,
    json_t **out, struct cli_error *e);

#endif
