/* SPDX-License-Identifier: ISC */
/* What an attacker attaches to a message: sockets whose last close() waits.
 * For cmocka's programs. */
#ifndef TESTS_UNIT_LINGERING_H
#define TESTS_UNIT_LINGERING_H

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define LINGERING_MAX 32

/* A connection whose close() waits for an hour: what was sent is never read. */
static inline int
lingering(int *far)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct linger hour = {.l_onoff = 1, .l_linger = 3600};
	socklen_t n = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM, 0),
	    fd = socket(AF_INET, SOCK_STREAM, 0), small = 2048;
	static const char piece[65536];

	assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small,
			     sizeof(small)),
	    0);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, n), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &n), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, n), 0);
	assert_true((*far = accept(listener, NULL, NULL)) >= 0);
	close(listener);
	assert_int_equal(
	    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hour, sizeof(hour)), 0);
	while (send(fd, piece, sizeof(piece), MSG_DONTWAIT) > 0)
		;
	return fd;
}

/* n of them to a unix socket, and nobody else has them any more. */
static inline void
lingering_send(int to, size_t n, int *far)
{
	union {
		char bytes[CMSG_SPACE(LINGERING_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec iov = {.iov_base = (char[]){0}, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int fds[LINGERING_MAX];

	assert_in_range(n, 1, LINGERING_MAX);
	for (size_t i = 0; i < n; i++)
		fds[i] = lingering(&far[i]);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	assert_int_equal(sendmsg(to, &m, MSG_NOSIGNAL), 1);
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

#endif
