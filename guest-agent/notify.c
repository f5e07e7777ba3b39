/* SPDX-License-Identifier: ISC */
/*
 * One datagram to the service manager.
 * Trusts NOTIFY_SOCKET, as all of our environment.
 * A name that is too long is none.
 */
#include "guest-agent/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void
notify_ready(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t n = name == NULL ? 0 : strlen(name);
	socklen_t size =
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	int fd;

	if (n < 2 || n >= sizeof(a.sun_path) || (*name != '/' && *name != '@'))
		return;
	memcpy(a.sun_path, name, n);
	if (*name == '@')
		a.sun_path[0] = '\0'; /* abstract */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(
	    fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&a, size);
	close(fd);
}
