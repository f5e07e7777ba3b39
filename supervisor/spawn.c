/* SPDX-License-Identifier: ISC */
/* What for: fork and exec of a helper. Trusts: the descriptors it is given.
 * At a bound: the child exits 127 before it runs anything. */
#include "supervisor/spawn.h"

#include "lib/log.h"
#include "messages/control.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ABOVE 16 /* higher than any fixed descriptor */

static _Noreturn void
give_up(const char *why)
{
	log_event(LOG_ERROR, "spawn_failed", LOG_STR("why", why),
	    LOG_INT("errno", errno));
	_exit(127);
}

/* Out of the way of the fixed numbers; close-on-exec. */
static int
lift(int fd)
{
	if (fd < 0)
		return -1;
	int up = fcntl(fd, F_DUPFD_CLOEXEC, ABOVE);
	if (up < 0)
		give_up("no descriptor left");
	return up;
}

static void
place(int fd, int at)
{
	if (fd < 0)
		(void)close(at); /* may be closed already */
	else if (dup2(fd, at) != at)
		give_up("dup2");
}

static void
place_all(const struct spawn *s, int *program)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int up[] = {lift(null), lift(s->control), lift(s->listen),
	    lift(s->file), lift(s->before)};

	if (null < 0)
		give_up("/dev/null");
	*program = lift(s->program);
	place(up[0], 0);
	place(up[0], 1);
	place(up[1], CONTROL_FD);
	place(up[2], LISTEN_FD);
	place(up[3], AUDIT_FD);
	place(up[4], AUDIT_BEFORE_FD);
}

/* Become the role's user, and prove that there is no way back. */
static void
become(const struct spawn *s)
{
	uid_t r, e, v;

	if (!s->apart)
		return;
	if (setgroups(0, NULL) != 0 || setresgid(s->gid, s->gid, s->gid) != 0 ||
	    setresuid(s->uid, s->uid, s->uid) != 0)
		give_up("the role's user");
	if (getresuid(&r, &e, &v) != 0 || r != s->uid || e != s->uid ||
	    v != s->uid || setresuid(0, 0, 0) == 0 || setgid(0) == 0)
		give_up("root can be had back");
}

static void
plain_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	for (int n = 1; n < NSIG; n++)
		(void)signal(n, SIG_DFL); /* KILL and STOP refuse: fine */
	if (sigprocmask(SIG_SETMASK, &none, NULL) != 0)
		give_up("sigprocmask");
}

/* Of a session: its log ends there, and not with the disk that it shares
 * with all. jail_begin() makes a signal of it a failed write. */
static void
limit_files(uint64_t max)
{
	struct rlimit r = {.rlim_cur = max, .rlim_max = max}, now;

	if (max == 0)
		return;
	if (getrlimit(RLIMIT_FSIZE, &now) == 0 && now.rlim_max < max)
		return; /* ours is less, and it has that */
	if (setrlimit(RLIMIT_FSIZE, &r) != 0)
		give_up("RLIMIT_FSIZE");
}

static _Noreturn void
child(const struct spawn *s, pid_t parent)
{
	int program = -1;

	plain_signals();
	place_all(s, &program);
	limit_files(s->file_max);
	become(s);
	/* After the change of uid, which clears it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		give_up("PR_SET_PDEATHSIG");
	if (getppid() != parent)
		_exit(127); /* it died before we asked */
	fexecve(program, s->argv, s->envp);
	give_up("exec");
}

static _Noreturn void
hold(const int gone[2])
{
	char c;

	close(gone[1]);
	while (read(gone[0], &c, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

void
spawn_unlisten(int fd)
{
	int gone[2] = {-1, -1}, conn;
	pid_t p = -1;

	/* From now on nobody comes. */
	(void)shutdown(fd, SHUT_RDWR);
	conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (conn < 0 && (errno == EAGAIN || errno == EINVAL)) {
		close(fd);
		return;
	}
	if (pipe2(gone, O_CLOEXEC) == 0 && (p = fork()) == 0)
		hold(gone);
	if (p > 0) {
		if (conn >= 0)
			close(conn);
		close(fd);
	} else { /* they stay ours: rather that than to stand still */
		log_event(LOG_ERROR, "channel_not_closed",
		    LOG_INT("errno", errno));
	}
	for (size_t i = 0; i < 2; i++) { /* it sees the end of this, and ends */
		if (gone[i] >= 0)
			close(gone[i]);
	}
}

int
spawn_child(const struct spawn *s, pid_t *pid)
{
	pid_t parent = getpid(), p = fork();

	if (p < 0)
		return ERR_IO;
	if (p == 0)
		child(s, parent);
	*pid = p;
	return 0;
}
