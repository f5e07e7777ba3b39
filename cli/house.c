/* SPDX-License-Identifier: ISC */
/* What for: init, unlock, lock, status, stop, logs. Trusts: the daemon of
 * the same user. At a bound: says what to do next. */
#include "cli/verbs.h"

#include "cli/admin.h"
#include "cli/daemon.h"
#include "cli/key_source.h"
#include "cli/secret_input.h"
#include "cli/tail.h"
#include "cli/text.h"
#include "cli/vault_client.h"
#include "lib/link.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Print document with --json, else nothing; takes the reference. */
static int
finish(const struct cli *cli, json_t *document)
{
	int r = cli->json ? cli_print_json(document) : CLI_OK;

	json_decref(document);
	return r;
}

/* --- init ------------------------------------------------------------- */

/* Is there a session bus to ask? Only a hint: the vault itself finds out
 * whether a keychain answers. */
static bool
has_session_bus(void)
{
	char path[64];

	(void)snprintf(
	    path, sizeof(path), "/run/user/%u/bus", (unsigned)geteuid());
	return getenv("DBUS_SESSION_BUS_ADDRESS") != NULL ||
	       access(path, F_OK) == 0;
}

/* A daemon that started without vault.json must read it anew. */
static int
restart(struct cli *cli, struct cli_error *e)
{
	if (daemon_running(cli, NULL) && daemon_stop(cli, e) != 0)
		return e->code;
	return daemon_ensure(cli, e);
}

static int
adopt(struct cli *cli, const struct args *a, const char *backend,
    json_t **source, struct cli_error *e)
{
	if (key_source(cli, a, backend, source, e) != 0 ||
	    key_source_save(cli, *source, e) != 0)
		return e->code;
	return restart(cli, e);
}

/* The desktop's keychain, if its default collection answers unlocked now:
 * the vault tells, on its path that never prompts. */
static int
choose(
    struct cli *cli, const struct args *a, json_t **source, struct cli_error *e)
{
	json_t *status = NULL;
	bool open = false;

	if (args_value(a, "vault") != NULL)
		return adopt(cli, a, args_value(a, "vault"), source, e);
	if (has_session_bus() && !args_has(a, "key") &&
	    !args_has(a, "key-file")) {
		if (adopt(cli, a, "secret-service", source, e) != 0)
			return e->code;
		open = vault_call(cli, "status", "ask the vault", NULL, NULL,
			   &status, e) == 0 &&
		       strcmp(cli_string(status, "state"), "open") == 0;
		json_decref(status);
		if (open)
			return 0;
		json_decref(*source);
		*source = NULL;
		e->code = 0;
	}
	return adopt(cli, a, "sealed-file", source, e);
}

/* What was chosen before stays: moving is `vault migrate`'s. */
static int
keep_choice(struct cli *cli, const struct args *a, const json_t *source,
    struct cli_error *e)
{
	const char *backend = args_value(a, "vault");
	const char *key = args_value(a, "key");
	char text[512];

	key_source_text(source, text, sizeof(text));
	if ((backend != NULL &&
		strcmp(backend, cli_string(source, "backend")) != 0) ||
	    (key != NULL && strcmp(key, cli_string(source, "key")) != 0))
		return cli_error(e, CLI_FAILED, "init",
		    "hatcheck vault migrate", "the vault is: %s", text);
	return daemon_ensure(cli, e);
}

static bool
wants_passphrase(const json_t *source)
{
	return strcmp(cli_string(source, "key"), "passphrase") == 0;
}

/* The first unlock makes the store: ask twice. */
static int
first_unlock(struct cli *cli, const struct args *a, struct cli_error *e)
{
	struct secret_input in = {.prompt = "New passphrase of the vault",
	    .file = args_value(a, "from-file"),
	    .twice = true};
	struct keep *passphrase = NULL;

	if (in.file == NULL && !isatty(STDIN_FILENO)) {
		cli_note(cli, "The vault has no passphrase yet.\n"
			      "  next: hatcheck unlock");
		return 0;
	}
	if (secret_read(&in, &passphrase, e) != 0)
		return e->code;
	(void)vault_call(cli, "unlock", "set the vault's passphrase", NULL,
	    passphrase, NULL, e);
	keep_free(passphrase);
	return e->code;
}

static int
say_init(struct cli *cli, const json_t *source, bool fresh)
{
	char text[512];
	pid_t pid = 0;

	(void)daemon_running(cli, &pid);
	if (cli->json)
		return finish(cli, json_pack("{s:O, s:i, s:b}", "vault", source,
				       "pid", (int)pid, "new", fresh));
	key_source_text(source, text, sizeof(text));
	printf("vault    %s\ndaemon   running, pid %d\n", text, (int)pid);
	if (fresh && strcmp(cli_string(source, "key"), "key-file") == 0)
		cli_note(cli,
		    "Who can read the key file can open the vault: it protects "
		    "copies of the\nstore, not against your own account.");
	if (fresh)
		cli_note(cli, "  next: hatcheck credential add NAME --preset "
			      "NAME   (hatcheck preset list)");
	return fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
}

int
init_run(struct cli *cli, const struct args *a)
{
	json_t *source = NULL;
	struct cli_error e = {0};
	int r = key_source_load(cli, &source, &e);
	bool fresh = source == NULL;

	if (r == 0)
		r = fresh ? choose(cli, a, &source, &e)
			  : keep_choice(cli, a, source, &e);
	if (r == 0 && fresh && wants_passphrase(source))
		r = first_unlock(cli, a, &e);
	r = r != 0 ? cli_report(cli, &e) : say_init(cli, source, fresh);
	json_decref(source);
	return r;
}

int
start_run(struct cli *cli, const struct args *a)
{
	struct cli_error e = {0};
	pid_t pid = 0;

	(void)a;
	if (daemon_ensure(cli, &e) != 0)
		return cli_report(cli, &e);
	(void)daemon_running(cli, &pid); /* for show */
	if (!cli->json)
		printf("running, pid %d\n", (int)pid);
	if (daemon_other_build(cli))
		cli_note(cli, "hatcheck: start: " DAEMON_OTHER_BUILD
			      "\n  next: " DAEMON_OTHER_NEXT);
	return finish(cli, json_pack("{s:i}", "pid", (int)pid));
}

/* --- unlock, lock ----------------------------------------------------- */

int
unlock_run(struct cli *cli, const struct args *a)
{
	struct secret_input in = {.prompt = "Passphrase of the vault",
	    .file = args_value(a, "from-file")};
	struct keep *passphrase = NULL;
	json_t *source = NULL, *status = NULL, *out = NULL;
	struct cli_error e = {0};
	int r = key_source_load(cli, &source, &e);
	/* A keychain or a key file opens without one. */
	bool ask = r == 0 && wants_passphrase(source);

	json_decref(source);
	if (r == 0)
		r = daemon_ensure(cli, &e);
	if (r == 0)
		r = vault_call(
		    cli, "status", "ask the vault", NULL, NULL, &status, &e);
	if (r == 0 && strcmp(cli_string(status, "state"), "open") == 0) {
		cli_note(cli, "The vault is open already.");
		return finish(cli, status);
	}
	if (r == 0 && ask) {
		in.twice =
		    strcmp(cli_string(status, "state"), "uninitialised") == 0;
		r = secret_read(&in, &passphrase, &e);
	}
	if (r == 0)
		r = vault_call(cli, "unlock", "unlock the vault", NULL,
		    passphrase, &out, &e);
	keep_free(passphrase);
	json_decref(status);
	return r != 0 ? cli_report(cli, &e) : finish(cli, out);
}

int
lock_run(struct cli *cli, const struct args *a)
{
	struct cli_error e = {0};
	json_t *out = NULL;

	(void)a;
	if (vault_call(cli, "lock", "lock the vault", NULL, NULL, &out, &e) !=
	    0)
		return cli_report(cli, &e);
	return finish(cli, out);
}

/* --- status, stop ----------------------------------------------------- */

static void
print_processes(const json_t *rows)
{
	static const char *const headings[] = {
	    "PROCESS", "PID", "STATE", "RESTARTS", "SESSION", NULL};
	struct text_table *t = text_table_new(headings);
	const json_t *row;
	size_t i;

	if (t == NULL)
		return;
	json_array_foreach (rows, i, row) {
		char pid[24], restarts[24];
		(void)snprintf(pid, sizeof(pid), "%lld",
		    (long long)json_integer_value(json_object_get(row, "pid")));
		(void)snprintf(restarts, sizeof(restarts), "%lld",
		    (long long)json_integer_value(
			json_object_get(row, "restarts")));
		text_table_row(t, (const char *[]){cli_string(row, "role"), pid,
				      cli_string(row, "state"), restarts,
				      cli_string(row, "session")});
	}
	(void)text_table_print(t, stdout); /* status tells by fflush */
	text_table_free(t);
}

static void
print_closed_logs(const json_t *list)
{
	const json_t *o;
	size_t i;

	json_array_foreach (list, i, o)
		printf("          the log of %s (%s) %s: nothing of it is "
		       "forwarded\n",
		    cli_string(o, "guest"), cli_string(o, "session"),
		    strcmp(cli_string(o, "state"), "full") == 0
			? "is full"
			: "cannot be written");
	if (i > 0)
		printf("          next: a new session; of a full one, or more "
		       "audit_bytes in hatcheckd.yaml\n");
}

static int
print_status(const struct cli *cli, const json_t *s, pid_t pid)
{
	const json_t *vault = json_object_get(s, "vault");
	char why[512];

	text_escape(
	    span_str(cli_string(vault, "why")), false, why, sizeof(why));
	printf("daemon    running, pid %d, version %s, build %s\n", (int)pid,
	    cli_string(s, "version"), cli_string(s, "build"));
	printf("vault     %s%s%s\n", cli_string(vault, "state"),
	    why[0] == '\0' ? "" : ": ", why);
	printf("sessions  %lld\naudit     %s\n",
	    (long long)json_integer_value(json_object_get(s, "sessions")),
	    cli_string(s, "audit"));
	print_closed_logs(json_object_get(s, "closed_logs"));
	printf("\n");
	print_processes(json_object_get(s, "processes"));
	if (strcmp(cli_string(s, "build"), link_build_id()) != 0)
		cli_note(cli, "\nhatcheck: status: " DAEMON_OTHER_BUILD
			      "\n  next: " DAEMON_OTHER_NEXT);
	return fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
}

int
status_run(struct cli *cli, const struct args *a)
{
	struct cli_error e = {0};
	json_t *out = NULL;
	pid_t pid = 0;
	int r = admin_call(cli, "status", NULL, &out, &e);

	(void)a;
	if (r != 0)
		return cli_report(cli, &e);
	(void)daemon_running(cli, &pid); /* for show */
	r = cli->json ? cli_print_json(out) : print_status(cli, out, pid);
	json_decref(out);
	return r;
}

int
stop_run(struct cli *cli, const struct args *a)
{
	struct cli_error e = {0};

	(void)a;
	if (daemon_stop(cli, &e) != 0)
		return cli_report(cli, &e);
	return finish(cli, json_object());
}

/* --- logs ------------------------------------------------------------- */

static int
print_line(void *ctx, struct span line)
{
	static char shown[4 * 64 * 1024];

	(void)ctx;
	text_escape(line, false, shown, sizeof(shown));
	return puts(shown) == EOF ? ERR_IO : 0;
}

int
logs_run(struct cli *cli, const struct args *a)
{
	struct timespec nap = {.tv_nsec = 250 * 1000000};
	struct cli_error e = {0};
	struct tail *t = NULL;
	uint64_t n;
	int dir, r;

	if (args_number(a, "lines", 1000000, 100, &n, &e) != 0)
		return cli_report(cli, &e);
	dir = open(cli->paths.log, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = dir < 0 ? ERR_NOT_FOUND : tail_open(dir, "hatcheckd.log", n, &t);
	if (dir >= 0)
		close(dir);
	if (r != 0) {
		(void)cli_error(&e, CLI_NOT_FOUND, "read the log",
		    "under systemd: journalctl -u hatcheck",
		    "%s/hatcheckd.log: %s", cli->paths.log, err_text(r));
		return cli_report(cli, &e);
	}
	while ((r = tail_read(t, print_line, NULL)) == 0 &&
	       fflush(stdout) == 0 && args_has(a, "follow"))
		(void)nanosleep(&nap, NULL); /* shorter is fine */
	tail_free(t);
	return r == 0 ? CLI_OK : CLI_FAILED;
}
