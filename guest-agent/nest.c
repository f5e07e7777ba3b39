/* SPDX-License-Identifier: ISC */
/*
 * Namespaces for a sub-agent, and the last privileges taken from it.
 * Trusts nothing that runs inside.
 * Whatever of it fails ends everything before the command begins.
 */
#include "guest-agent/nest.h"

#include "guest-agent/cover.h"
#include "guest-agent/kernel.h"
#include "guest-agent/loopback.h"
#include "guest-agent/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPACES \
	(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | \
	    CLONE_NEWIPC)
#define NEXT \
	"next: this needs user namespaces; inside `hatcheck run` give it " \
	"--nested, in a container let it make them"

/* From inside to outside, with the listener: no sentence, it is ready. */
struct word {
	int port;
	char why[256];
};

/* ------------------------------------------------------------- inside */

static int
put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

/* We are who we were, and nobody else is there. */
static int
map_ids(uid_t uid, gid_t gid)
{
	char users[64], groups[64];

	snprintf(users, sizeof(users), "%u %u 1\n", uid, uid);
	snprintf(groups, sizeof(groups), "%u %u 1\n", gid, gid);
	if (put_file("/proc/self/setgroups", "deny") != 0 && errno != ENOENT)
		return -1;
	return put_file("/proc/self/uid_map", users) != 0 ||
			       put_file("/proc/self/gid_map", groups) != 0
		       ? -1
		       : 0;
}

static int
failed(struct word *w, const char *what)
{
	snprintf(w->why, sizeof(w->why), "%s: %s", what, strerror(errno));
	return -1;
}

/* The directory in which the socket of the channel is. */
static void
directory_of(const struct channel *c, char out[PATH_MAX])
{
	char *slash;

	snprintf(out, PATH_MAX, "%s", c->path);
	slash = strrchr(out, '/');
	if (slash != NULL)
		slash[slash == out] = '\0';
}

/* The working directory as it is now: it may have been covered. */
static int
enter_again(const char *cwd)
{
	return chdir(cwd) == 0 || chdir("/") == 0 ? 0 : -1;
}

static int
make_walls(const struct channel *c, struct word *w)
{
	char dir[PATH_MAX], cwd[PATH_MAX];

	if (getcwd(cwd, sizeof(cwd)) == NULL)
		strcpy(cwd, "/");
	directory_of(c, dir);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return failed(w, "mounts of its own");
	/* /proc first: the list of mounts is then read from our own. */
	if (cover_proc(w->why, sizeof(w->why)) != 0)
		return -1;
	/* A channel without a path is one that nest_seal() takes away. */
	if (c->path[0] == '/' &&
	    cover_directory(dir, w->why, sizeof(w->why)) != 0)
		return -1;
	return enter_again(cwd) == 0 ? 0 : failed(w, "its directory");
}

static int
make_listener(struct word *w)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd;

	loopback_up(EXIT_RUN);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    listen(fd, 128) != 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &n) != 0)
		return failed(w, "a listener of its own");
	w->port = ntohs(a.sin_port);
	return fd;
}

static int
tell(int to, const struct word *w, int listener)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = {0};
	struct iovec v = {(void *)(uintptr_t)w, sizeof(*w)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	if (listener >= 0) {
		struct cmsghdr *c = &u.align;
		m.msg_control = u.space;
		m.msg_controllen = sizeof(u.space);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &listener, sizeof(int));
	}
	return sendmsg(to, &m, MSG_NOSIGNAL) == (ssize_t)sizeof(*w) ? 0 : -1;
}

_Noreturn static void
first_process(int to, const struct channel *c, uid_t uid, gid_t gid,
    int (*inside)(void *arg, int port), void *arg)
{
	struct word w = {0};
	int listener = -1;
	char go;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (map_ids(uid, gid) != 0)
		(void)failed(&w, "a user namespace");
	else if (make_walls(c, &w) == 0)
		listener = make_listener(&w);
	if (tell(to, &w, listener) != 0 || listener < 0)
		_exit(EXIT_RUN);
	close(listener);
	if (read(to, &go, 1) != 1) /* outside it is over already */
		_exit(EXIT_RUN);
	close(to);
	_exit(inside(arg, w.port));
}

/* ------------------------------------------------------------ outside */

static int
hear(int from, struct word *w)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u;
	struct iovec v = {w, sizeof(*w)};
	struct msghdr m = {.msg_iov = &v,
	    .msg_iovlen = 1,
	    .msg_control = u.space,
	    .msg_controllen = sizeof(u.space)};
	ssize_t n = recvmsg(from, &m, MSG_CMSG_CLOEXEC | MSG_WAITALL);
	struct cmsghdr *c = n == (ssize_t)sizeof(*w) ? CMSG_FIRSTHDR(&m) : NULL;
	int fd = -1;

	if (n != (ssize_t)sizeof(*w))
		snprintf(w->why, sizeof(w->why), "it ended early");
	w->why[sizeof(w->why) - 1] = '\0';
	if (c != NULL && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

void
nest_start(struct nest *n, const struct channel *c,
    int (*inside)(void *arg, int port), void *arg, int status)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	struct word w = {0};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		die(status, "socketpair: %s", strerror(errno));
	n->pid = (pid_t)syscall(SYS_clone, SPACES | SIGCHLD, 0, 0, 0, 0);
	if (n->pid == 0) {
		close(pair[0]);
		first_process(pair[1], c, uid, gid, inside, arg);
	}
	if (n->pid < 0)
		die(status,
		    "a sub-agent cannot be kept apart here: no new namespaces: "
		    "%s (" NEXT ")",
		    strerror(errno));
	close(pair[1]);
	n->listener = hear(pair[0], &w);
	n->port = w.port;
	n->go = pair[0];
	if (n->listener < 0)
		die(status,
		    "a sub-agent cannot be kept apart here: %s (" NEXT ")",
		    w.why);
}

void
nest_go(struct nest *n)
{
	/* It is told, or dead: then its end says so. */
	(void)!write(n->go, "", 1);
	close(n->go);
}

/* --------------------------------------------------------------- seal */

#define LOAD(field) \
	{BPF_LOAD, 0, 0, offsetof(struct seccomp_data, field)}
#define IS(value, yes, no) {BPF_IF_IS, (yes), (no), (value)}
#define RETURN(what) {BPF_RETURN, 0, 0, (what)}

/* No way to the host but the listener: vsock is in no namespace, io_uring
 * makes sockets past this filter, and a terminal that is shared with who
 * started us could be typed into. */
static int
filter(void)
{
	static struct sock_filter code[] = {
	    LOAD(arch),
	    IS(KERNEL_ARCH, 1, 0),
	    RETURN(SECCOMP_KILL),
	    LOAD(nr),
	    /* x32 has numbers of its own. */
	    {BPF_IF_LEAST, 13, 0, 0x40000000},
	    IS(KERNEL_IO_URING_SETUP, 12, 0),
	    IS(SYS_ioctl, 7, 0),
	    IS(SYS_socket, 1, 0),
	    RETURN(SECCOMP_ALLOW),
	    LOAD(args[0]),
	    IS(AF_UNIX, 6, 0),
	    IS(AF_INET, 5, 0),
	    IS(AF_INET6, 4, 0),
	    IS(AF_NETLINK, 3, 4),
	    LOAD(args[1]),
	    IS(TIOCSTI, 2, 0),
	    IS(KERNEL_TIOCLINUX, 1, 0),
	    RETURN(SECCOMP_ALLOW),
	    RETURN(SECCOMP_REFUSE | EPERM),
	};
	struct sock_fprog p = {
	    sizeof(code) / sizeof(code[0]), code};

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p);
}

static int
drop_capabilities(void)
{
	struct cap_header h = {CAP_VERSION, 0};
	struct cap_data none[2] = {0};

	for (int c = 0; c <= 63; c++) {
		if (prctl(PR_CAPBSET_DROP, c, 0, 0, 0) != 0 && errno != EINVAL)
			return -1;
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
		return -1;
	return (int)syscall(SYS_capset, &h, none);
}

int
nest_seal(void)
{
	if (syscall(KERNEL_CLOSE_RANGE, 3, ~0U, 0) != 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    drop_capabilities() != 0)
		return -1;
	return filter();
}
