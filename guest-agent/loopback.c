/* SPDX-License-Identifier: ISC */
/*
 * Bring "lo" up by ioctl.
 * Trusts nothing.
 * Needs CAP_NET_ADMIN only when it is down; then says so.
 */
#include "guest-agent/loopback.h"

#include "guest-agent/text.h"

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
