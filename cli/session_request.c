/* SPDX-License-Identifier: ISC */
/* What for: asking for a session. Trusts: nothing; the minter checks all of
 * it. At a bound: refuses. */
#include "cli/session_request.h"

#include "cli/preset.h"
#include "lib/procid.h"
#include "messages/channel.h"
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

static int
stray(const char *name, const char *kind, struct cli_error *e)
{
	char option[32], next[64];

	(void)snprintf(option, sizeof(option), "--%s", name);
	(void)snprintf(next, sizeof(next), "%s with it", kind);
	return cli_error(
	    e, CLI_USAGE, option, next, "this kind of channel has none");
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

	if (*name == '\0' || strlen(path) >= sizeof(dir))
		return cli_error(e, CLI_USAGE, "--channel", "hybrid:PATH", "%s",
		    "a VMM's vsock socket is wanted");
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(name - path), path);
	if (realpath(*dir == '\0' ? "." : dir, absolute) == NULL)
		return cli_error(e, CLI_NOT_FOUND, "--channel",
		    "mkdir it first", "%s is no directory that can be reached",
		    dir);
	if (args_number(a, "uid", UINT32_MAX - 1, geteuid(), &uid, e) != 0 ||
	    args_number(
		a, "port", UINT32_MAX - 1, CHANNEL_PORT, &port, e) != 0)
		return e->code;
	*out = json_pack("{s:s, s:o, s:I, s:I}", "type", "hybrid", "path",
	    json_sprintf("%s/%s", absolute[1] == '\0' ? "" : absolute, name),
	    "port", (json_int_t)port, "uid", (json_int_t)uid);
	return *out == NULL ? cli_error_from(e, ERR_NOMEM, WHAT, NULL) : 0;
}

/* The number 1 is refused: who wants every process of this machine as the
 * guest says so in a word. */
static int
vsock_channel(
    const struct args *a, const char *cid, json_t **out, struct cli_error *e)
{
	int privileged = args_has(a, "privileged-ports");
	uint64_t n;

	if (strcmp(cid, "local") == 0)
		*out = json_pack("{s:s, s:b, s:b}", "type", "vsock", "local", 1,
		    "privileged_ports", privileged);
	else if (span_u64(span_str(cid), UINT32_MAX - 1, &n) != 0 ||
		 n < CHANNEL_CID_FIRST)
		return cli_error(e, CLI_USAGE, "--channel",
		    "vsock:CID, as 42; vsock:local for CID 1, which lets every "
		    "process of this machine in",
		    "%s is no CID of a guest (3 to 4294967294)", cid);
	else
		*out = json_pack("{s:s, s:I, s:b}", "type", "vsock", "cid",
		    (json_int_t)n, "privileged_ports", privileged);
	return *out == NULL ? cli_error_from(e, ERR_NOMEM, WHAT, NULL) : 0;
}

/* The directory is the daemon's to open: it must be absolute. */
static int
unix_channel(
    const struct args *a, const char *none, json_t **out, struct cli_error *e)
{
	const char *dir = args_value(a, "dir");
	char absolute[PATH_MAX] = "";
	uint64_t uid;

	(void)none;
	if (dir != NULL && realpath(dir, absolute) == NULL)
		return cli_error(e, CLI_NOT_FOUND, "--dir", "mkdir it first",
		    "%s is no directory that can be reached", dir);
	if (args_number(a, "uid", UINT32_MAX - 1, geteuid(), &uid, e) != 0)
		return e->code;
	*out = json_pack("{s:s, s:s, s:I}", "type", "unix", "dir", absolute,
	    "uid", (json_int_t)uid);
	return *out == NULL ? cli_error_from(e, ERR_NOMEM, WHAT, NULL) : 0;
}

enum of {
	OF_UNIX = 1 << 0,
	OF_HYBRID = 1 << 1,
	OF_VSOCK = 1 << 2
};

static const struct kind {
	const char *prefix;
	int (*make)(const struct args *a, const char *rest, json_t **out,
	    struct cli_error *e);
	unsigned of;
} kinds[] = {
	{"hybrid:", hybrid_channel, OF_HYBRID},
	{"vsock:", vsock_channel, OF_VSOCK},
	{"unix", unix_channel, OF_UNIX},
};

/* Options that not every kind has. */
static const struct {
	const char *name;
	unsigned of;
	const char *kind;
} parts[] = {
	{"dir", OF_UNIX, "--channel unix"},
	{"port", OF_HYBRID, "--channel hybrid:PATH"},
	{"uid", OF_UNIX | OF_HYBRID, "--channel unix"},
	{"privileged-ports", OF_VSOCK, "--channel vsock:CID"},
};
#define COUNT(x) (sizeof(x) / sizeof((x)[0]))

static const struct kind *
kind_of(const char *type)
{
	for (size_t i = 0; i < COUNT(kinds); i++) {
		const char *p = kinds[i].prefix;
		size_t n = strlen(p);
		if (p[n - 1] == ':' ? strncmp(type, p, n) == 0
				    : strcmp(type, p) == 0)
			return &kinds[i];
	}
	return NULL;
}

static int
channel(const struct args *a, json_t **out, struct cli_error *e)
{
	const char *type = args_value(a, "channel");
	const struct kind *k = kind_of(type == NULL ? "unix" : type);

	if (k == NULL)
		return cli_error(e, CLI_USAGE, "--channel",
		    "unix, hybrid:PATH or vsock:CID",
		    "%s is no kind of channel", type);
	for (size_t i = 0; i < COUNT(parts); i++) {
		if (args_has(a, parts[i].name) && !(parts[i].of & k->of))
			return stray(parts[i].name, parts[i].kind, e);
	}
	return k->make(a, type == NULL ? "" : type + strlen(k->prefix), out, e);
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

/* The number is of now: with its time of birth it stays this one's. */
static int
add_process(json_t *request, uint64_t pid, struct cli_error *e)
{
	struct procid p;
	int r = procid_of((uint32_t)pid, &p);

	if (r != 0)
		return cli_error(e, CLI_NOT_FOUND, "--pid",
		    "the number of a process that runs", "%s: %llu",
		    r == ERR_DENIED ? "that process is hidden"
				    : "there is no such process",
		    (unsigned long long)pid);
	if (json_object_set_new(request, "process",
		json_pack("{s:I, s:I}", "pid", (json_int_t)p.pid, "started",
		    (json_int_t)p.started)) != 0)
		return cli_error_from(e, ERR_NOMEM, WHAT, NULL);
	return 0;
}

int
session_request(struct cli *cli, const struct args *a, pid_t mine,
    json_t **out, struct cli_error *e)
{
	uint64_t pid;
	json_t *names = json_array(), *details = json_array(), *way = NULL;
	uint64_t ttl;

	e->code = 0;
	if (args_number(a, "pid", INT32_MAX, (uint64_t)mine, &pid, e) != 0 ||
	    add_names(a, names, e) != 0 ||
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
	else if (pid != 0)
		(void)add_process(*out, pid, e);
out:
	json_decref(names);
	json_decref(details);
	json_decref(way);
	return e->code;
}
