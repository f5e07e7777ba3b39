/* SPDX-License-Identifier: ISC */
/* What for: the vault as a whole. Trusts: the vault. At a bound: a backup
 * of more than 64 MiB is refused. */
#include "cli/verbs.h"

#include "cli/daemon.h"
#include "cli/key_source.h"
#include "cli/secret_input.h"
#include "cli/vault_client.h"
#include "lib/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BACKUP_MAX (64 * 1024 * 1024)
/* base64 per part of `restore`; the vault's JSON takes 64 KiB. */
#define PART 48000

static int
finish(struct cli *cli, json_t *out, const char *said)
{
	int r = CLI_OK;

	if (cli->json)
		r = cli_print_json(out);
	else
		cli_note(cli, "%s: %lld credentials.", said,
		    (long long)json_integer_value(
			json_object_get(out, "credentials")));
	json_decref(out);
	return r;
}

int
vault_status_run(struct cli *cli, const struct args *a)
{
	struct cli_error e = {0};
	json_t *out = NULL;
	int r =
	    vault_call(cli, "status", "ask the vault", NULL, NULL, &out, &e);

	(void)a;
	if (r != 0)
		return cli_report(cli, &e);
	if (cli->json) {
		r = cli_print_json(out);
	} else {
		const char *why = cli_string(out, "why");
		printf("backend      %s\nstate        %s%s%s\n"
		       "credentials  %lld\n",
		    cli_string(out, "backend"), cli_string(out, "state"),
		    why[0] == '\0' ? "" : ": ", why,
		    (long long)json_integer_value(
			json_object_get(out, "credentials")));
		r = fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
	}
	json_decref(out);
	return r;
}

static int
passphrase(const struct args *a, const char *prompt, bool twice,
    struct keep **out, struct cli_error *e)
{
	struct secret_input in = {.prompt = prompt,
	    .file = args_value(a, "from-file"),
	    .twice = twice};

	return secret_read(&in, out, e);
}

/* The vault moves after it has started itself again, in walls that fit the
 * new place: wait until it is open there. */
static int
await_move(struct cli *cli, const char *to, struct cli_error *e)
{
	struct timespec nap = {.tv_nsec = 100 * 1000000};
	char state[64] = "", why[512] = "";

	for (int i = 0; i < 300; i++) { /* 30 s */
		json_t *s = NULL;
		(void)nanosleep(&nap, NULL); /* shorter is fine */
		if (vault_call(
			cli, "status", "ask the vault", NULL, NULL, &s, e) != 0)
			continue; /* it is starting */
		bool there = strcmp(cli_string(s, "backend"), to) == 0;
		(void)snprintf(
		    state, sizeof(state), "%s", cli_string(s, "state"));
		(void)snprintf(why, sizeof(why), "%s", cli_string(s, "why"));
		json_decref(s);
		bool open = strcmp(state, "open") == 0;
		if (open && why[0] != '\0')
			break; /* it failed, and says why */
		if (there && open) {
			e->code = 0;
			return 0;
		}
		/* Left for the start was a vault with a passphrase. */
		if (strcmp(state, "locked") == 0 &&
		    (!there || strcmp(to, "sealed-file") == 0))
			return cli_error(e, CLI_LOCKED, "move the vault",
			    "hatcheck unlock",
			    "it waits for its passphrase, and is moved then");
	}
	return cli_error(e, CLI_FAILED, "move the vault", "hatcheck logs",
	    "it is not open in its new place: %s %s", state, why);
}

int
vault_migrate_run(struct cli *cli, const struct args *a)
{
	json_t *source = NULL, *out = NULL;
	struct keep *secret = NULL;
	struct cli_error e = {0};
	const char *to = a->words[0];
	int r = key_source(cli, a, to, &source, &e);

	if (r == 0)
		r = daemon_ensure(cli, &e);
	if (r == 0 && strcmp(cli_string(source, "key"), "passphrase") == 0)
		r = passphrase(
		    a, "New passphrase of the vault", true, &secret, &e);
	/* The rest of source goes as it is, with "to" for "backend". */
	if (r == 0 &&
	    (json_object_set_new(source, "to", json_string(a->words[0])) != 0 ||
		json_object_del(source, "backend") != 0))
		r = cli_error_from(&e, ERR_NOMEM, "migrate", NULL);
	if (r == 0) {
		r = vault_call(
		    cli, "migrate", "move the vault", source, secret, &out, &e);
		source = NULL;
	}
	if (r == 0 && json_is_true(json_object_get(out, "pending")))
		r = await_move(cli, to, &e);
	keep_free(secret);
	json_decref(source);
	if (r != 0) {
		json_decref(out);
		return cli_report(cli, &e);
	}
	return finish(cli, out, "Moved");
}

/* --- backup ----------------------------------------------------------- */

/* All parts, joined: base64 text. Each part is asked for by its number; it
 * is sealed already, so it may lie in ordinary memory. */
static int
collect(struct cli *cli, const struct keep *secret, struct buf *all,
    struct cli_error *e)
{
	bool more = true;

	for (int part = 0; more && e->code == 0; part++) {
		json_t *out = NULL;
		if (vault_call(cli, "backup", "back up the vault",
			json_pack("{s:i}", "part", part), secret, &out, e) != 0)
			return e->code;
		int r = buf_put_str(all, cli_string(out, "backup"));
		more = json_is_true(json_object_get(out, "more"));
		json_decref(out);
		if (r != 0)
			(void)cli_error_from(e, r, "back up the vault", NULL);
	}
	return e->code;
}

/* A new file, never over an old one. */
static int
write_new(const char *path, struct buf *all, struct cli_error *e)
{
	int fd = open(
	    path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	bool good = fd >= 0;

	while (good && buf_len(all) > 0) {
		ssize_t n = write(fd, buf_span(all).p, buf_len(all));
		if (n > 0)
			buf_consume(all, (size_t)n);
		good = n > 0 || errno == EINTR;
	}
	good = good && write(fd, "\n", 1) == 1 && fsync(fd) == 0;
	if (!good)
		(void)cli_error(e, CLI_FAILED, "write the backup", NULL,
		    "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return e->code;
}

int
vault_backup_run(struct cli *cli, const struct args *a)
{
	struct buf *all = buf_new(BACKUP_MAX);
	struct keep *secret = NULL;
	struct cli_error e = {0};
	int r = all == NULL ? cli_error_from(&e, ERR_NOMEM, "backup", NULL)
			    : daemon_ensure(cli, &e);

	if (r == 0 && access(a->words[0], F_OK) == 0)
		r = cli_error(&e, CLI_FAILED, "write the backup",
		    "name a new file", "%s exists", a->words[0]);
	if (r == 0)
		r = passphrase(
		    a, "Passphrase of the backup", true, &secret, &e);
	if (r == 0)
		r = collect(cli, secret, all, &e);
	if (r == 0)
		r = write_new(a->words[0], all, &e);
	keep_free(secret);
	buf_free(all);
	if (r != 0)
		return cli_report(cli, &e);
	if (cli->json) {
		json_t *j = json_pack("{s:s}", "file", a->words[0]);
		r = cli_print_json(j);
		json_decref(j);
	}
	return r;
}

/* --- restore ---------------------------------------------------------- */

static int
read_backup(const char *path, struct buf *all, struct cli_error *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 1;
	uint8_t *p;

	while (n > 0) {
		if (buf_reserve(all, 65536, &p) != 0) {
			close(fd);
			return cli_error(e, CLI_FAILED, "read the backup", NULL,
			    "%s is too large", path);
		}
		if ((n = read(fd, p, 65536)) > 0)
			buf_claim(all, (size_t)n);
	}
	if (n < 0)
		(void)cli_error(e, fd < 0 ? CLI_NOT_FOUND : CLI_FAILED,
		    "read the backup", NULL, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return e->code;
}

static int
send_parts(struct cli *cli, const struct keep *secret, struct span all,
    json_t **out, struct cli_error *e)
{
	while (all.n > 0 && all.p[all.n - 1] == '\n')
		all.n--;
	for (int part = 0; part == 0 || all.n > 0; part++) {
		size_t n = all.n < PART ? all.n : PART;
		json_decref(*out);
		*out = NULL;
		json_t *in = json_pack("{s:s%, s:i, s:b}", "backup", all.p, n,
		    "part", part, "more", all.n > n);
		if (in == NULL)
			return cli_error(e, CLI_FAILED, "restore the vault",
			    NULL, "this is no backup of Hatcheck");
		if (vault_call(cli, "restore", "restore the vault", in, secret,
			out, e) != 0)
			return e->code;
		all = span_from(all, n);
	}
	return 0;
}

int
vault_restore_run(struct cli *cli, const struct args *a)
{
	struct buf *all = buf_new(BACKUP_MAX);
	struct keep *secret = NULL;
	struct cli_error e = {0};
	json_t *out = NULL;
	int r = all == NULL ? cli_error_from(&e, ERR_NOMEM, "restore", NULL)
			    : read_backup(a->words[0], all, &e);

	if (r == 0)
		r = daemon_ensure(cli, &e);
	if (r == 0)
		r = passphrase(
		    a, "Passphrase of the backup", false, &secret, &e);
	if (r == 0)
		r = send_parts(cli, secret, buf_span(all), &out, &e);
	keep_free(secret);
	buf_free(all);
	if (r != 0) {
		json_decref(out);
		return cli_report(cli, &e);
	}
	return finish(cli, out, "Restored");
}
