/* SPDX-License-Identifier: ISC */
/* What for: naming a process for longer than an instant. Trusts: the kernel.
 * At a bound: an error. */
#include "lib/procid.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STARTTIME 22 /* its field in /proc/PID/stat; the name is 2 */

static int
read_stat(uint32_t pid, char *out, size_t size)
{
	char path[32];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return errno == ENOENT ? ERR_NOT_FOUND : ERR_DENIED;
	n = read(fd, out, size - 1);
	close(fd);
	if (n <= 0)
		return ERR_NOT_FOUND; /* it died between */
	out[n] = '\0';
	return 0;
}

int
procid_of(uint32_t pid, struct procid *out)
{
	char text[1024], *p;
	unsigned long long started;
	int r;

	if (pid == 0 || pid > INT32_MAX)
		return ERR_NOT_FOUND;
	if ((r = read_stat(pid, text, sizeof(text))) != 0)
		return r;
	p = strrchr(text, ')'); /* a name may hold anything */
	for (int field = 2; p != NULL && field < STARTTIME; field++)
		p = strchr(p + 1, ' ');
	if (p == NULL || sscanf(p, " %llu", &started) != 1)
		return ERR_FORMAT;
	*out = (struct procid){pid, started};
	return 0;
}

int
procid_open(const struct procid *p, int *out)
{
	struct procid now;
	int fd, r;

	if (p->pid == 0 || p->pid > INT32_MAX)
		return ERR_NOT_FOUND;
	fd = (int)syscall(SYS_pidfd_open, (pid_t)p->pid, 0);
	if (fd < 0)
		return errno == ESRCH ? ERR_NOT_FOUND : ERR_IO;
	/* What has that number since, we hold: is it who is meant? */
	r = procid_of(p->pid, &now);
	if (r == 0 && now.started != p->started)
		r = ERR_NOT_FOUND;
	if (r == 0 && poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) !=
			  0)
		r = ERR_NOT_FOUND;
	if (r != 0) {
		close(fd);
		return r;
	}
	*out = fd;
	return 0;
}
