/* SPDX-License-Identifier: ISC */
/* What for: hatcheckd from the outside. Trusts: the program beside this
 * one, and the peer that the kernel names at its socket. At a bound: gives
 * up after 10 s and shows the log's last lines. */
#include "cli/daemon.h"

#include "cli/admin.h"
#include "lib/link.h"
#include "lib/safefile.h"
#include "lib/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 10000
#define POLL_MS 20
#define TAIL_BYTES 700
#define START "start the daemon"

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
nap(void)
{
	struct timespec t = {.tv_nsec = POLL_MS * 1000000};

	(void)nanosleep(&t, NULL); /* shorter is fine */
}

/* Does anybody listen at run/NAME, and who made that socket listen? */
static bool
listens(const struct cli *cli, const char *name, pid_t *pid)
{
	char path[PATH_MAX];
	uid_t uid;
	int fd;

	if (paths_join(cli->paths.run, name, path) != 0 ||
	    unixsock_connect(path, &fd) != 0)
		return false;
	bool ours =
	    unixsock_peer(fd, &uid, pid) == 0 && (uid == geteuid() || uid == 0);
	close(fd);
	return ours;
}

bool
daemon_running(const struct cli *cli, pid_t *pid)
{
	pid_t who;

	if (!listens(cli, "admin.sock", &who))
		return false;
	if (pid != NULL)
		*pid = who;
	return true;
}

int
daemon_program(const struct cli *cli, const char *name,
    char out[static PATH_MAX], struct cli_error *e)
{
	if (paths_join(cli->bindir, name, out) == 0 && access(out, X_OK) == 0)
		return 0;
	if (paths_join(LIBEXECDIR, name, out) == 0 && access(out, X_OK) == 0)
		return 0;
	return cli_error(e, CLI_FAILED, START, "install Hatcheck again",
	    "%s is neither in %s nor in %s", name, cli->bindir, LIBEXECDIR);
}

/* log/hatcheckd.log for appending; the directory is made if need be. */
static int
open_log(const struct cli *cli, int *out, struct cli_error *e)
{
	char why[512] = "";
	struct stat st;
	int dir, r = safefile_dir(cli->paths.log, true, &dir, why, sizeof(why));

	if (r != 0)
		return cli_error(e, CLI_FAILED, START, "hatcheck doctor", "%s",
		    why[0] == '\0' ? err_text(r) : why);
	*out = openat(dir, "hatcheckd.log",
	    O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	int saved = errno;
	close(dir);
	/* A FIFO takes some lines, and then all wait. */
	if (*out >= 0 && (fstat(*out, &st) != 0 || !S_ISREG(st.st_mode))) {
		close(*out);
		return cli_error(e, CLI_FAILED, START, "move it away",
		    "%s/hatcheckd.log is no regular file", cli->paths.log);
	}
	if (*out >= 0)
		return 0;
	return cli_error(e, CLI_FAILED, START, "hatcheck doctor",
	    "%s/hatcheckd.log: %s", cli->paths.log, strerror(saved));
}

/* In the child: its own session, nothing of ours but the log. */
static _Noreturn void
become(const struct cli *cli, const char *program, int log)
{
	const char *argv[] = {program, "--foreground",
	    cli->home == NULL ? NULL : "--home", cli->home, NULL};
	int null = open("/dev/null", O_RDWR);

	(void)setsid(); /* fails only for a group leader: we just forked */
	if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 ||
	    dup2(log, 2) < 0 || chdir("/") != 0)
		_exit(1);
	if (syscall(SYS_close_range, 3U, ~0U, 0U) != 0)
		_exit(1);
	(void)signal(SIGPIPE, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail */
	execv(program, (char *const *)(uintptr_t)argv);
	dprintf(2, "cannot run %s: %s\n", program, strerror(errno));
	_exit(127);
}

/* What was appended to the log since from, or its end. */
static void
tail(int log, off_t from, char *out, size_t size)
{
	struct stat st;
	ssize_t n;

	out[0] = '\0';
	if (fstat(log, &st) != 0)
		return;
	if (st.st_size - from > (off_t)size - 1)
		from = st.st_size - ((off_t)size - 1);
	if ((n = pread(log, out, size - 1, from)) > 0)
		out[n] = '\0';
	while (n > 0 && out[n - 1] == '\n')
		out[--n] = '\0';
}

static bool
ready(const struct cli *cli)
{
	return listens(cli, "admin.sock", NULL) &&
	       listens(cli, "vault.sock", NULL);
}

/* Until the minter had its keys from the vault: before that it refuses
 * everything. A vault that stays away is for the next call to report, but a
 * minter that cannot do anything says so here, in e. */
static void
await_keys(struct cli *cli, int64_t deadline, struct cli_error *e)
{
	const char *state = "starting";
	json_t *status = NULL;

	while (now_ms() < deadline && (strcmp(state, "starting") == 0 ||
					  strcmp(state, "absent") == 0)) {
		json_decref(status);
		status = NULL;
		if (admin_call(cli, "status", NULL, &status, e) != 0)
			return;
		state = cli_string(json_object_get(status, "vault"), "state");
		nap();
	}
	json_decref(status);
}

/* 0 once both sockets answer; the child may have died because another one
 * came first, so its death shortens the wait but does not end it. */
static int
await(const struct cli *cli, pid_t child)
{
	int64_t deadline = now_ms() + WAIT_MS;
	bool dead = false;

	while (now_ms() < deadline) {
		if (ready(cli))
			return 0;
		if (!dead && waitpid(child, NULL, WNOHANG) == child) {
			dead = true;
			if (deadline > now_ms() + 1000)
				deadline = now_ms() + 1000;
		}
		nap();
	}
	return dead ? ERR_IO : ERR_UNAVAILABLE;
}

static int
start(struct cli *cli, struct cli_error *e)
{
	char program[PATH_MAX], said[TAIL_BYTES];
	int log = -1;

	if (daemon_program(cli, "hatcheckd", program, e) != 0 ||
	    open_log(cli, &log, e) != 0)
		return e->code;
	off_t from = lseek(log, 0, SEEK_END);
	pid_t child = fork();
	if (child == 0)
		become(cli, program, log);
	int r = child < 0 ? ERR_IO : await(cli, child);
	if (r == 0)
		await_keys(cli, now_ms() + WAIT_MS, e);
	if (r != 0) {
		tail(log, from < 0 ? 0 : from, said, sizeof(said));
		(void)cli_error(e, CLI_FAILED, START, "hatcheck doctor",
		    "%s%s%s",
		    r == ERR_IO ? "it ended at once"
				: "it did not answer in 10 s",
		    said[0] == '\0' ? "" : "; its last words:\n", said);
	}
	close(log);
	return e->code;
}

const char *
daemon_next(const struct cli *cli)
{
	char path[PATH_MAX];

	return paths_join(cli->paths.config, "vault.json", path) == 0 &&
		       access(path, F_OK) == 0
		   ? "hatcheck start"
		   : "hatcheck init";
}

bool
daemon_other_build(struct cli *cli)
{
	struct cli_error ignored = {0};
	json_t *s = NULL;
	bool other;

	if (admin_call(cli, "status", NULL, &s, &ignored) != 0)
		return false;
	other = strcmp(cli_string(s, "build"), link_build_id()) != 0;
	json_decref(s);
	return other;
}

int
daemon_ensure(struct cli *cli, struct cli_error *e)
{
	e->code = 0;
	return ready(cli) ? 0 : start(cli, e);
}

/* SIGTERM to exactly the process that owns the socket. */
static int
terminate(int pidfd)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0);
}

int
daemon_stop(struct cli *cli, struct cli_error *e)
{
	struct pollfd p = {.events = POLLIN};
	pid_t pid;

	e->code = 0;
	if (!daemon_running(cli, &pid))
		return cli_error(e, CLI_NOT_RUNNING, "stop the daemon", NULL,
		    "it does not run");
	p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (p.fd < 0 || terminate(p.fd) != 0) {
		(void)cli_error(e, CLI_DENIED, "stop the daemon",
		    "the service manager may own it: systemctl stop hatcheck",
		    "process %d: %s", (int)pid, strerror(errno));
	} else if (poll(&p, 1, WAIT_MS) != 1) {
		(void)cli_error(e, CLI_FAILED, "stop the daemon",
		    "hatcheck logs", "process %d is still there after 10 s",
		    (int)pid);
	}
	if (p.fd >= 0)
		close(p.fd);
	return e->code;
}
