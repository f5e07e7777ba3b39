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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(steps_are_judged_against_the_furthest_point),
	    cmocka_unit_test(small_steps_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
