/* SPDX-License-Identifier: ISC */
/* What for: make and start the sandbox. Trusts: bubblewrap and the kernel;
 * paths after sandbox_places.h. At a bound: no sandbox. */
#include "cli/sandbox.h"

#include "cli/sandbox_env.h"
#include "cli/sandbox_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BWRAP "/usr/bin/bwrap"
#define PRLIMIT "/usr/bin/prlimit"

extern char **environ;

/* Of /etc: what programs need to start and to find their data; nothing in
 * which an administrator may have put a password (so no gitconfig, npmrc,
 * pip.conf, wgetrc, profile.d, environment). */
static const char *const etc[] = {"alternatives", "ca-certificates",
    "ca-certificates.conf", "crypto-policies", "debian_version", "fonts",
    "host.conf", "inputrc", "issue", "ld-musl-x86_64.path", "ld.so.cache",
    "ld.so.conf", "ld.so.conf.d", "locale.alias", "localtime", "magic",
    "mime.types", "os-release", "perl", "protocols", "python3", "python3.11",
    "python3.13", "rpc", "services", "sgml", "ssl/certs", "ssl/openssl.cnf",
    "terminfo", "timezone", "xml", "java-11-openjdk", "java-17-openjdk",
    "java-21-openjdk", "pki/tls/certs", "pki/ca-trust/extracted"};

static const char *const programs[] = {
    "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt"};

static int
put(struct buf *out, const char *word)
{
	return buf_put(out, word, strlen(word) + 1);
}

static int
put3(struct buf *out, const char *a, const char *b, const char *c)
{
	int r = put(out, a);

	if (r == 0)
		r = put(out, b);
	return r == 0 ? put(out, c) : r;
}

static int
put_fd(struct buf *out, const char *option, int fd, const char *where)
{
	int r = buf_printf(out, "%s%c%d%c", option, 0, fd, 0);

	return r == 0 && where != NULL ? put(out, where) : r;
}

/* What is there, as it is there: a link stays a link. */
static int
put_system(struct buf *out, const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n < 0)
		return access(path, F_OK) == 0
			   ? put3(out, "--ro-bind", path, path)
			   : 0;
	target[n] = '\0';
	return put3(out, "--symlink", target, path);
}

static int
put_etc(struct buf *out, const struct sandbox_fds *f)
{
	char path[64];
	int r = 0;

	for (size_t i = 0; r == 0 && i < COUNT(etc); i++) {
		(void)snprintf(path, sizeof(path), "/etc/%s", etc[i]);
		/* A link is followed: what it names is on this list too. */
		if (access(path, R_OK) == 0)
			r = put3(out, "--ro-bind", path, path);
	}
	if (r == 0)
		r = put_fd(out, "--ro-bind-data", f->passwd, "/etc/passwd");
	if (r == 0)
		r = put_fd(out, "--ro-bind-data", f->group, "/etc/group");
	if (r == 0)
		r = put_fd(out, "--ro-bind-data", f->hosts, "/etc/hosts");
	if (r == 0)
		r = put_fd(
		    out, "--ro-bind-data", f->nsswitch, "/etc/nsswitch.conf");
	return r;
}

static int
put_walls(struct buf *out, const struct sandbox *s, const struct sandbox_fds *f)
{
	static const char *const words[] = {"--unshare-user", "--unshare-net",
	    "--unshare-pid",
	    "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
	    "--hostname", "sandbox", "--die-with-parent", "--as-pid-1",
	    "--cap-drop", "ALL"};
	int r = 0;

	for (size_t i = 0; r == 0 && i < COUNT(words); i++)
		r = put(out, words[i]);
	if (r == 0 && !s->nested)
		r = put(out, "--disable-userns");
	if (r == 0)
		r = put_fd(out, "--seccomp", f->filter, NULL);
	return r == 0 ? put_fd(out, "--json-status-fd", f->info, NULL) : r;
}

static int
put_own(struct buf *out, const struct sandbox_limits *l)
{
	static const char *const words[] = {"--proc", "/proc", "--dev", "/dev",
	    "--perms", "0755", "--dir", "/home"};
	static const char *const own[][2] = {
	    {"1777", "/tmp"}, {"1777", "/var/tmp"}, {"0700", "/home/agent"}};
	int r = 0;

	for (size_t i = 0; r == 0 && i < COUNT(words); i++)
		r = put(out, words[i]);
	for (size_t i = 0; r == 0 && i < COUNT(own); i++)
		r = sandbox_limits_tmpfs(l, own[i][0], own[i][1], out);
	return r;
}

static int
put_house(struct buf *out, const struct sandbox *s, const struct sandbox_fds *f)
{
	int r = put3(out, "--ro-bind", "/usr", "/usr");

	for (size_t i = 0; r == 0 && i < COUNT(programs); i++)
		r = put_system(out, programs[i]);
	if (r == 0)
		r = put_etc(out, f);
	return r == 0 ? put_own(out, &s->limits) : r;
}

/* Binds first, then what is sealed in them: a later bind may not uncover
 * what an earlier one sealed. */
static int
put_binds(struct buf *out, const struct sandbox *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->n_binds; i++)
		r = put3(out, s->binds[i].write ? "--bind" : "--ro-bind",
		    s->binds[i].path, s->binds[i].path);
	for (size_t i = 0; r == 0 && i < s->n_binds; i++)
		if (s->binds[i].write)
			r = guard_words(&s->binds[i].guard, out);
	return r == 0 ? sandbox_sockets_words(&s->sockets, out) : r;
}

int
sandbox_words(const struct sandbox *s, const struct sandbox_fds *f,
    char *const env[], struct buf *out)
{
	int r = put_walls(out, s, f);

	if (r == 0)
		r = env_words(out, env, s->env, s->n_env);
	if (r == 0)
		r = put_house(out, s, f);
	if (r == 0)
		r = put_binds(out, s);
	if (r == 0)
		r = put3(out, "--ro-bind", s->channel, "/run/hatcheck");
	if (r == 0)
		r = put3(out, "--ro-bind", s->agent, SANDBOX_AGENT);
	if (r == 0)
		r = put3(out, "--chdir", s->project, "--remount-ro");
	return r == 0 ? put(out, "/") : r;
}

/* An anonymous file with this text. */
static int
text_fd(const void *text, size_t n, int *fd)
{
	const char *p = text;
	int out = memfd_create("hatcheck", MFD_CLOEXEC);

	for (size_t done = 0; out >= 0 && done < n;) {
		ssize_t w = write(out, p + done, n - done);

		if (w <= 0) {
			close(out);
			return ERR_IO;
		}
		done += (size_t)w;
	}
	if (out < 0 || lseek(out, 0, SEEK_SET) != 0)
		return ERR_IO;
	*fd = out;
	return 0;
}

/* Names for the ids that files have. */
static int
open_names(struct sandbox_fds *f)
{
	static const char hosts[] = "127.0.0.1 localhost sandbox\n"
				    "::1 localhost\n";
	static const char nsswitch[] = "passwd: files\ngroup: files\n"
				       "hosts: files dns\nservices: files\n";
	char passwd[256], group[128];
	unsigned uid = getuid(), gid = getgid();
	int r;

	(void)snprintf(passwd, sizeof(passwd),
	    "agent:x:%u:%u:agent:/home/agent:/bin/sh\n"
	    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
	    uid, gid);
	(void)snprintf(
	    group, sizeof(group), "agent:x:%u:\nnogroup:x:65534:\n", gid);
	if ((r = text_fd(passwd, strlen(passwd), &f->passwd)) != 0 ||
	    (r = text_fd(group, strlen(group), &f->group)) != 0 ||
	    (r = text_fd(hosts, strlen(hosts), &f->hosts)) != 0)
		return r;
	return text_fd(nsswitch, strlen(nsswitch), &f->nsswitch);
}

static int
open_words(const struct sandbox *s, struct sandbox_fds *f)
{
	struct buf *words = buf_new(SANDBOX_WORDS);
	int r = words == NULL ? ERR_NOMEM : sandbox_words(s, f, environ, words);

	if (r == 0)
		r = text_fd(buf_span(words).p, buf_len(words), &f->words);
	buf_free(words);
	return r;
}

static void
close_all(struct sandbox_fds *f)
{
	int *all[] = {&f->words, &f->filter, &f->info, &f->passwd, &f->group,
	    &f->hosts, &f->nsswitch};

	for (size_t i = 0; i < COUNT(all); i++) {
		if (*all[i] >= 0)
			close(*all[i]);
		*all[i] = -1;
	}
}

/* Of all that is open only 0 to 2 and what bwrap reads go on. */
static bool
keep_only(const struct sandbox_fds *f)
{
	const int kept[] = {f->words, f->filter, f->info, f->passwd, f->group,
	    f->hosts, f->nsswitch};

	if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
		return false;
	for (size_t i = 0; i < COUNT(kept); i++)
		if (fcntl(kept[i], F_SETFD, 0) != 0)
			return false;
	return true;
}

/* Keys for the foreground reach bwrap's monitor too, which must live as
 * long as the command. The agent restores what the command gets. */
static void
set_signals(void)
{
	static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGTERM};
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail */
	for (size_t i = 0; i < COUNT(ignored); i++)
		(void)signal(ignored[i], SIG_IGN); /* cannot fail */
}

/* The agent, then prlimit where something is limited, then the command. */
static const char **
command_line(const struct sandbox *s, int words)
{
	static const char *const before[] = {BWRAP, "--args", NULL, "--",
	    SANDBOX_AGENT, "--channel", "/run/hatcheck", "run", "--"};
	static char number[16];
	const struct sandbox_limits *l = &s->limits;
	size_t n = 0, at = COUNT(before);
	const char **argv;

	while (s->command[n] != NULL)
		n++;
	argv = calloc(at + 2 + SANDBOX_LIMITS + n + 1, sizeof(*argv));
	if (argv == NULL)
		return NULL;
	memcpy(argv, before, sizeof(before));
	(void)snprintf(number, sizeof(number), "%d", words);
	argv[2] = number;
	if (l->n > 0) {
		argv[at++] = PRLIMIT;
		for (size_t i = 0; i < l->n; i++)
			argv[at++] = l->of[i].word;
		argv[at++] = "--";
	}
	memcpy(argv + at, s->command, n * sizeof(*argv));
	return argv;
}

_Noreturn static void
child(const struct sandbox *s, const struct pty *pty,
    const struct sandbox_fds *f, pid_t parent)
{
	char *const empty[] = {NULL};
	const char **argv = command_line(s, f->words);

	/* Its own session: no controlling terminal but its own. */
	if (argv != NULL && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
	    getppid() == parent && setsid() >= 0 && pty_enter(pty) == 0 &&
	    keep_only(f)) {
		set_signals();
		execve(BWRAP, (char *const *)argv, empty);
	}
	dprintf(2, "hatcheck: %s: %s\n  next: apt-get install bubblewrap\n",
	    BWRAP, strerror(errno));
	_exit(CLI_RUN_FAILED);
}

static int
start_failed(struct cli_error *e, const char *why)
{
	return cli_error(e, CLI_RUN_FAILED, "start the sandbox",
	    "hatcheck doctor", "%s", why);
}

int
sandbox_start(const struct sandbox *s, const struct pty *pty,
    struct sandbox_run *run, struct cli_error *e)
{
	struct sandbox_fds f = {-1, -1, -1, -1, -1, -1, -1};
	int info[2] = {-1, -1}, r = 0;
	pid_t me = getpid();

	if (access(BWRAP, X_OK) != 0)
		return cli_error(e, CLI_RUN_FAILED, "start the sandbox",
		    "apt-get install bubblewrap", "there is no " BWRAP);
	if (pipe2(info, O_CLOEXEC) != 0)
		return start_failed(e, strerror(errno));
	f.info = info[1];
	if (filter_open(s->nested, &f.filter) != 0 || open_names(&f) != 0 ||
	    open_words(s, &f) != 0)
		r = start_failed(e, "its options could not be made");
	if (r == 0) {
		run->bwrap = fork();
		if (run->bwrap == 0)
			child(s, pty, &f, me);
		if (run->bwrap < 0)
			r = start_failed(e, strerror(errno));
	}
	close_all(&f);
	if (r == 0)
		run->info = info[0];
	else
		close(info[0]);
	return r;
}
