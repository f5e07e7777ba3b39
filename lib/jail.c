/* SPDX-License-Identifier: ISC */
/* What for: the walls of a process, in order. Trusts: the kernel, after
 * asking it whether the wall stands. At a bound: no wall, no process. */
#include "lib/jail.h"

#include "lib/jail_walls.h"
#include "lib/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Linux 6.3; older headers lack it, older kernels say EINVAL. */
#define MDWE_SET 65
#define MDWE_REFUSE_EXEC_GAIN 1

#if JAIL_SANITIZED
/* The leak checker stops its own process with ptrace, which the walls
 * refuse; unit tests without walls still check for leaks. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

bool
jail_sanitized(void)
{
	return JAIL_SANITIZED;
}

static void
limit(void)
{
	struct rlimit none = {0, 0}, r;

	if (setrlimit(RLIMIT_CORE, &none) != 0 ||
	    getrlimit(RLIMIT_CORE, &r) != 0 || r.rlim_max != 0)
		log_fatal("jail_failed", "RLIMIT_CORE could not be set to 0");
	/* Locked memory: all that we may have. */
	if (getrlimit(RLIMIT_MEMLOCK, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_MEMLOCK, &r); /* the soft limit stays */
	}
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
	    prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		log_fatal(
		    "jail_failed", "PR_SET_DUMPABLE could not be cleared");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		log_fatal("jail_failed", "no_new_privs could not be set");
}

static void
close_rest(int keep)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			log_fatal("jail_failed", "fds 0, 1 and 2 must be open");
	}
	if (syscall(SYS_close_range, keep + 1, ~0U, 0) != 0)
		log_fatal("jail_failed", "close_range failed");
}

static bool
caps_empty(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {{0}};

	if (syscall(SYS_capget, &h, d) != 0)
		return false;
	return (d[0].permitted | d[1].permitted | d[0].effective |
		   d[1].effective | d[0].inheritable | d[1].inheritable) == 0;
}

static void
drop_caps(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {{0}};

	/* Without CAP_SETPCAP the bounding set stays; then no_new_privs
	 * alone keeps an exec from gaining any of it. */
	for (int c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
		(void)prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &h, d) != 0 || !caps_empty())
		log_fatal("jail_failed", "capabilities could not be dropped");
}

static void
drop_groups(void)
{
	if (setgroups(0, NULL) == 0 || errno == EPERM)
		return; /* EPERM: an ordinary user cannot, and need not */
	log_fatal("jail_failed", "supplementary groups could not be dropped");
}

void
jail_begin(const char *role, int keep)
{
	log_open(role);
	close_rest(keep);
	limit();
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	/* A file at its limit is a failed write, not a death. */
	signal(SIGXFSZ, SIG_IGN);
	drop_groups();
	drop_caps();
	/* With TZ unset every strftime() opens /etc/localtime again. */
	if (setenv("TZ", "UTC0", 1) != 0)
		log_fatal("jail_failed", "out of memory");
	tzset();
	if (sodium_init() < 0)
		log_fatal("jail_failed", "libsodium found no randomness");
}

/* Landlock binds only the thread that asks (and its children). */
static void
require_one_thread(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = 0;

	if (d == NULL)
		return; /* no /proc: nothing that we could ask */
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(d);
	if (n != 1 && !JAIL_SANITIZED)
		log_fatal("jail_failed", "threads exist before the walls");
}

static void
refuse_exec_gain(void)
{
	int r = prctl(MDWE_SET, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);

	if (r != 0 && errno != EINVAL && errno != EPERM)
		log_fatal("jail_failed", "PR_SET_MDWE");
}

void
jail_enter(const struct jail_profile *p)
{
	require_one_thread();
	if (JAIL_SANITIZED)
		log_event(LOG_WARN, "sanitized_build_has_looser_walls",
		    LOG_STR("role", p->role));
	else
		refuse_exec_gain();
	jail_landlock(p);
	jail_filter(p);
}

void
jail_parent(const char *role)
{
	log_open(role);
	limit();
	signal(SIGPIPE, SIG_IGN);
	/* A file at its limit is a failed write, not a death. */
	signal(SIGXFSZ, SIG_IGN);
	jail_filter_parent();
}
