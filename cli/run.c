/* SPDX-License-Identifier: ISC */
/* What for: `hatcheck run`. Trusts: the user's words after checking them;
 * nothing that the command leaves behind. At a bound: no session, no
 * sandbox; a session that was made is ended whatever follows, or by its
 * own time to live when we are killed. */
#include "cli/run.h"

#include "cli/admin.h"
#include "cli/daemon.h"
#include "cli/run_watch.h"
#include "cli/sandbox.h"
#include "cli/sandbox_env.h"
#include "cli/sandbox_places.h"
#include "cli/session_request.h"
#include "lib/span.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct verb_option run_options[] = {
    {"name", "GUEST", 0, false, "name of the guest (one is made up)"},
    {"grant", "NAME", 0, true, "an applied grant"},
    {"preset", "NAME", 0, true, "a known service, NAME or NAME:SCOPE"},
    {"allow", "RULE", 0, true, "a rule, as 'GET api.github.com/repos/**'"},
    {"credential", "NAME", 0, false, "for --allow and --preset"},
    {"ttl", "TIME", 0, false, "at most so long: 30m, 8h, 7d (8h)"},
    {"bind", "DIR", 0, true, "let it read and write that too"},
    {"ro-bind", "DIR", 0, true, "let it read that too"},
    {"expose", "PATH", 0, true,
	"let it read that though it holds keys or sockets: they can leak"},
    {"env", "NAME=VALUE", 0, true, "set a variable; never a key"},
    {"limit", "NAME=VALUE", 0, true, "what a process may use: see below"},
    {"nested", NULL, 0, false,
	"let it keep sub-agents apart: it may make user namespaces"},
    {NULL},
};

/* One run. */
struct run {
	struct cli *cli;
	const struct args *args;
	struct sandbox box;
	const char *env[ARGS_MAX];
	char project[PATH_MAX];
	char agent[PATH_MAX];
	json_t *session;
	struct pty pty;
	int signals;
};

static int
add_bind(struct run *r, const char *what, const char *path, enum place_use use,
    struct cli_error *e)
{
	struct sandbox_bind *b = &r->box.binds[r->box.n_binds];

	if (r->box.n_binds == SANDBOX_BINDS)
		return cli_error(e, CLI_USAGE, what, "name a directory above",
		    "%d are the most", SANDBOX_BINDS);
	if (places_check(r->cli, what, path, use, b->path, e) != 0)
		return e->code;
	b->write = use == PLACE_WRITE;
	b->exposed = use == PLACE_EXPOSE;
	b->guard.fd = -1;
	r->box.n_binds++;
	return 0;
}

static int
add_binds(
    struct run *r, const char *option, enum place_use use, struct cli_error *e)
{
	char what[32];
	const char *path;

	(void)snprintf(what, sizeof(what), "--%s", option);
	for (size_t i = 0; (path = args_nth(r->args, option, i)) != NULL; i++)
		if (add_bind(r, what, path, use, e) != 0)
			return e->code;
	return 0;
}

/* Parents before what is in them, so that nothing is covered. */
static int
by_path(const void *a, const void *b)
{
	return strcmp(((const struct sandbox_bind *)a)->path,
	    ((const struct sandbox_bind *)b)->path);
}

static int
find_places(struct run *r, struct cli_error *e)
{
	char here[PATH_MAX];

	if (getcwd(here, sizeof(here)) == NULL)
		return cli_error(e, CLI_RUN_FAILED, "the project", "cd to it",
		    "%s", strerror(errno));
	if (add_bind(r, "the project", here, PLACE_WRITE, e) != 0)
		return e->code;
	if (span_copy(span_str(r->box.binds[0].path), r->project,
		sizeof(r->project)) != 0)
		return cli_error(e, CLI_RUN_FAILED, "the project",
		    "cd to a shorter path", "its path is too long");
	r->box.project = r->project;
	if (add_binds(r, "bind", PLACE_WRITE, e) != 0 ||
	    add_binds(r, "ro-bind", PLACE_READ, e) != 0 ||
	    add_binds(r, "expose", PLACE_EXPOSE, e) != 0)
		return e->code;
	qsort(r->box.binds, r->box.n_binds, sizeof(r->box.binds[0]), by_path);
	return 0;
}

static int
find_env(struct run *r, struct cli_error *e)
{
	const char *pair, *why;
	size_t n = 0;

	for (; (pair = args_nth(r->args, "env", n)) != NULL; n++) {
		why = env_refusal(pair);
		/* The value is not repeated: it may be a key. */
		if (why != NULL)
			return cli_error(e, CLI_USAGE, "--env",
			    "hatcheck credential add, and a grant", "%.*s: %s",
			    (int)strcspn(pair, "="), pair, why);
		r->env[n] = pair;
	}
	r->box.env = r->env;
	r->box.n_env = n;
	return 0;
}

static int
find_limits(struct run *r, struct cli_error *e)
{
	const char *text;

	for (size_t i = 0; (text = args_nth(r->args, "limit", i)) != NULL; i++)
		if (sandbox_limits_add(&r->box.limits, text, e) != 0)
			return e->code;
	return 0;
}

/* Said at each run: what is exposed by habit is forgotten. */
static void
tell_exposed(const struct run *r)
{
	for (size_t i = 0; i < r->box.n_binds; i++)
		if (r->box.binds[i].exposed)
			cli_note(r->cli,
			    "%s is exposed: what the sandbox reads there it "
			    "can send to whatever its grants reach",
			    r->box.binds[i].path);
}

/* What was exposed on purpose keeps its sockets. */
static int
find_sockets(struct run *r, struct cli_error *e)
{
	struct sandbox_sockets *s = &r->box.sockets;
	int err = 0;

	s->whole = true;
	for (size_t i = 0; err == 0 && i < r->box.n_binds; i++)
		if (!r->box.binds[i].exposed)
			err = sandbox_sockets_find(s, r->box.binds[i].path);
	if (err != 0)
		return cli_error_from(e, err, "look for sockets", "");
	for (size_t i = 0; i < s->n; i++)
		cli_note(r->cli, "the socket %s is covered for the command",
		    s->path[i]);
	if (!s->whole)
		cli_note(r->cli,
		    "the directories are too large to look for all sockets; "
		    "one in them could be connected to");
	return 0;
}

/* All that can be refused before anything is made. */
static int
prepare(struct run *r, struct cli_error *e)
{
	if (r->args->n_words == 0)
		return cli_error(e, CLI_USAGE, "run", "hatcheck run -- COMMAND",
		    "no command is given");
	r->box.command = r->args->words;
	if (find_places(r, e) != 0 || find_env(r, e) != 0 ||
	    find_limits(r, e) != 0 || find_sockets(r, e) != 0 ||
	    daemon_program(r->cli, "hatcheck-guest", r->agent, e) != 0)
		return e->code;
	r->box.agent = r->agent;
	r->box.nested = args_has(r->args, "nested");
	tell_exposed(r);
	return 0;
}

static int
session_begin(struct run *r, struct cli_error *e)
{
	json_t *request = NULL;

	if (session_request(r->cli, r->args, getpid(), &request, e) !=
		0 ||
	    admin_call(r->cli, "session.create", request, &r->session, e) != 0)
		return e->code;
	r->box.channel =
	    cli_string(json_object_get(r->session, "channel"), "dir");
	if (r->box.channel[0] != '/')
		return cli_error(e, CLI_RUN_FAILED, "make a session",
		    "hatcheck doctor", "the daemon names no channel");
	return 0;
}

static void
session_end(struct run *r)
{
	struct cli_error e = {0};

	if (r->session == NULL)
		return;
	if (admin_call(r->cli, "session.end",
		json_pack("{s:s}", "session", cli_string(r->session, "id")),
		NULL, &e) != 0 &&
	    e.code != CLI_NOT_FOUND) /* revoked, or its time was over */
		cli_note(r->cli,
		    "the session could not be ended: %s; it ends "
		    "by its time to live",
		    e.why);
	json_decref(r->session);
	r->session = NULL;
}

static bool
is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int
guards_open(struct run *r, struct cli_error *e)
{
	for (size_t i = 0; i < r->box.n_binds; i++) {
		struct sandbox_bind *b = &r->box.binds[i];

		if (b->write && is_directory(b->path) &&
		    guard_open(&b->guard, b->path, e) != 0)
			return e->code;
	}
	return 0;
}

static void
finding(void *arg, const char *sentence)
{
	const struct run *r = arg;

	cli_note(r->cli, "%s", sentence);
}

static void
guards_close(struct run *r)
{
	for (size_t i = 0; i < r->box.n_binds; i++)
		if (r->box.binds[i].write)
			(void)guard_close(&r->box.binds[i].guard, finding, r);
}

static int
command(struct run *r, int *status, struct cli_error *e)
{
	struct sandbox_run running;
	int code;

	if (pty_open(&r->pty) != 0)
		return cli_error(e, CLI_RUN_FAILED, "make a terminal", "", "%s",
		    strerror(errno));
	if (sandbox_start(&r->box, &r->pty, &running, e) != 0)
		return e->code;
	if (pty_relay(&r->pty) != 0)
		cli_note(r->cli, "the terminal could not be made raw");
	code = watch_run(&running, &r->pty, r->signals, status, e);
	close(running.info);
	return code;
}

int
run_verb(struct cli *cli, const struct args *args)
{
	struct run *r = calloc(1, sizeof(*r));
	struct cli_error e = {0};
	int status = CLI_RUN_FAILED;

	if (r == NULL) {
		(void)cli_error_from(&e, ERR_NOMEM, "run", "");
		return cli_report(cli, &e);
	}
	r->cli = cli;
	r->args = args;
	r->pty = (struct pty){-1, -1, -1, -1};
	r->signals = -1;
	if (prepare(r, &e) == 0 && daemon_ensure(cli, &e) == 0 &&
	    (watch_signals(&r->signals) == 0 ||
		cli_error_from(&e, ERR_IO, "run", "") == 0) &&
	    session_begin(r, &e) == 0 && guards_open(r, &e) == 0)
		(void)command(r, &status, &e); /* e tells */
	pty_close(&r->pty);
	session_end(r);
	guards_close(r);
	if (r->signals >= 0)
		close(r->signals);
	sandbox_sockets_free(&r->box.sockets);
	free(r);
	return e.code == 0 ? status : cli_report(cli, &e);
}
