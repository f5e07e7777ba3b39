/* SPDX-License-Identifier: ISC */
/* A grant's budgets, with time given in. */
#include "egress/courier/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct limits *l;
static struct usage *u;
static uint32_t retry;

static enum reason
enter(struct grant_limits max, uint64_t now_ms)
{
	struct grant g;

	grant_init(&g);
	strcpy(g.name, "g");
	g.limits = max;
	return limits_enter(l, &g, now_ms, &u, &retry);
}

static int
setup(void **state)
{
	(void)state;
	retry = 0;
	return limits_new(&l);
}

static int
teardown(void **state)
{
	(void)state;
	limits_free(l);
	return 0;
}

static void
test_requests(void **state)
{
	struct grant_limits max = {.requests = 3};

	(void)state;
	assert_int_equal(
	    limits_seed(l, span_str("{\"g\":{\"requests\":1}}")), 0);
	assert_int_equal(enter(max, 0), REASON_NONE);
	/* A count that is told again never falls. */
	assert_int_equal(
	    limits_seed(l, span_str("{\"g\":{\"requests\":1}}")), 0);
	assert_int_equal(enter(max, 0), REASON_NONE);
	assert_int_equal(enter(max, 0), REASON_LIMIT_REQUESTS);
}

static void
test_rate(void **state)
{
	struct grant_limits max = {.rate = 2, .rate_ms = 1000};

	(void)state;
	assert_int_equal(enter(max, 5000), REASON_NONE);
	assert_int_equal(enter(max, 5000), REASON_NONE);
	assert_int_equal(enter(max, 5000), REASON_LIMIT_RATE);
	assert_int_equal(retry, 1);
	assert_int_equal(enter(max, 5499), REASON_LIMIT_RATE);
	assert_int_equal(enter(max, 5501), REASON_NONE);
	assert_int_equal(enter(max, 5501), REASON_LIMIT_RATE);
	/* What is saved up is one period's, however long it was. */
	assert_int_equal(enter(max, 99000), REASON_NONE);
	assert_int_equal(enter(max, 99000), REASON_NONE);
	assert_int_equal(enter(max, 99000), REASON_LIMIT_RATE);
}

static void
test_rate_polled(void **state)
{
	struct grant_limits max = {.rate = 1, .rate_ms = 60000};

	(void)state;
	assert_int_equal(enter(max, 0), REASON_NONE);
	/* Asking often must not lose the fractions. */
	for (uint64_t t = 10; t < 60000; t += 10)
		assert_int_equal(enter(max, t), REASON_LIMIT_RATE);
	assert_int_equal(enter(max, 60010), REASON_NONE);
}

static void
test_concurrent(void **state)
{
	struct grant_limits max = {.concurrent = 1};

	(void)state;
	assert_int_equal(enter(max, 0), REASON_NONE);
	assert_int_equal(enter(max, 0), REASON_LIMIT_CONCURRENT);
	limits_leave(u);
	assert_int_equal(enter(max, 0), REASON_NONE);
}

static void
test_bytes(void **state)
{
	struct grant_limits max = {.bytes_up = 10, .bytes_down = 20};

	(void)state;
	assert_int_equal(enter(max, 0), REASON_NONE);
	assert_true(limits_up(u, 10));
	assert_false(limits_up(u, 1));
	assert_true(limits_down(u, 20));
	assert_false(limits_down(u, 1));
	assert_int_equal(enter(max, 0), REASON_LIMIT_BYTES);
}

static void
test_seed_is_strict(void **state)
{
	static const char *const bad[] = {"", "[]", "{\"g\":1}",
	    "{\"g\":{\"requests\":-1}}", "{\"g\":{\"up\":\"1\"}}"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(limits_seed(l, span_str(bad[i])), ERR_FORMAT);
}

static void
count(void *ctx, const struct rules_used *m)
{
	unsigned *n = ctx;

	(*n)++;
	assert_true(span_is(m->grant, "g"));
	assert_int_equal(m->requests, 1);
	assert_int_equal(m->bytes_up, 7);
}

static void
test_report(void **state)
{
	unsigned n = 0;

	(void)state;
	assert_int_equal(enter((struct grant_limits){0}, 0), REASON_NONE);
	assert_true(limits_up(u, 7));
	limits_report(l, count, &n);
	limits_report(l, count, &n);
	assert_int_equal(n, 1); /* only while they change */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_requests), TEST(test_rate),
	    TEST(test_rate_polled), TEST(test_concurrent), TEST(test_bytes),
	    TEST(test_seed_is_strict), TEST(test_report)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
