/* SPDX-License-Identifier: ISC */
/* A grant's budgets, with time given in. */
#include "egress/courier/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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

/* A minter that stores what it is asked to, and answers at once, or when
 * told to. */
static uint64_t stored, asked;
static bool prompt;

static void
answer(void)
{
	struct rules_leased m = {.grant = span_str("g"), .lease = stored};

	assert_int_equal(limits_leased(l, &m), 0);
}

static void
store(void *ctx, const struct rules_used *m)
{
	(void)ctx;
	assert_true(m->lease >= m->requests);
	asked++;
	stored = m->lease;
	if (prompt)
		answer();
}

static int
setup(void **state)
{
	(void)state;
	retry = 0;
	stored = asked = 0;
	prompt = true;
	if (limits_new(&l) != 0)
		return -1;
	limits_on_ask(l, store, NULL);
	return 0;
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
	limits_report(l, false, count, &n);
	limits_report(l, false, count, &n);
	assert_int_equal(n, 1); /* only while they change */
}

/* Nothing is let in on a lease that is only asked for. */
static void
test_waits_for_the_lease(void **state)
{
	struct grant_limits max = {.requests = 50};

	(void)state;
	prompt = false;
	assert_int_equal(enter(max, 0), REASON_NONE);
	assert_null(u);
	assert_int_equal(asked, 1);
	answer();
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(enter(max, 0), REASON_NONE);
		assert_non_null(u);
	}
	assert_int_equal(enter(max, 0), REASON_NONE);
	assert_null(u); /* asked in time, not answered yet */
	answer();
	assert_int_equal(enter(max, 0), REASON_NONE);
	assert_non_null(u);
	/* The rules are told again: our lease is not taken for used. */
	char text[64];
	(void)snprintf(
	    text, sizeof(text), "{\"g\":{\"requests\":%u}}", (unsigned)stored);
	assert_int_equal(limits_seed(l, span_str(text)), 0);
	limits_report(l, true, store, NULL);
	assert_int_equal(stored, 5);
}

/* Couriers that die anywhere, minters that answer late: never one more than
 * the limit, and never fewer by more than each death's block and a half. */
static void
test_never_one_more(void **state)
{
	(void)state;
	srandom(50);
	for (unsigned round = 0; round < 10000; round++) {
		struct grant_limits max = {
		    .requests = 1 + (uint64_t)random() % 400};
		uint64_t passed = 0, deaths = 0;
		uint64_t block = max.requests / 16 + 1;

		stored = 0;
		for (unsigned step = 0; step < 1500; step++) {
			prompt = random() % 2 == 0;
			if (random() % 300 == 0) {
				char text[64];

				limits_free(l);
				assert_int_equal(limits_new(&l), 0);
				limits_on_ask(l, store, NULL);
				(void)snprintf(text, sizeof(text),
				    "{\"g\":{\"requests\":%u}}",
				    (unsigned)stored);
				assert_int_equal(
				    limits_seed(l, span_str(text)), 0);
				deaths++;
			}
			if (random() % 3 == 0)
				answer();
			if (enter(max, 0) == REASON_NONE && u != NULL)
				passed++;
			assert_true(passed <= stored);
		}
		assert_true(passed <= max.requests);
		assert_true(
		    passed + deaths * (block + block / 2 + 1) >= max.requests);
		limits_free(l);
		assert_int_equal(limits_new(&l), 0);
		limits_on_ask(l, store, NULL);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_requests),
	    TEST(test_waits_for_the_lease), TEST(test_never_one_more),
	    TEST(test_rate), TEST(test_rate_polled), TEST(test_concurrent),
	    TEST(test_bytes), TEST(test_seed_is_strict), TEST(test_report)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
