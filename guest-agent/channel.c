/* SPDX-License-Identifier: ISC */
/*
 * Connect to the host's socket in the mounted directory.
 * Trusts the mount: who put it there made this sandbox.
 * A full backlog is EAGAIN, as an absent host is ENOENT: try later.
 */
#include "guest-agent/channel.h"

#include "guest-agent/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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
}

int
channel_open(const struct channel *c)
{
	return c->open(c);
}

bool
channel_gone(const struct channel *c)
{
	return c->gone(c);
}
