/* SPDX-License-Identifier: ISC */
/* Holds that a channel which is closed keeps nobody waiting, whatever lies in
 * it. */
#include "supervisor/spawn.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A connection whose close() waits for an hour: what was sent is never read. */
static int
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

static void
send_fd(int to, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec iov = {.iov_base = (char[]){0}, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	assert_int_equal(sendmsg(to, &m, MSG_NOSIGNAL), 1);
	close(fd);
}

static void
what_lies_in_a_channel_holds_nobody_up(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	socklen_t n = sizeof(a.sun_family); /* the kernel finds a name */
	int far[4], guest[4], listener;

	(void)state;
	for (int with = 0; with <= 4; with++) {
		listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		n = sizeof(a.sun_family);
		assert_int_equal(bind(listener, (struct sockaddr *)&a, n), 0);
		n = sizeof(a);
		assert_int_equal(
		    getsockname(listener, (struct sockaddr *)&a, &n), 0);
		assert_int_equal(listen(listener, 8), 0);
		for (int i = 0; i < with; i++) {
			guest[i] = socket(AF_UNIX, SOCK_STREAM, 0);
			assert_int_equal(
			    connect(guest[i], (struct sockaddr *)&a, n), 0);
			send_fd(guest[i], lingering(&far[i]));
		}
		alarm(60); /* else it hangs for an hour */
		spawn_unlisten(listener);
		while (wait(NULL) > 0)
			;
		alarm(0);
		for (int i = 0; i < with; i++) {
			close(guest[i]);
			close(far[i]);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_lies_in_a_channel_holds_nobody_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
