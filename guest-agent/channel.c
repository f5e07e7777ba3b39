/* SPDX-License-Identifier: ISC */
/*
 * Connect to the host: its socket in the mounted directory, or its vsock.
 * Trusts the mount and the hypervisor: who made them made this sandbox.
 * A full backlog is EAGAIN, as an absent host is ENOENT: try later.
 */
#include "guest-agent/channel.h"

#include "guest-agent/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SOCKET_NAME "hatcheck.sock"

static int
unix_connect(int fd, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(a.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(a.sun_path, path, strlen(path) + 1);
	return connect(fd, (struct sockaddr *)&a, sizeof(a));
}

/* The path as it is now: a directory that the host mounts later is found. */
static int
unix_open(const struct channel *c)
{
	char path[CHANNEL_PATH + sizeof("/" SOCKET_NAME)];
	struct stat st;
	int fd, saved;

	snprintf(path, sizeof(path), "%s%s", c->path,
	    stat(c->path, &st) == 0 && S_ISDIR(st.st_mode) ? "/" SOCKET_NAME
							   : "");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (unix_connect(fd, path) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* A mounted directory lives on without a name. */
static bool
unix_gone(const struct channel *c)
{
	struct stat st;

	return stat(c->path, &st) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_nlink == 0;
}

/* linux/vm_sockets.h, which the static libc's compiler does not see. */
struct vsock_address {
	unsigned short family, reserved;
	unsigned port, cid;
	unsigned char flags, zero[3];
};
#define CID_ANY UINT_MAX
#define PRIVILEGED_FIRST 512 /* source ports that take root to have */
#define PRIVILEGED_N 512

/* A host that hears the guest's root alone knows it by its port. Others do
 * not care: whoever may not, goes without. Each process begins elsewhere:
 * the host may not yet have let go of the port that was used last. */
static void
vsock_be_root(int fd)
{
	static unsigned next;
	static pid_t whose;
	struct timespec t;

	if (whose != getpid()) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		next = (unsigned)t.tv_nsec / 1000;
		whose = getpid();
	}
	for (int i = 0; i < PRIVILEGED_N; i++) {
		struct vsock_address a = {.family = AF_VSOCK,
		    .cid = CID_ANY,
		    .port = PRIVILEGED_FIRST + next++ % PRIVILEGED_N};

		if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 ||
		    errno != EADDRINUSE)
			return;
	}
}

static int
vsock_open(const struct channel *c)
{
	struct vsock_address a = {
	    .family = AF_VSOCK, .cid = c->cid, .port = c->port};
	int fd, saved;

	fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	vsock_be_root(fd);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 ||
	    errno == EINPROGRESS)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* The host just closes: nothing says whether for good. */
static bool
vsock_gone(const struct channel *c)
{
	(void)c;
	return false;
}

/* A number below "any" at *s; moves *s behind it. */
static bool
take_number(const char **s, unsigned *out)
{
	unsigned long v = 0;
	const char *p = *s;

	for (; *p >= '0' && *p <= '9' && v < UINT_MAX; p++)
		v = v * 10 + (unsigned long)(*p - '0');
	if (p == *s || v >= UINT_MAX)
		return false;
	*s = p;
	*out = (unsigned)v;
	return true;
}

static bool
vsock_parse(struct channel *c, const char *s)
{
	c->port = CHANNEL_PORT;
	if (!take_number(&s, &c->cid) ||
	    (*s == ':' && (s++, !take_number(&s, &c->port))))
		return false;
	return *s == '\0';
}

void
channel_find(struct channel *c, const char *where)
{
	const size_t room = CHANNEL_PATH - sizeof("/" SOCKET_NAME);

	if (where == NULL)
		where = getenv(CHANNEL_VARIABLE);
	if (where == NULL)
		where = CHANNEL_DEFAULT;
	if (*where == '\0' || strlen(where) > room)
		die(EXIT_USAGE, "--channel: a path of 1 to %zu bytes is wanted",
		    room);
	memcpy(c->path, where, strlen(where) + 1);
	c->open = unix_open;
	c->gone = unix_gone;
	if (strncmp(where, CHANNEL_VSOCK, strlen(CHANNEL_VSOCK)) != 0)
		return;
	if (!vsock_parse(c, where + strlen(CHANNEL_VSOCK)))
		die(EXIT_USAGE, "--channel: vsock:CID or vsock:CID:PORT is "
				"wanted, as vsock:2 for the host");
	c->open = vsock_open;
	c->gone = vsock_gone;
}

int
channel_open(const struct channel *c)
{
	return c->open(c);
}

int
channel_join(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int error = 0, r;
	socklen_t n = sizeof(error);

	do
		r = poll(&p, 1, ms);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		errno = EINPROGRESS;
	if (r <= 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
		return -1;
	errno = error;
	return error == 0 ? 0 : -1;
}

bool
channel_gone(const struct channel *c)
{
	return c->gone(c);
}
