/* SPDX-License-Identifier: ISC */
/*
 * Bring "lo" up by ioctl; connect to it.
 * Trusts nothing.
 * Needs CAP_NET_ADMIN only when it is down; then says so.
 */
#include "guest-agent/loopback.h"

#include "guest-agent/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

void
loopback_up(int status)
{
	struct ifreq r = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die(status, "no IPv4 sockets here: %s", strerror(errno));
	if (ioctl(fd, SIOCGIFFLAGS, &r) == 0 && !(r.ifr_flags & IFF_UP)) {
		r.ifr_flags |= IFF_UP;
		if (ioctl(fd, SIOCSIFFLAGS, &r) != 0)
			die(status,
			    "the loopback interface is down and cannot be "
			    "brought up: %s (next: ip link set lo up, as "
			    "root in this sandbox)",
			    strerror(errno));
	}
	close(fd);
}

int
loopback_connect(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int saved;

	if (fd < 0)
		return -1;
	/* On loopback this is done, or refused, at once. */
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 ||
	    errno == EINPROGRESS)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}
