/* SPDX-License-Identifier: ISC */
/* Requirements 22 and 29: the clock table. */
#include "minter/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void
steps_are_judged_against_the_furthest_point(void **state)
{
	static const struct {
		int64_t wall, boot;
		int want;
	} t[] = {
	    {1000000, 0, 0}, {1010000, 10000, 0},
	    {950000, 10000, 0},		/* 60 s back: tolerated */
	    {949999, 10000, ERR_CLOCK}, /* a ms more: not */
	    {0, 10000, ERR_CLOCK},
	    {950000, 20000, ERR_CLOCK}, /* time went on meanwhile */
	    {960000, 20000, 0}, {5000000, 20000, 0}, /* forward is believed */
	    {1020000, 20000, ERR_CLOCK},	     /* and binds */
	    {5000000, 30000, 0},		     /* recovered */
	};
	struct clock c;

	(void)state;
	clock_start(&c, 1000000, 0);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(
		    clock_check(&c, t[i].wall, t[i].boot), t[i].want);
}

/* Many small steps back are one large one. */
static void
small_steps_add_up(void **state)
{
	struct clock c;
	int r = 0;

	(void)state;
	clock_start(&c, 1000000, 0);
	for (int i = 1; i <= 5 && r == 0; i++)
		r = clock_check(&c, 1000000 - i * 20000, 0);
	assert_int_equal(r, ERR_CLOCK);
}

/* What is ahead has to stay so before anything is old by it. */
static void
a_step_ahead_has_to_settle(void **state)
{
	struct clock c;

	(void)state;
	clock_start(&c, 1000000, 500);
	assert_true(clock_settled(&c, 500));
	assert_int_equal(clock_check(&c, 1060000, 500), 0);
	assert_true(clock_settled(&c, 500)); /* a minute is no step */
	assert_int_equal(clock_check(&c, 9000000, 1500), 0);
	assert_false(clock_settled(&c, 1500));
	assert_int_equal(clock_check(&c, 9001000, 2500), 0);
	assert_false(clock_settled(&c, 1499 + CLOCK_SETTLE_MS));
	assert_true(clock_settled(&c, 1500 + CLOCK_SETTLE_MS));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(steps_are_judged_against_the_furthest_point),
	    cmocka_unit_test(small_steps_add_up),
	    cmocka_unit_test(a_step_ahead_has_to_settle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
