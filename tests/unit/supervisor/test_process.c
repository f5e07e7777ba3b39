/* SPDX-License-Identifier: ISC */
/* What a child does not read, as the supervisor sees it. */
#include "supervisor/daemon.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

/* main.c's. */
void
daemon_stop(struct daemon *d)
{
	(void)d;
}

void
daemon_child_gone(struct daemon *d)
{
	(void)d;
}

void
daemon_child_ready(struct daemon *d)
{
	(void)d;
}

void
daemon_reload(struct daemon *d)
{
	(void)d;
}

#define TRIES 200

static unsigned
open_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* A gate that was broken into, reads nothing, and is not dead yet: what is
 * for it must cost the other sessions no time. */
static void
a_deaf_gate_stops_nobody(void **state)
{
	struct daemon d = {.loop = ev_loop_new(EVFLAG_AUTO)};
	struct session s = {.daemon = &d, .id = "s-1"};
	struct link_options o = {.self = LINK_SUPERVISOR, .peer = LINK_GATE};
	struct ctl_peer m = {.role = LINK_COURIER};
	int pair[2], least = 1;
	unsigned before = open_fds();

	(void)state;
	assert_non_null(s.gate = process_new(&d, &s, LINK_GATE));
	assert_int_equal(link_pair(pair), 0);
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &least,
			     sizeof(least)),
	    0);
	assert_int_equal(link_new(d.loop, pair[0], &o, &s.gate->control), 0);
	alarm(60); /* a second for each would be more */
	for (int i = 0; i < TRIES; i++)
		process_send(
		    s.gate, &msg_peer, &m, open("/dev/null", O_RDONLY));
	alarm(0);
	process_free(s.gate);
	close(pair[1]);
	assert_int_equal(open_fds(), before);
	ev_loop_destroy(d.loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_deaf_gate_stops_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
