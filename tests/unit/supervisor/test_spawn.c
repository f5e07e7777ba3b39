/* SPDX-License-Identifier: ISC */
/* Holds that a channel which is closed keeps nobody waiting, whatever lies in
 * it. */
#include "supervisor/spawn.h"
#include "tests/unit/lingering.h"

#include <sys/un.h>
#include <sys/wait.h>

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
			lingering_send(guest[i], 1, &far[i]);
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
