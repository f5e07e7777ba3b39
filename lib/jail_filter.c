/* SPDX-License-Identifier: ISC */
/* What for: seccomp: what a process may ask the kernel, as tables. Trusts:
 * libseccomp to compile them. At a bound: a forbidden call is named on
 * stderr and the process ends with status 159. */
#include "lib/jail_walls.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXIT_SECCOMP 159 /* 128 + SIGSYS */
#define SYSCALLS_MAX 1024
#define NAME_SIZE 32
#define BASE 0
#define FILES (JAIL_FILES_READ | JAIL_FILES_WRITE)
#define SOCKETS (JAIL_SOCKET_INET | JAIL_SOCKET_UNIX)
#define PRCTL_SET_VMA 0x53564d41
#define INT_MASK 0xffffffffULL /* the kernel, too, looks at 32 bits only */

#define THREAD_FLAGS \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define NAMESPACE_FLAGS                                                \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | \
	    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

/* Calls that are harmless whatever their arguments; by name, because not
 * every architecture has each. */
static const char *const base_calls[] = {"read", "readv", "pread64", "write",
    "writev", "pwrite64", "close", "close_range", "lseek", "recvmsg",
    "recvfrom", "sendmsg", "shutdown", "getsockopt", "getsockname",
    "getpeername", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
    "epoll_pwait2", "poll", "ppoll", "select", "pselect6", "eventfd2",
    "timerfd_create", "timerfd_settime", "timerfd_gettime", "signalfd4",
    "pipe2", "dup", "dup3", "clock_gettime", "clock_getres", "clock_nanosleep",
    "nanosleep", "gettimeofday", "time", "times", "munmap", "mremap", "brk",
    "madvise", "mlock", "mlock2", "munlock", "futex", "set_robust_list",
    "get_robust_list", "rseq", "membarrier", "sched_yield", "sched_getaffinity",
    "getcpu", "getrandom", "getpid", "gettid", "getppid", "getuid", "geteuid",
    "getgid", "getegid", "getresuid", "getresgid", "getrusage", "getrlimit",
    "sysinfo", "uname", "exit", "exit_group", "rt_sigreturn", "rt_sigprocmask",
    "rt_sigpending", "sigaltstack", "restart_syscall", "fstat"};

static const char *const accept_calls[] = {"accept", "accept4"};

static const char *const read_calls[] = {"stat", "lstat", "newfstatat", "statx",
    "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents64",
    "getcwd", "statfs", "fstatfs", "fadvise64"};

static const char *const write_calls[] = {"open", "openat", "mkdir", "mkdirat",
    "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir",
    "fallocate", "fchmod", "fchown", "flock", "ftruncate", "utimensat"};

static const char *const sync_calls[] = {
    "fsync", "fdatasync", "sync_file_range"};

static const char *const socket_calls[] = {
    "connect", "bind", "sendto", "sendmmsg", "recvmmsg"};

static const char *const loose_calls[] = {"openat", "open", "readlink",
    "readlinkat", "newfstatat", "stat", "lstat", "statx", "getdents64",
    "access", "faccessat", "faccessat2", "personality", "mincore", "pipe",
    "prlimit64", "getcwd", "mmap", "mprotect", "rt_sigaction", "tgkill",
    "prctl", "process_vm_readv"};

struct set {
	unsigned when; /* any of these jail_calls, or BASE */
	const char *const *names;
	size_t n;
};
#define SET(w, t)                                \
	{                                        \
		w, t, sizeof(t) / sizeof((t)[0]) \
	}
static const struct set sets[] = {
    SET(BASE, base_calls),
    SET(JAIL_ACCEPT, accept_calls),
    SET(FILES, read_calls),
    SET(JAIL_FILES_WRITE, write_calls),
    SET(JAIL_SYNC | JAIL_FILES_WRITE, sync_calls),
    SET(SOCKETS, socket_calls),
};

/* Calls of which one argument decides: (argument & mask) == value. */
struct rule { /* NOLINT(clang-analyzer-optin.performance.Padding): in the
	       * order that its rows are read in */
	unsigned when, unless;
	const char *name;
	int arg; /* -1: whatever the arguments */
	uint64_t mask, value;
	int refuse; /* 0: allow; an errno: refuse softly */
};
#define ALLOW(w, call, arg, value)                  \
	{                                           \
		w, 0, call, arg, INT_MASK, value, 0 \
	}
#define OPT(level) ALLOW(JAIL_OPTIONS, "setsockopt", 1, level)

static const struct rule rules[] = {
    /* No memory that can be run. A library that tries (dlopen) is told
     * so and may go on. */
    {BASE, 0, "mmap", 2, PROT_EXEC, 0, 0},
    {BASE, 0, "mmap", 2, PROT_EXEC, PROT_EXEC, EACCES},
    {BASE, 0, "mprotect", 2, PROT_EXEC, 0, 0},
    {BASE, 0, "mprotect", 2, PROT_EXEC, PROT_EXEC, EACCES},
    ALLOW(BASE, "fcntl", 1, F_GETFD),
    ALLOW(BASE, "fcntl", 1, F_SETFD),
    ALLOW(BASE, "fcntl", 1, F_GETFL),
    ALLOW(BASE, "fcntl", 1, F_SETFL),
    ALLOW(BASE, "fcntl", 1, F_DUPFD_CLOEXEC),
    ALLOW(JAIL_FILES_WRITE, "fcntl", 1, F_GETLK),
    ALLOW(JAIL_FILES_WRITE, "fcntl", 1, F_SETLK),
    ALLOW(JAIL_FILES_WRITE, "fcntl", 1, F_SETLKW),
    ALLOW(JAIL_FILES_WRITE, "fcntl", 1, F_OFD_GETLK),
    ALLOW(JAIL_FILES_WRITE, "fcntl", 1, F_OFD_SETLK),
    ALLOW(JAIL_FILES_WRITE, "fcntl", 1, F_OFD_SETLKW),
    ALLOW(BASE, "ioctl", 1, FIONREAD),
    ALLOW(BASE, "ioctl", 1, FIONBIO),
    ALLOW(BASE, "ioctl", 1, SIOCOUTQ),
    ALLOW(BASE, "ioctl", 1, TCGETS), /* isatty() of stdio */
    ALLOW(BASE, "prctl", 0, PR_SET_NAME),
    ALLOW(BASE, "prctl", 0, PR_GET_NAME),
    ALLOW(BASE, "prctl", 0, PR_GET_DUMPABLE),
    ALLOW(BASE, "prctl", 0, PR_GET_SECCOMP),
    ALLOW(BASE, "prctl", 0, PR_GET_NO_NEW_PRIVS),
    ALLOW(BASE, "prctl", 0, PRCTL_SET_VMA),
    /* Read our limits, set none. */
    {BASE, 0, "prlimit64", 2, UINT64_MAX, 0, 0},
    /* Without an address: on a connected socket. */
    {BASE, SOCKETS, "sendto", 4, UINT64_MAX, 0, 0},
    OPT(SOL_SOCKET),
    OPT(6 /* IPPROTO_TCP */),
    /* A socket that lingers, sent to a neighbour, would hold up whoever
     * closes it. */
    {BASE, JAIL_OPTIONS, "setsockopt", -1, 0, 0, EPERM},
    ALLOW(JAIL_SOCKET_INET, "setsockopt", 1, 0 /* IPPROTO_IP */),
    ALLOW(JAIL_SOCKET_INET, "setsockopt", 1, 41 /* IPPROTO_IPV6 */),
    /* stat() by path would tell which files exist: Landlock is silent
     * about it. */
    {BASE, FILES, "newfstatat", -1, 0, 0, EACCES},
    {BASE, FILES, "statx", -1, 0, 0, EACCES},
    {JAIL_FILES_READ, JAIL_FILES_WRITE, "openat", 2,
	O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY, 0},
    {JAIL_FILES_READ, JAIL_FILES_WRITE, "open", 1,
	O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY, 0},
    ALLOW(JAIL_SOCKET_INET, "socket", 0, AF_INET),
    ALLOW(JAIL_SOCKET_INET, "socket", 0, AF_INET6),
    /* getaddrinfo() asks which addresses we have, and can do without. */
    {JAIL_SOCKET_INET, 0, "socket", 0, INT_MASK, AF_NETLINK, EAFNOSUPPORT},
    ALLOW(JAIL_SOCKET_UNIX, "socket", 0, AF_UNIX),
    ALLOW(JAIL_SOCKET_UNIX, "socketpair", 0, AF_UNIX),
    /* Threads, not processes. clone3's flags lie in memory, where a
     * filter cannot look: libc then takes clone. */
    {JAIL_THREADS, 0, "clone", 0, THREAD_FLAGS | NAMESPACE_FLAGS, THREAD_FLAGS,
	0},
    {JAIL_THREADS, 0, "clone3", -1, 0, 0, ENOSYS},
    {JAIL_THREADS, 0, "sched_getattr", -1, 0, 0, ENOSYS},
    {JAIL_THREADS, 0, "sched_setattr", -1, 0, 0, ENOSYS},
};

/* Refused to the supervisor and everything that it starts. */
static const char *const parent_refused[] = {"ptrace", "process_vm_readv",
    "process_vm_writev", "kexec_load", "kexec_file_load", "init_module",
    "finit_module", "delete_module", "bpf", "perf_event_open", "io_uring_setup",
    "io_uring_enter", "io_uring_register", "mount", "umount2", "pivot_root",
    "chroot", "fsopen", "fsmount", "fsconfig", "open_tree", "move_mount",
    "mount_setattr", "swapon", "swapoff", "reboot", "keyctl", "add_key",
    "request_key", "userfaultfd", "unshare", "setns", "acct", "quotactl",
    "sethostname", "setdomainname", "settimeofday", "clock_settime",
    "clock_adjtime", "adjtimex", "iopl", "ioperm", "syslog",
    "open_by_handle_at", "name_to_handle_at", "fanotify_init", "memfd_create",
    "lookup_dcookie", "vhangup", "kcmp", "pidfd_getfd"};

/* Filled before the filter stands: the handler may not allocate. */
static char names[SYSCALLS_MAX][NAME_SIZE];

static void
learn_names(void)
{
	for (int nr = 0; nr < SYSCALLS_MAX; nr++) {
		char *name =
		    seccomp_syscall_resolve_num_arch(seccomp_arch_native(), nr);

		if (name != NULL)
			strncpy(names[nr], name, NAME_SIZE - 1);
		free(name);
	}
}

static size_t
append(char *line, size_t at, size_t size, const char *text)
{
	while (*text != '\0' && at < size)
		line[at++] = *text++;
	return at;
}

/* Async-signal-safe: write() and _exit() only. */
static void
on_violation(int signal, siginfo_t *info, void *context)
{
	int nr = info->si_syscall;
	char line[128], digits[12];
	size_t at = append(line, 0, sizeof(line), "seccomp_violation syscall=");

	(void)signal;
	(void)context;
	if (nr >= 0 && nr < SYSCALLS_MAX && names[nr][0] != '\0') {
		at = append(line, at, sizeof(line), names[nr]);
	} else {
		size_t d = sizeof(digits);
		digits[--d] = '\0';
		do
			digits[--d] = (char)('0' + (unsigned)nr % 10);
		while ((nr = (int)((unsigned)nr / 10)) != 0);
		at = append(line, at, sizeof(line), digits + d);
	}
	at = append(line, at, sizeof(line), "\n");
	if (write(STDERR_FILENO, line, at) < 0)
		_exit(EXIT_SECCOMP);
	_exit(EXIT_SECCOMP);
}

static void
install_handler(void)
{
	struct sigaction sa = {
	    .sa_sigaction = on_violation, .sa_flags = SA_SIGINFO};
	sigset_t set;

	sigfillset(&sa.sa_mask);
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	if (sigaction(SIGSYS, &sa, NULL) != 0 ||
	    sigprocmask(SIG_UNBLOCK, &set, NULL) != 0)
		log_fatal("jail_failed", "SIGSYS handler");
}

static void
must(int r)
{
	if (r != 0)
		log_fatal("jail_failed", "seccomp filter");
}

/* The number here, or -1 when this architecture (or an old libseccomp)
 * does not know the call. */
static int
number(const char *name)
{
	int nr = seccomp_syscall_resolve_name(name);

	return nr < 0 ? -1 : nr;
}

static void
add_names(scmp_filter_ctx f, uint32_t action, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int nr = number(list[i]);
		if (nr >= 0)
			must(seccomp_rule_add(f, action, nr, 0));
	}
}

static void
add_arg(scmp_filter_ctx f, uint32_t action, const char *name, int arg,
    uint64_t mask, uint64_t value)
{
	struct scmp_arg_cmp c = {.arg = (unsigned)arg,
	    .op = SCMP_CMP_MASKED_EQ,
	    .datum_a = mask,
	    .datum_b = value};
	int nr = number(name);

	if (nr < 0)
		return;
	if (arg < 0)
		must(seccomp_rule_add(f, action, nr, 0));
	else
		must(seccomp_rule_add_array(f, action, nr, 1, &c));
}

static void
add_rules(scmp_filter_ctx f, unsigned calls)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *r = &rules[i];
		uint32_t action = r->refuse == 0
				      ? SCMP_ACT_ALLOW
				      : SCMP_ACT_ERRNO((uint32_t)r->refuse);

		if ((r->when != BASE && (r->when & calls) == 0) ||
		    (r->unless & calls) != 0)
			continue;
		/* The sanitizers map and ask as they like. */
		if (JAIL_SANITIZED && (r->refuse == EACCES))
			continue;
		add_arg(f, action, r->name, r->arg, r->mask, r->value);
	}
}

/* abort() signals its own thread; nobody takes our SIGSYS handler off. */
static void
add_signals(scmp_filter_ctx f)
{
	struct scmp_arg_cmp below = {
	    .arg = 0, .op = SCMP_CMP_LT, .datum_a = SIGSYS};

	add_arg(f, SCMP_ACT_ALLOW, "tgkill", 0, INT_MASK, (uint64_t)getpid());
	must(seccomp_rule_add_array(
	    f, SCMP_ACT_ALLOW, number("rt_sigaction"), 1, &below));
	/* libc's own, for threads */
	add_arg(f, SCMP_ACT_ALLOW, "rt_sigaction", 0, INT_MASK, 32);
	add_arg(f, SCMP_ACT_ALLOW, "rt_sigaction", 0, INT_MASK, 33);
}

static void
load(scmp_filter_ctx f)
{
	must(seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2));
	must(seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1));
	must(seccomp_attr_set(
	    f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
	must(seccomp_load(f));
	seccomp_release(f);
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2)
		log_fatal("jail_failed", "the seccomp filter does not hold");
}

void
jail_filter(const struct jail_profile *p)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_TRAP);

	if (f == NULL)
		log_fatal("jail_failed", "seccomp_init");
	learn_names();
	install_handler();
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		const struct set *s = &sets[i];
		if (s->when == BASE || (s->when & p->calls) != 0)
			add_names(f, SCMP_ACT_ALLOW, s->names, s->n);
	}
	add_rules(f, p->calls);
	add_signals(f);
	if (JAIL_SANITIZED)
		add_names(f, SCMP_ACT_ALLOW, loose_calls,
		    sizeof(loose_calls) / sizeof(loose_calls[0]));
	load(f);
}

void
jail_filter_parent(void)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);

	if (f == NULL)
		log_fatal("jail_failed", "seccomp_init");
	add_names(f, SCMP_ACT_ERRNO(EPERM), parent_refused,
	    sizeof(parent_refused) / sizeof(parent_refused[0]));
	load(f);
}
