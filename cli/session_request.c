/* SPDX-License-Identifier: ISC */
/* What for: asking for a session. Trusts: nothing; the minter checks all of
 * it. At a bound: refuses. */
#include "cli/session_request.h"

#include "cli/preset.h"
#include "scope/grant_json.h"
#include "scope/grant_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WHAT "ask for a session"

/* One --allow as a grant named allow-N. */
static int
allow_grant(const char *text, size_t n, const char *credential, json_t **out,
    struct cli_error *e)
{
	char why[512] = "";
	struct grant g;

	grant_init(&g);
	int r = grant_from_text(span_str(text), &g, why, sizeof(why));
	if (r != 0)
		return cli_error(e, CLI_USAGE, "--allow",
		    "as 'GET,HEAD api.github.com/repos/**'", "%s: %s", text,
		    why[0] == '\0' ? err_text(r) : why);
	(void)snprintf(g.name, sizeof(g.name), "allow-%zu", n + 1);
	if (credential != NULL &&
	    (r = span_copy(span_str(credential), g.credential,
		 sizeof(g.credential))) != 0) {
		(void)cli_error(
		    e, CLI_USAGE, "--credential", NULL, "%s", err_text(r));
	} else if ((*out = grant_to_json(&g)) == NULL) {
		(void)cli_error_from(e, ERR_NOMEM, WHAT, NULL);
	}
	grant_free(&g);
	return e->code;
}

static int
add_details(
    struct cli *cli, const struct args *a, json_t *details, struct cli_error *e)
{
	const char *credential = args_value(a, "credential"), *word;
	json_t *more = NULL;

	for (size_t i = 0; (word = args_nth(a, "preset", i)) != NULL; i++) {
		if (preset_grants(cli, word, credential, &more, e) != 0)
			return e->code;
		int r = json_array_extend(details, more);
		json_decref(more);
		if (r != 0)
			return cli_error_from(e, ERR_NOMEM, WHAT, NULL);
	}
	for (size_t i = 0; (word = args_nth(a, "allow", i)) != NULL; i++) {
		if (allow_grant(word, i, credential, &more, e) != 0)
			return e->code;
		if (json_array_append_new(details, more) != 0)
			return cli_error_from(e, ERR_NOMEM, WHAT, NULL);
	}
	return 0;
}

static int
add_names(const struct args *a, json_t *names, struct cli_error *e)
{
	const char *word;

	for (size_t i = 0; (word = args_nth(a, "grant", i)) != NULL; i++) {
		if (json_array_append_new(names, json_string(word)) != 0)
			return cli_error(
			    e, CLI_USAGE, "--grant", NULL, "not UTF-8");
	}
	return 0;
}

/* PATH need not exist (the VMM makes it), but its directory must. */
static int
hybrid_channel(
    const struct args *a, const char *path, json_t **out, struct cli_error *e)
{
	char dir[PATH_MAX], absolute[PATH_MAX];
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;
	uint64_t uid, port;

	if (args_value(a, "dir") != NULL || *name == '\0' ||
	    strlen(path) >= sizeof(dir))
		return cli_error(e, CLI_USAGE, "--channel",
		    "hybrid:PATH and no --dir", "%s",
		    "a VMM's vsock socket is wanted");
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(name - path), path);
	if (realpath(*dir == '\0' ? "." : dir, absolute) == NULL)
		return cli_error(e, CLI_NOT_FOUND, "--channel",
		    "mkdir it first", "%s is no directory that can be reached",
		    dir);
	if (args_number(a, "uid", UINT32_MAX - 1, geteuid(), &uid, e) != 0 ||
	    args_number(a, "port", UINT32_MAX - 1, 8377, &port, e) != 0)
		return e->code;
	*out = json_pack("{s:s, s:o, s:I, s:I}", "type", "hybrid", "path",
	    json_sprintf("%s/%s", absolute[1] == '\0' ? "" : absolute, name),
	    "port", (json_int_t)port, "uid", (json_int_t)uid);
	return *out == NULL ? cli_error_from(e, ERR_NOMEM, WHAT, NULL) : 0;
}

/* The directory is the daemon's to open: it must be absolute. */
static int
channel(const struct args *a, json_t **out, struct cli_error *e)
{
	const char *dir = args_value(a, "dir"),
		   *type = args_value(a, "channel");
	char absolute[PATH_MAX] = "";
	uint64_t uid;

	if (type != NULL && strncmp(type, "hybrid:", 7) == 0)
		return hybrid_channel(a, type + 7, out, e);
	if (type != NULL && strcmp(type, "unix") != 0)
		return cli_error(e, CLI_USAGE, "--channel",
		    "unix or hybrid:PATH", "%s is no kind of channel", type);
	if (args_value(a, "port") != NULL)
		return cli_error(e, CLI_USAGE, "--port",
		    "--channel hybrid:PATH with it", "only a VMM's has a port");
	if (dir != NULL && realpath(dir, absolute) == NULL)
		return cli_error(e, CLI_NOT_FOUND, "--dir", "mkdir it first",
		    "%s is no directory that can be reached", dir);
	if (args_number(a, "uid", UINT32_MAX - 1, geteuid(), &uid, e) != 0)
		return e->code;
	*out = json_pack("{s:s, s:s, s:I}", "type", "unix", "dir", absolute,
	    "uid", (json_int_t)uid);
	return *out == NULL ? cli_error_from(e, ERR_NOMEM, WHAT, NULL) : 0;
}

static int
lifetime(const struct args *a, uint64_t *ttl, struct cli_error *e)
{
	const char *text = args_value(a, "ttl");

	*ttl = SESSION_TTL_DEFAULT;
	if (text == NULL || grant_time_from_text(span_str(text), ttl) == 0)
		return 0;
	return cli_error(
	    e, CLI_USAGE, "--ttl", "as 30m, 8h or 7d", "%s is no time", text);
}

int
session_request(
    struct cli *cli, const struct args *a, json_t **out, struct cli_error *e)
{
	json_t *names = json_array(), *details = json_array(), *way = NULL;
	uint64_t ttl;

	e->code = 0;
	if (add_names(a, names, e) != 0 ||
	    add_details(cli, a, details, e) != 0 || lifetime(a, &ttl, e) != 0 ||
	    channel(a, &way, e) != 0)
		goto out;
	if (json_array_size(names) + json_array_size(details) == 0) {
		(void)cli_error(e, CLI_USAGE, WHAT,
		    "--grant NAME, --preset NAME or --allow RULE",
		    "it would be allowed nothing");
		goto out;
	}
	*out = json_pack("{s:O, s:O, s:I, s:O}", "grants", names, "details",
	    details, "ttl", (json_int_t)ttl, "channel", way);
	if (*out == NULL || (args_value(a, "name") != NULL &&
				json_object_set_new(*out, "guest",
				    json_string(args_value(a, "name"))) != 0))
		(void)cli_error_from(e, ERR_ARGUMENT, WHAT, NULL);
out:
	json_decref(names);
	json_decref(details);
	json_decref(way);
	return e->code;
}
