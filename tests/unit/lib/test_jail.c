/* SPDX-License-Identifier: ISC */
/* Holds F.31a, F.32: what a process behind the walls cannot do. Each case
 * runs in a child of its own, as uid 65534 when we are root. */
#include "lib/jail.h"

#include <errno.h>

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define VIOLATION 159
#define DONE 42

static char err_text_[8192];

static void
become_nobody(void)
{
	if (geteuid() != 0)
		return;
	if (setgroups(0, NULL) != 0 || setresgid(65534, 65534, 65534) != 0 ||
	    setresuid(65534, 65534, 65534) != 0)
		_exit(99);
}

static void
drain(int fd)
{
	size_t at = 0;
	ssize_t n;

	while (at < sizeof(err_text_) - 1 &&
	       (n = read(fd, err_text_ + at, sizeof(err_text_) - 1 - at)) > 0)
		at += (size_t)n;
	err_text_[at] = '\0';
}

static int
jailed(
    unsigned calls, const struct jail_path *paths, size_t n, int (*act)(void))
{
	struct jail_profile p = {
	    .role = "test", .calls = calls, .paths = paths, .n_paths = n};
	int pipe_[2], status;

	fflush(NULL);
	assert_int_equal(pipe(pipe_), 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(pipe_[1], 2);
		become_nobody();
		jail_begin("test", 2);
		jail_enter(&p);
		_exit(act());
	}
	close(pipe_[1]);
	drain(pipe_[0]);
	close(pipe_[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
dies(unsigned calls, int (*act)(void), const char *name)
{
	char want[64];

	assert_int_equal(jailed(calls, NULL, 0, act), VIOLATION);
	snprintf(want, sizeof(want), "seccomp_violation syscall=%s\n", name);
	assert_non_null(strstr(err_text_, want));
}

static int
try_inet(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 1 : DONE;
}
static int
try_unix(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ? 1 : DONE;
}
static int
try_vsock(void)
{
	return socket(AF_VSOCK, SOCK_STREAM, 0) >= 0 ? 1 : DONE;
}
static int
try_fork(void)
{
	/* Not fork(): glibc 2.41 blocks every signal around it, and a blocked
	 * SIGSYS kills without the handler's line. */
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0 ? 0 : 1;
}
static int
try_exec(void)
{
	char *argv[] = {(char[]){"true"}, NULL};

	return execv("/bin/true", argv);
}
static int
try_kill(void)
{
	return kill(getppid(), 0) == 0 ? 1 : DONE;
}
static int
try_ptrace(void)
{
	return ptrace(PTRACE_ATTACH, getppid(), 0, 0) == 0 ? 1 : DONE;
}
static int
try_open(void)
{
	return syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY) >= 0 ? 1
									   : 2;
}
static int
try_write(void)
{
	return syscall(SYS_openat, AT_FDCWD, "/tmp/x", O_WRONLY | O_CREAT,
		   0600) >= 0;
}
static int
try_unhandle(void)
{
	signal(SIGSYS, SIG_IGN);
	return 1;
}
static int
try_unhandle_sneaky(void)
{
	/* the kernel drops the upper half of the number */
	return (int)syscall(
	    SYS_rt_sigaction, SIGSYS | 1UL << 32, NULL, NULL, 8);
}
static int
try_setlimit(void)
{
	struct rlimit r = {1, 1};

	return setrlimit(RLIMIT_NOFILE, &r);
}
static int
try_undump(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}
static int
try_truncate(void)
{
	return ftruncate(2, 0);
}
static int
try_iouring(void)
{
	return (int)syscall(SYS_io_uring_setup, 1, NULL);
}

static void
forbidden_calls_die_and_are_named(void **state)
{
	(void)state;
	dies(0, try_inet, "socket");
	dies(0, try_unix, "socket");
	dies(JAIL_SOCKET_INET, try_unix, "socket");
	dies(JAIL_SOCKET_UNIX, try_inet, "socket");
	dies(JAIL_SOCKET_UNIX | JAIL_SOCKET_INET, try_vsock, "socket");
	dies(JAIL_THREADS, try_fork, "clone");
	dies(0, try_exec, "execve");
	dies(0, try_kill, "kill");
	dies(0, try_ptrace, "ptrace");
	dies(0, try_iouring, "io_uring_setup");
	dies(JAIL_SYNC, try_truncate, "ftruncate");
	if (jail_sanitized())
		return;
	dies(0, try_open, "openat");
	dies(JAIL_FILES_READ, try_write, "openat");
	dies(0, try_setlimit, "prlimit64");
	dies(0, try_undump, "prctl");
	dies(0, try_unhandle, "rt_sigaction");
	dies(0, try_unhandle_sneaky, "rt_sigaction");
}

static int
ordinary_work(void)
{
	int p[2], v = 1;
	void *m = malloc(1 << 20);
	char buf[4];

	if (m == NULL || pipe2(p, O_CLOEXEC) != 0 ||
	    write(p[1], "abc", 3) != 3 || read(p[0], buf, 3) != 3)
		return 1;
	free(m);
	return fcntl(p[0], F_SETFL, O_NONBLOCK) == 0 && v ? DONE : 2;
}
static int
exec_memory(void)
{
	void *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return m == MAP_FAILED && errno == EACCES ? DONE : 1;
}
static int
stat_path(void)
{
	struct stat st;

	return stat("/etc/passwd", &st) != 0 && errno == EACCES ? DONE : 1;
}
/* Without a wish of its own for that, no process may say how sockets close. */
static int
refused_options(void)
{
	struct linger hour = {.l_onoff = 1, .l_linger = 3600};
	int no = setsockopt(4, SOL_SOCKET, SO_LINGER, &hour, sizeof(hour));

	return no != 0 && errno == EPERM ? DONE : 1;
}
static int
given_options(void)
{
	struct linger hour = {.l_onoff = 1, .l_linger = 3600};

	return setsockopt(4, SOL_SOCKET, SO_LINGER, &hour, sizeof(hour)) != 0 &&
			errno == EBADF
		   ? DONE
		   : 1;
}
static void *
thread(void *p)
{
	*(int *)p = DONE;
	return NULL;
}
static int
run_thread(void)
{
	pthread_t t;
	int v = 0;

	if (pthread_create(&t, NULL, thread, &v) != 0 ||
	    pthread_join(t, NULL) != 0)
		return 1;
	return v;
}
static int
aborts(void)
{
	abort();
}

static void
allowed_work_goes_on(void **state)
{
	(void)state;
	assert_int_equal(jailed(0, NULL, 0, ordinary_work), DONE);
	assert_int_equal(jailed(JAIL_THREADS, NULL, 0, run_thread), DONE);
	if (jail_sanitized())
		return;
	assert_int_equal(jailed(0, NULL, 0, exec_memory), DONE);
	assert_int_equal(jailed(0, NULL, 0, stat_path), DONE);
	assert_int_equal(jailed(0, NULL, 0, refused_options), DONE);
	assert_int_equal(jailed(JAIL_OPTIONS, NULL, 0, given_options), DONE);
}

static int
landlocked(void)
{
	int in = open("/etc/hostname", O_RDONLY);
	int out = open("/etc/passwd", O_RDONLY);

	return in >= 0 && out < 0 && errno == EACCES ? DONE : 1;
}
static char dir_[] = "/tmp/jail.XXXXXX";
static char inside[64], outside[64];
static int
landlocked_write(void)
{
	int in = open(inside, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int out = open(outside, O_WRONLY | O_CREAT, 0600);

	return in >= 0 && out < 0 && errno == EACCES && unlink(inside) == 0
		   ? DONE
		   : 1;
}

static void
files_outside_the_set_are_out_of_reach(void **state)
{
	struct jail_path one[] = {
	    {"/etc/hostname", false}, {"/does/not/exist", false}};
	struct jail_path dir[] = {{dir_, true}};

	(void)state;
	if (jail_landlock_abi() == 0)
		skip();
	assert_non_null(mkdtemp(dir_));
	assert_int_equal(chmod(dir_, 0777), 0);
	snprintf(inside, sizeof(inside), "%s/in", dir_);
	snprintf(outside, sizeof(outside), "%s-out", dir_);
	assert_int_equal(jailed(JAIL_FILES_READ, one, 2, landlocked), DONE);
	assert_int_equal(
	    jailed(JAIL_FILES_WRITE, dir, 1, landlocked_write), DONE);
	rmdir(dir_);
}

/* A jailed process of our own uid: may we attach, or read its memory? */
static int
attack(pid_t victim)
{
	char path[64], byte;
	struct iovec v = {&byte, 1};

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)victim);
	if (ptrace(PTRACE_ATTACH, victim, 0, 0) == 0)
		return 1;
	if (open(path, O_RDONLY) >= 0)
		return 2;
	if (syscall(SYS_process_vm_readv, victim, &v, 1UL, &v, 1UL, 0UL) >= 0)
		return 3;
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)victim);
	return open(path, O_RDONLY) >= 0 ? 4 : DONE;
}

static void
same_uid_cannot_attach(void **state)
{
	struct jail_profile p = {.role = "victim"};
	int up[2], status;
	char c;

	(void)state;
	assert_int_equal(pipe(up), 0);
	pid_t victim = fork();
	if (victim == 0) {
		become_nobody();
		dup2(up[1], 3);
		jail_begin("victim", 3);
		jail_enter(&p);
		if (write(3, "r", 1) != 1)
			_exit(1);
		for (;;)
			poll(NULL, 0, -1);
	}
	assert_int_equal(read(up[0], &c, 1), 1);
	pid_t attacker = fork();
	if (attacker == 0) {
		become_nobody();
		_exit(attack(victim));
	}
	assert_int_equal(waitpid(attacker, &status, 0), attacker);
	kill(victim, SIGKILL);
	waitpid(victim, NULL, 0);
	assert_int_equal(WEXITSTATUS(status), DONE);
}

static void
a_crash_leaves_no_core(void **state)
{
	struct jail_profile p = {.role = "victim"};
	int status;

	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		become_nobody();
		jail_begin("victim", 2);
		jail_enter(&p);
		signal(SIGABRT, SIG_DFL);
		_exit(aborts());
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_false(WCOREDUMP(status));
}

static int
caps_left(void)
{
	return prctl(PR_CAPBSET_READ, 0) ? 0 : 1;
}

static int
high_fds(void)
{
	return fcntl(7, F_GETFD) < 0 && errno == EBADF ? DONE : 1;
}

static void
fds_and_capabilities_are_gone(void **state)
{
	int status, fd = dup2(2, 7);

	(void)state;
	assert_int_equal(jailed(0, NULL, 0, high_fds), DONE);
	close(fd);
	pid_t pid = fork();
	if (pid == 0) { /* still root, if we are */
		bool root = geteuid() == 0;
		jail_begin("victim", 2);
		if (caps_left() != 1 && root)
			_exit(1);
		_exit(root && setuid(65534) == 0 ? 2 : DONE);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(WEXITSTATUS(status), DONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(forbidden_calls_die_and_are_named),
	    cmocka_unit_test(allowed_work_goes_on),
	    cmocka_unit_test(files_outside_the_set_are_out_of_reach),
	    cmocka_unit_test(same_uid_cannot_attach),
	    cmocka_unit_test(a_crash_leaves_no_core),
	    cmocka_unit_test(fds_and_capabilities_are_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
