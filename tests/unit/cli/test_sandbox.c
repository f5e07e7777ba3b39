/* SPDX-License-Identifier: ISC */
/*
 * `hatcheck run`'s sandbox without a daemon: which paths and variables are
 * let in, and what a hostile command can do inside the real bubblewrap.
 * A shell script stands in for the agent.
 */
#include "cli/run_watch.h"
#include "cli/sandbox.h"
#include "cli/sandbox_env.h"
#include "cli/sandbox_filter.h"
#include "cli/sandbox_places.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char base[64];	 /* of everything here */
static char project[96]; /* what the sandbox may write */

static void
in_project(const char *script)
{
	char line[8192];

	snprintf(line, sizeof(line), "set -e; cd '%s'; %s", project, script);
	assert_int_equal(system(line), 0);
}

static void
write_agent(void)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/agent", base);
	f = fopen(path, "w");
	fputs("#!/bin/sh\nshift 4\n\"$@\"\nexit $?\n", f);
	fclose(f);
	chmod(path, 0755);
}

static int
setup(void **state)
{
	char line[512];

	(void)state;
	strcpy(base, "/var/tmp/hck-box-XXXXXX");
	if (mkdtemp(base) == NULL)
		return -1;
	snprintf(project, sizeof(project), "%s/project", base);
	snprintf(line, sizeof(line),
	    "mkdir %s %s/channel %s/secret && echo canary > %s/secret/key && "
	    "echo channel > %s/channel/mark",
	    project, base, base, base, base);
	write_agent();
	return system(line);
}

static int
teardown(void **state)
{
	char line[128];

	(void)state;
	snprintf(line, sizeof(line), "rm -rf %s", base);
	return system(line);
}

struct result {
	int status;
	char out[65536];
	char told[8192];
	size_t n_told;
};

static void
note(void *arg, const char *sentence)
{
	struct result *r = arg;
	size_t n = strlen(r->told);

	snprintf(r->told + n, sizeof(r->told) - n, "%s\n", sentence);
}

/* stdout to a file for the time of f. */
static int
divert(int *saved)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/out", base);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	fflush(stdout);
	*saved = dup(1);
	dup2(fd, 1);
	return fd;
}

static void
box(const char *script, const char *const env[], size_t n_env, struct result *r)
{
	static struct sandbox s;
	static struct pty pty;
	const char *command[] = {"sh", "-c", script, NULL};
	char channel[128], agent[128];
	struct sandbox_run run;
	struct cli_error e = {0};
	int signals, saved, fd, code;
	ssize_t n;

	memset(&s, 0, sizeof(s));
	*r = (struct result){0};
	snprintf(channel, sizeof(channel), "%s/channel", base);
	snprintf(agent, sizeof(agent), "%s/agent", base);
	strcpy(s.binds[0].path, project);
	s.binds[0].write = true;
	s.n_binds = 1;
	s.project = project;
	s.channel = channel;
	s.agent = agent;
	s.env = env;
	s.n_env = n_env;
	s.command = command;
	assert_int_equal(guard_open(&s.binds[0].guard, project, &e), 0);
	assert_int_equal(watch_signals(&signals), 0);
	pty = (struct pty){-1, -1, -1, -1};
	fd = divert(&saved);
	code = sandbox_start(&s, &pty, &run, &e);
	if (code == 0)
		code = watch_run(&run, &pty, signals, &r->status, &e);
	dup2(saved, 1);
	close(saved);
	r->n_told = guard_close(&s.binds[0].guard, note, r);
	n = pread(fd, r->out, sizeof(r->out) - 1, 0);
	assert_true(n >= 0);
	close(fd);
	close(signals);
	close(run.info);
	if (code != 0)
		fail_msg("%s: %s", e.what, e.why);
}

/* The script ends with this status. */
static void
expect(const char *script, int status)
{
	static struct result r;

	box(script, NULL, 0, &r);
	if (r.status != status)
		fail_msg("%s: %d, not %d\n%s", script, r.status, status, r.out);
}

static void
test_status(void **state)
{
	(void)state;
	expect("exit 0", 0);
	expect("exit 42", 42);
	expect("exit 125", 125);
	expect("kill -9 $$", 137);
}

static void
test_no_network(void **state)
{
	(void)state;
	expect("[ \"$(ls /proc/self/net/dev >/dev/null; "
	       "tail -n +3 /proc/net/dev | grep -vc lo:)\" = 0 ]",
	    0);
	expect("python3 -c 'import socket\n"
	       "s=socket.socket()\n"
	       "s.connect((\"192.0.2.1\",80))' 2>/dev/null",
	    1);
	/* No namespace confines vsock: the family itself is refused. */
	expect("python3 -c 'import socket\n"
	       "for f in (40, 38, 17, 31, (1<<32)|40):\n"
	       "  try: socket.socket(f & 0xffffffff, socket.SOCK_STREAM); "
	       "raise SystemExit(9)\n"
	       "  except PermissionError: pass'",
	    0);
	expect("python3 -c 'import socket\n"
	       "for f in (1, 2, 10): socket.socket(f, socket.SOCK_STREAM)'",
	    0);
}

static void
test_files(void **state)
{
	char line[512];

	(void)state;
	snprintf(line, sizeof(line), "[ ! -e %s/secret ] && [ ! -e %s/agent ]",
	    base, base);
	expect(line, 0);
	expect("[ \"$(ls /run | tr '\\n' ' ')\" = 'hatcheck hatcheck-guest ' ]",
	    0);
	expect("cat /run/hatcheck/mark", 0);
	expect("echo x > /run/hatcheck/new", 2);
	expect("! grep -rqs canary / --include=key", 0);
	expect("[ ! -e /etc/shadow ] && [ ! -e /etc/ssh ] && "
	       "[ ! -e /etc/ssl/private ] && [ ! -e /etc/gitconfig ] && "
	       "[ ! -e /etc/npmrc ] && [ ! -e /root ] && [ ! -e /sys ] && "
	       "[ ! -e /var/lib ] && [ ! -e /var/run ]",
	    0);
	expect("touch /usr/x 2>/dev/null", 1);
	expect("touch /etc/x 2>/dev/null", 1);
	expect("touch /x 2>/dev/null", 1);
	expect("touch /opt/x 2>/dev/null", 1);
	expect("cd && [ $PWD = /home/agent ] && [ -z \"$(ls -A)\" ] && "
	       "touch x /tmp/x /var/tmp/x /dev/shm/x",
	    0);
	expect("[ -z \"$(ls -A /tmp)\" ] && [ ! -e /home/agent/x ]", 0);
	expect("id -un | grep -qx agent && getent hosts localhost", 0);
	expect("curl --version >/dev/null && python3 -c pass && "
	       "test -s /etc/ssl/certs/ca-certificates.crt",
	    0);
}

static void
test_processes(void **state)
{
	(void)state;
	expect("[ \"$(ls /proc | grep -c '^[0-9]')\" -lt 8 ]", 0);
	expect("[ \"$(cat /proc/1/comm)\" = hatcheck-guest ]", 0);
	expect("grep -q '^CapEff:.0*$' /proc/self/status && "
	       "grep -q '^CapBnd:.0*$' /proc/self/status && "
	       "grep -q '^NoNewPrivs:.1$' /proc/self/status && "
	       "grep -q '^Seccomp:.2$' /proc/self/status",
	    0);
	expect("unshare -U true 2>/dev/null", 1);
	expect("unshare -m true 2>/dev/null", 1);
	expect("mount -t tmpfs x /tmp 2>/dev/null; [ $? != 0 ]", 0);
	expect("[ -z \"$(ls -l /proc/self/fd | grep -v ' [012] -> ' | "
	       "grep -v '/proc' | grep -- '->')\" ]",
	    0);
	/* hatcheck's own sandbox options, and so --env, are in no argv. */
	expect("! tr '\\0' '\\n' < /proc/1/cmdline | grep -q '[-]-setenv'", 0);
}

static void
test_calls(void **state)
{
	(void)state;
	/* keyctl, add_key, bpf, perf_event_open, userfaultfd, io_uring_setup,
	 * TIOCSTI (also with high bits that the kernel drops), TIOCLINUX */
	expect("python3 - <<'EOF'\n"
	       "import ctypes, errno, os, platform\n"
	       "c = ctypes.CDLL(None, use_errno=True)\n"
	       "n = {'x86_64': (250, 248, 321, 298, 323, 425),\n"
	       "     'aarch64': (219, 217, 280, 241, 282, 425)}\n"
	       "bad = []\n"
	       "for call in n[platform.machine()]:\n"
	       "    ctypes.set_errno(0)\n"
	       "    r = c.syscall(call, 0, 0, 0, 0, 0)\n"
	       "    if (r, ctypes.get_errno()) != (-1, errno.EPERM):\n"
	       "        bad.append((call, r, ctypes.get_errno()))\n"
	       "a, b = os.openpty()\n"
	       "ch = ctypes.c_char(b'x')\n"
	       "ioctl = 16 if platform.machine() == 'x86_64' else 29\n"
	       "for req in (0x5412, 0x541c, 0x5412 | 1 << 32):\n"
	       "    ctypes.set_errno(0)\n"
	       "    r = c.syscall(ioctl, b, ctypes.c_ulong(req), "
	       "ctypes.byref(ch))\n"
	       "    if (r, ctypes.get_errno()) != (-1, errno.EPERM):\n"
	       "        bad.append((hex(req), r, ctypes.get_errno()))\n"
	       "assert not bad, bad\n"
	       "EOF",
	    0);
	expect(
	    "setsid true; [ ! -t 0 ] && ! sh -c ': < /dev/tty' 2>/dev/null", 0);
}

static void
test_environment(void **state)
{
	static const char *const pairs[] = {"MINE=a b=c", "EMPTY="};
	static struct result r;

	(void)state;
	setenv("GITHUB_TOKEN", "canary-token", 1);
	setenv("SSH_AUTH_SOCK", "/tmp/canary", 1);
	setenv("LC_TIME", "ghp_0123456789abcdef0123456789abcdef0123", 1);
	setenv("TERM", "xterm-256color", 1);
	box("env; cat /proc/1/environ | tr '\\0' '\\n'", pairs, 2, &r);
	assert_int_equal(r.status, 0);
	assert_null(strstr(r.out, "canary"));
	assert_null(strstr(r.out, "ghp_"));
	assert_non_null(strstr(r.out, "\nMINE=a b=c\n"));
	assert_non_null(strstr(r.out, "\nEMPTY=\n"));
	assert_non_null(strstr(r.out, "TERM=xterm-256color\n"));
	assert_non_null(strstr(r.out, "HOME=/home/agent\n"));
	unsetenv("GITHUB_TOKEN");
	unsetenv("SSH_AUTH_SOCK");
	unsetenv("LC_TIME");
}

/* What is there already can be neither changed, nor replaced, nor moved
 * away with all above it. */
static void
test_guard_sealed(void **state)
{
	static const char *const attacks[] = {"echo x >> .git/config",
	    "rm .git/config", "rm -rf .git/hooks", "mv .git/config .git/c2",
	    "echo x > .git/hooks/pre-commit", "mv .git .git2",
	    "mv .git/hooks .git/h2", "ln -f /etc/passwd .git/config",
	    "echo x > .envrc", "rm .envrc", "mv .envrc e2", "mv .vscode v2",
	    "echo x > .vscode/tasks.json", "chmod 777 .envrc",
	    "echo x > e2 && mv -f e2 .envrc",
	    "git config core.fsmonitor /tmp/evil",
	    "ln .envrc hard && echo x > hard",
	    "mv ../project ../p2 && mkdir ../project"};
	static struct result r;
	char line[512];

	(void)state;
	in_project("git init -q . && git config user.email a@b && "
		   "git config user.name n && echo true > .envrc && "
		   "mkdir .vscode && echo '{}' > .vscode/tasks.json && "
		   "mkdir -p .git/hooks && touch .git/hooks/x && "
		   "find .git/config .git/hooks .envrc .vscode -type f -exec "
		   "sha256sum {} + | sort > ../before");
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		snprintf(line, sizeof(line), "{ %s; } 2>/dev/null", attacks[i]);
		box(line, NULL, 0, &r);
		if (r.status == 0)
			fail_msg("it can: %s", attacks[i]);
		if (r.n_told != 0)
			fail_msg("%s: %s", attacks[i], r.told);
		in_project("rm -f e2 hard; "
			   "find .git/config .git/hooks .envrc .vscode "
			   "-type f -exec sha256sum {} + | sort | "
			   "cmp - ../before");
	}
	expect("echo hi > file && git add file && git commit -qm one && "
	       "git checkout -q -b two",
	    0);
	in_project("git log --oneline | grep -q one && "
		   "rm -rf .git .envrc .vscode file");
}

/* What is not there cannot be made, or is held back. */
static void
test_guard_missing(void **state)
{
	static struct result r;

	(void)state;
	box("for d in .git .vscode .idea .claude .husky; do "
	    "  echo x > $d/f && exit 9; rmdir $d && exit 8; "
	    "  mv $d gone && exit 7; mkdir $d && exit 6; done 2>/dev/null; "
	    "git init -q . 2>/dev/null && exit 5; "
	    "echo evil > .envrc; echo evil > .npmrc; mkdir .cursor; "
	    "ln -s /etc/passwd .mcp.json; exit 0",
	    NULL, 0, &r);
	assert_int_equal(r.status, 0);
	assert_int_equal(r.n_told, 4);
	assert_non_null(strstr(r.told, "/.envrc was made in the sandbox"));
	in_project("[ \"$(ls -A | tr '\\n' ' ')\" = '.cursor.hatcheck-held "
		   ".envrc.hatcheck-held .mcp.json.hatcheck-held "
		   ".npmrc.hatcheck-held ' ]; rm -rf .??*");
	/* Inside .git too: commondir and config.worktree lead git astray. */
	in_project("git init -q .");
	box("echo ../evil > .git/commondir; echo x > .git/config.worktree",
	    NULL, 0, &r);
	assert_int_equal(r.n_told, 2);
	in_project("git status >/dev/null; rm -rf .git");
}

static void
test_guard_links(void **state)
{
	static struct guard g;
	struct cli_error e = {0};

	(void)state;
	in_project("ln -s /tmp .vscode");
	assert_int_equal(guard_open(&g, project, &e), CLI_RUN_FAILED);
	in_project("[ \"$(ls -A)\" = .vscode ] && rm .vscode");
}

/* Two runs at once: the first to end leaves the other its ghosts. */
static void
test_guard_two(void **state)
{
	static struct guard a, b;
	static struct result r;
	struct cli_error e = {0};

	(void)state;
	assert_int_equal(guard_open(&a, project, &e), 0);
	assert_int_equal(guard_open(&b, project, &e), 0);
	assert_int_equal(guard_close(&a, note, &r), 0);
	in_project("[ -d .git ] && [ -d .vscode ]");
	assert_int_equal(guard_close(&b, note, &r), 0);
	in_project("[ -z \"$(ls -A)\" ]");
}

static void
test_guard_changed(void **state)
{
	static struct guard g;
	static struct result r;
	struct cli_error e = {0};

	(void)state;
	in_project("echo one > .envrc");
	assert_int_equal(guard_open(&g, project, &e), 0);
	in_project("echo two > x && mv x .envrc");
	assert_int_equal(guard_close(&g, note, &r), 1);
	assert_non_null(strstr(r.told, ".envrc changed while"));
	in_project("rm .envrc; [ -z \"$(ls -A)\" ]");
}

static void
test_places(void **state)
{
	static const char *const own[] = {"/srv/hatcheck/state", ""};
	static const struct {
		const char *path;
		enum place_use use;
		bool fine;
	} rows[] = {
	    {"/home/u/src/app", PLACE_WRITE, true},
	    {"/home/u/src", PLACE_WRITE, true},
	    {"/home/u/.sshx", PLACE_WRITE, true},
	    {"/srv/app", PLACE_WRITE, true},
	    {"/opt/tool", PLACE_READ, true},
	    {"/usr/share/doc", PLACE_READ, true},
	    {"/tmp/build-1", PLACE_WRITE, true},
	    {"/", PLACE_WRITE, false},
	    {"/", PLACE_READ, false},
	    {"/home", PLACE_READ, false},
	    {"/home/u", PLACE_WRITE, false},
	    {"/home/u", PLACE_READ, false},
	    {"/home/u/.ssh", PLACE_READ, false},
	    {"/home/u/.ssh/id_ed25519", PLACE_READ, false},
	    {"/home/u/.config", PLACE_READ, false},
	    {"/home/u/.config/gh", PLACE_READ, false},
	    {"/home/u/.aws", PLACE_READ, false},
	    {"/home/u/.gnupg", PLACE_READ, false},
	    {"/home/u/.local", PLACE_READ, false},
	    {"/home/u/.local/share/keyrings", PLACE_READ, false},
	    {"/home/u/.netrc", PLACE_READ, false},
	    {"/run", PLACE_READ, false},
	    {"/run/user/1000", PLACE_READ, false},
	    {"/var", PLACE_READ, false},
	    {"/dev/shm", PLACE_WRITE, false},
	    {"/proc/1", PLACE_READ, false},
	    {"/sys/fs", PLACE_READ, false},
	    {"/etc", PLACE_READ, false},
	    {"/etc/ssl/private", PLACE_READ, false},
	    {"/tmp", PLACE_WRITE, false},
	    {"/usr", PLACE_READ, false},
	    {"/usr/lib/x", PLACE_WRITE, false},
	    {"/home/u/app/.git/hooks", PLACE_WRITE, false},
	    {"/srv/hatcheck", PLACE_READ, false},
	    {"/srv/hatcheck/state", PLACE_READ, false},
	    {"/srv/hatcheck/state/vault", PLACE_READ, false},
	    {"/srv", PLACE_READ, false},
	    {"relative", PLACE_READ, false},
	    {"/home/u/.aws", PLACE_EXPOSE, true},
	    {"/run/postgresql", PLACE_EXPOSE, true},
	    {"/etc/gitconfig", PLACE_EXPOSE, true},
	    {"/home/u", PLACE_EXPOSE, false},
	    {"/home", PLACE_EXPOSE, false},
	    {"/", PLACE_EXPOSE, false},
	    {"/run", PLACE_EXPOSE, false}, /* it holds ours */
	    {"/etc", PLACE_EXPOSE, false},
	    {"/run/hatcheck", PLACE_EXPOSE, false},
	    {"/var/lib/hatcheck/vault", PLACE_EXPOSE, false},
	    {"/srv/hatcheck/state/vault", PLACE_EXPOSE, false},
	    {"/srv/hatcheck", PLACE_EXPOSE, false},
	    {"/proc/1", PLACE_EXPOSE, false},
	    {"/dev/shm", PLACE_EXPOSE, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *why =
		    places_judge(rows[i].path, rows[i].use, "/home/u", own, 2);

		if ((why == NULL) != rows[i].fine)
			fail_msg("%s: %s", rows[i].path, why ? why : "fine");
	}
	assert_null(places_judge("/home/u/.ssh", PLACE_READ, NULL, own, 0));
}

static void
test_places_links(void **state)
{
	struct cli cli = {0};
	struct cli_error e = {0};
	char path[128], out[PATH_MAX], old[PATH_MAX];
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const char *home = getenv("HOME");
	int fd;

	(void)state;
	snprintf(old, sizeof(old), "%s", home ? home : "/root");
	snprintf(cli.paths.state, PATH_MAX, "%s/secret", base);
	strcpy(cli.paths.config, cli.paths.state);
	strcpy(cli.paths.run, cli.paths.state);
	strcpy(cli.paths.log, cli.paths.state);
	setenv("HOME", "/nonexistent/home", 1);
	in_project("ln -s ../secret link; ln -s / root; ln -s . self");
	snprintf(path, sizeof(path), "%s/link", project);
	assert_int_equal(
	    places_check(&cli, "x", path, PLACE_READ, out, &e), 125);
	snprintf(path, sizeof(path), "%s/root", project);
	assert_int_equal(
	    places_check(&cli, "x", path, PLACE_READ, out, &e), 125);
	snprintf(path, sizeof(path), "%s/self", project);
	assert_int_equal(
	    places_check(&cli, "x", path, PLACE_WRITE, out, &e), 0);
	assert_string_equal(out, project);
	/* The state's own parent holds it. */
	assert_int_equal(
	    places_check(&cli, "x", base, PLACE_READ, out, &e), 125);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/sock", project);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(
	    places_check(&cli, "x", a.sun_path, PLACE_READ, out, &e), 125);
	close(fd);
	setenv("HOME", project, 1);
	assert_int_equal(
	    places_check(&cli, "x", project, PLACE_WRITE, out, &e), 125);
	setenv("HOME", old, 1);
	in_project("rm link root self sock");
}

static void
test_env(void **state)
{
	static const struct {
		const char *pair;
		bool fine;
	} rows[] = {
	    {"MODE=production", true},
	    {"EMPTY=", true},
	    {"PATH=/usr/bin:/bin", true},
	    {"URL=https://example.com/a?b=c", true},
	    {"TASK=task-0123456789abcdef0123456789", true},
	    {"COMMIT=0123456789abcdef0123456789abcdef01234567", true},
	    {"AUTHOR=Ann Example", true},
	    {"TOKEN_FILE=/etc/ssl/certs/ca-certificates.crt", true},
	    {"NOEQUALS", false},
	    {"=x", false},
	    {"1A=x", false},
	    {"A B=x", false},
	    {"HATCHECK_CHANNEL=/x", false},
	    {"A=sk-ant-api03-0123456789abcdefghij", false},
	    {"A=prefix ghp_0123456789abcdef0123456789", false},
	    {"A=Github_Pat_0123456789abcdef0123456789", false},
	    {"A=AKIAIOSFODNN7EXAMPLE", false},
	    {"A=AIzaSyA0123456789abcdefghijklmnopqrstuv", false},
	    {"A=xoxb-0123456789-abcdefgh", false},
	    {"A={\"k\":\"sk-0123456789abcdefghij\"}", false},
	    {"A=eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0", false},
	    {"A=-----BEGIN OPENSSH PRIVATE KEY-----", false},
	    {"A=https://user:pa55@example.com/", false},
	    {"A=Authorization: Bearer 0123456789abcdef", false},
	    {"API_KEY=0123456789abcdef0123", false},
	    {"my_secret=Zm9vYmFyYmF6MTIzNDU2", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *why = env_refusal(rows[i].pair);

		if ((why == NULL) != rows[i].fine)
			fail_msg("%s: %s", rows[i].pair, why ? why : "fine");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_places),
	    cmocka_unit_test(test_places_links),
	    cmocka_unit_test(test_env),
	    cmocka_unit_test(test_status),
	    cmocka_unit_test(test_no_network),
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_processes),
	    cmocka_unit_test(test_calls),
	    cmocka_unit_test(test_environment),
	    cmocka_unit_test(test_guard_sealed),
	    cmocka_unit_test(test_guard_missing),
	    cmocka_unit_test(test_guard_links),
	    cmocka_unit_test(test_guard_two),
	    cmocka_unit_test(test_guard_changed),
	};

	return cmocka_run_group_tests_name("sandbox", tests, setup, teardown);
}
