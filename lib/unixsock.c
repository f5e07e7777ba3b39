/* SPDX-License-Identifier: ISC */
/* What for: unix sockets in directories that we hold open. Trusts: the
 * directory fd; the kernel for who the peer is. At a bound: refuses names
 * with a slash and anything in the way that is not a dead socket. */
#include "lib/unixsock.h"

#include "lib/span.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128
#define CONNECT_S 5 /* to wait for a place in a backlog that is full */
#define GROUPS_MAX 256 /* a peer with more is no member of any */
#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* sun_path is short; the way through /proc never is. */
static int
address(int dirfd, const char *name, struct sockaddr_un *out)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int n;

	if (name[0] == '\0' || strchr(name, '/') != NULL)
		return ERR_ARGUMENT;
	n = snprintf(
	    a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dirfd, name);
	if (n < 0 || (size_t)n >= sizeof(a.sun_path))
		return ERR_TOO_BIG;
	*out = a;
	return 0;
}

static int
connect_errno(int e)
{
	switch (e) {
	case ENOENT:
	case ENOTDIR:
		return ERR_NOT_FOUND;
	case EACCES:
	case EPERM:
		return ERR_DENIED;
	default:
		return ERR_UNAVAILABLE;
	}
}

static int
connect_at(int dirfd, const char *name, int type, int *fd)
{
	struct sockaddr_un a;
	struct timeval limit = {.tv_sec = CONNECT_S}, none = {0};
	int s, r = address(dirfd, name, &a);

	if (r != 0)
		return r;
	if ((s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | type, 0)) < 0)
		return ERR_IO;
	/* The kernel bounds connect() by it, too. */
	(void)setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(s, (struct sockaddr *)&a, sizeof(a)) != 0) {
		r = errno == EAGAIN && type == SOCK_NONBLOCK
			? ERR_EXISTS
			: connect_errno(errno);
		close(s);
		return r;
	}
	(void)setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
	*fd = s;
	return 0;
}

/* Make way for a new socket: remove a socket file on which nobody listens. */
static int
remove_dead(int dirfd, const char *name)
{
	struct stat st;
	int fd = -1, r;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : ERR_IO;
	if (!S_ISSOCK(st.st_mode))
		return ERR_EXISTS;
	r = connect_at(dirfd, name, SOCK_NONBLOCK, &fd);
	if (r == 0)
		close(fd);
	if (r == 0 || r == ERR_EXISTS)
		return ERR_EXISTS; /* somebody listens (or is busy) */
	return unlinkat(dirfd, name, 0) == 0 ? 0 : ERR_IO;
}

int
unixsock_listen(int dirfd, const char *name, mode_t mode, int *fd)
{
	struct sockaddr_un a;
	int s, r, none = 0;

	if ((r = address(dirfd, name, &a)) != 0 ||
	    (r = remove_dead(dirfd, name)) != 0)
		return r;
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0)
		return ERR_IO;
	mode_t old = umask(0777 & ~mode);
	r = bind(s, (struct sockaddr *)&a, sizeof(a)) == 0 ? 0
	    : errno == EADDRINUSE			   ? ERR_EXISTS
							   : ERR_IO;
	umask(old);
	/* Who connects cannot send descriptors, which the kernel would close
	 * while we read, and some take an hour to close. (Linux 6.16) */
	(void)setsockopt(s, SOL_SOCKET, SO_PASSRIGHTS, &none, sizeof(none));
	if (r == 0 && listen(s, BACKLOG) != 0)
		r = ERR_IO;
	if (r != 0) {
		close(s);
		return r;
	}
	*fd = s;
	return 0;
}

int
unixsock_connect(const char *path, int *fd)
{
	char one[PATH_MAX], two[PATH_MAX];

	if (span_copy(span_str(path), one, sizeof(one)) != 0 ||
	    span_copy(span_str(path), two, sizeof(two)) != 0)
		return ERR_TOO_BIG;
	int dir = open(dirname(one), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return connect_errno(errno);
	int r = connect_at(dir, basename(two), 0, fd);
	close(dir);
	return r;
}

int
unixsock_peer(int fd, uid_t *uid, pid_t *pid)
{
	struct ucred c;
	socklen_t n = sizeof(c);
	int family = 0;
	socklen_t fn = sizeof(family);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &fn) != 0)
		return ERR_IO;
	if (family != AF_UNIX)
		return ERR_DENIED;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) != 0 ||
	    n != sizeof(c))
		return ERR_IO;
	if (c.uid == (uid_t)-1 || c.pid <= 0)
		return ERR_DENIED; /* a peer from outside our namespaces */
	if (uid != NULL)
		*uid = c.uid;
	if (pid != NULL)
		*pid = c.pid;
	return 0;
}

static bool
in_group(int fd, gid_t group)
{
	gid_t groups[GROUPS_MAX];
	socklen_t n = sizeof(groups);
	struct ucred c;
	socklen_t cn = sizeof(c);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &cn) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &n) != 0)
		return false;
	for (size_t i = 0; i < n / sizeof(groups[0]); i++) {
		if (groups[i] == group)
			return true;
	}
	return c.gid == group;
}

bool
unixsock_peer_admin(int fd, gid_t group)
{
	uid_t uid;

	if (unixsock_peer(fd, &uid, NULL) != 0)
		return false; /* nor is the rest of what we ask true then */
	return uid == 0 || uid == geteuid() ||
	       (group != UNIXSOCK_NO_GROUP && in_group(fd, group));
}

int
unixsock_group_parse(const char *text, gid_t *out)
{
	uint64_t v;
	int r = span_u64(span_str(text), UNIXSOCK_NO_GROUP - 1, &v);

	if (r != 0 || v == 0)
		return r != 0 ? r : ERR_DENIED;
	*out = (gid_t)v;
	return 0;
}
