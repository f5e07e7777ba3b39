/* SPDX-License-Identifier: ISC */
/* Holds who may come in over vsock, how many and how fast, and that a gate
 * cannot say that it took what it was not sent. */
#include "supervisor/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	uint32_t cid, port;
	bool known, privileged;
	const char *why; /* NULL: welcome */
} rows[] = {
    {42, 70000, true, false, NULL},
    {42, 0, true, false, NULL},
    {42, 4294967294, true, false, NULL},
    {1, 70000, true, false, NULL}, /* it was registered */
    {42, 70000, false, false, "no session"},
    {1, 70000, false, false, "no session"},
    /* Whoever these are, they are no guest's, even if one were known. */
    {0, 70000, true, false, "no session"},
    {2, 70000, true, false, "no session"},
    {4294967295, 70000, true, false, "no session"},
    {42, 4294967295, true, false, "no port"},
    {42, 1023, true, true, NULL},
    {42, 1, true, true, NULL},
    {42, 1024, true, true, "below 1024"},
    {42, 70000, true, true, "below 1024"},
    {42, 4294967294, true, true, "below 1024"},
};

static void
table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vsock_peer peer = {rows[i].cid, rows[i].port};
		struct channel c = {.privileged = rows[i].privileged};
		struct queue q = {0};
		const char *why = queue_judge(
		    &q, rows[i].known ? &c : NULL, &peer, 1000.);
		if ((why == NULL) != (rows[i].why == NULL) ||
		    (why != NULL && strstr(why, rows[i].why) == NULL))
			fail_msg("row %zu: %s", i, why == NULL ? "in" : why);
	}
}

static unsigned
knock(struct queue *q, unsigned n, double now)
{
	struct vsock_peer peer = {42, 70000};
	struct channel c = {.cid = 42};
	unsigned in = 0;

	for (unsigned i = 0; i < n; i++)
		in += queue_judge(q, &c, &peer, now) == NULL;
	return in;
}

static void
a_flood_has_an_end(void **state)
{
	struct queue q = {0}, other = {0};

	(void)state;
	unsigned burst = knock(&q, 100000, 50.);
	assert_in_range(burst, 256, 4096);
	assert_int_equal(knock(&q, 1000, 50.), 0);
	/* It comes back with time, and never more than at first. */
	assert_in_range(knock(&q, 100000, 50.5), burst / 2 - 1, burst / 2 + 1);
	assert_int_equal(knock(&q, 100000, 5000.), burst);
	/* A clock that goes back gives nothing. */
	assert_int_equal(knock(&q, 1000, 1.), 0);
	/* Nobody else pays for it. */
	assert_int_equal(knock(&other, 100000, 50.), burst);
}

static void
a_queue_has_an_end(void **state)
{
	struct queue q = {0};

	(void)state;
	q.n = QUEUE_WAITING - 1;
	assert_int_equal(knock(&q, 1, 50.), 1);
	q.n = QUEUE_WAITING;
	assert_int_equal(knock(&q, 1, 50.), 0);
}

static void
in_order_and_few_at_once(void **state)
{
	struct queue q = {0};

	(void)state;
	for (int round = 0; round < 3; round++) { /* around the ring */
		for (int i = 0; i < QUEUE_WAITING; i++)
			queue_put(&q, 100 + i);
		for (int i = 0; i < QUEUE_ON_WAY; i++)
			assert_int_equal(queue_next(&q), 100 + i);
		assert_int_equal(queue_next(&q), -1);
		for (int i = QUEUE_ON_WAY; i < QUEUE_WAITING; i++) {
			assert_int_equal(queue_taken(&q), 0);
			assert_int_equal(queue_next(&q), 100 + i);
		}
		assert_int_equal(queue_get(&q), -1);
		for (int i = 0; i < QUEUE_ON_WAY; i++)
			assert_int_equal(queue_taken(&q), 0);
		assert_int_equal(queue_taken(&q), ERR_FORMAT);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table),
	    cmocka_unit_test(a_flood_has_an_end),
	    cmocka_unit_test(a_queue_has_an_end),
	    cmocka_unit_test(in_order_and_few_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
