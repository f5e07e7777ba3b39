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
static struct limits_no no;

/* Those that are in, for teardown. */
static struct usage *in[128];
static size_t n_in;

static void
note_in(void)
{
	if (u != NULL && n_in < sizeof(in) / sizeof(in[0]))
		in[n_in++] = u;
}

static void
leave(struct usage *which)
{
	size_t i = 0;

	while (i < n_in && in[i] != which)
		i++;
	assert_true(i < n_in);
	in[i] = in[--n_in];
	limits_leave(which);
}

static enum reason
enter(struct grant_limits max, uint64_t now_ms)
{
	struct limits_bill b = {.grant = "g", .n = 1, .of = {{NULL, &max}}};
	enum reason why = limits_enter(l, &b, now_ms, &u, &no);

	retry = no.retry_after;
	note_in();
	return why;
}

/* Below the session's grant: one child, and its own child. */
static enum reason
enter_below(const struct grant_limits *session, const struct grant_limits *mid,
    const struct grant_limits *low, uint64_t now_ms)
{
	struct limits_bill b = {.grant = "g",
	    .n = low == NULL ? 2 : 3,
	    .of = {{NULL, session}, {"f-mid", mid}, {"f-low", low}}};

	enum reason why = limits_enter(l, &b, now_ms, &u, &no);
	note_in();
	return why;
}

/* A minter that stores what it is asked to, and answers at once, or when
 * told to. */
static uint64_t stored, asked, stored_up, stored_down;
static bool prompt;

static void
answer(void)
{
	struct rules_leased m = {.account = span_str("g"),
	    .lease = stored,
	    .lease_up = stored_up,
	    .lease_down = stored_down};

	assert_int_equal(limits_leased(l, &m), 0);
}

static void
store(void *ctx, const struct rules_used *m)
{
	(void)ctx;
	assert_true(m->lease >= m->requests);
	assert_true(m->lease_up >= m->bytes_up);
	assert_true(m->lease_down >= m->bytes_down);
	asked++;
	stored = m->lease;
	stored_up = m->lease_up;
	stored_down = m->lease_down;
	if (prompt)
		answer();
}

static int
setup(void **state)
{
	(void)state;
	retry = 0;
	stored = asked = stored_up = stored_down = 0;
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
	while (n_in > 0)
		leave(in[0]);
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
	struct usage *first = u;
	assert_int_equal(enter(max, 0), REASON_LIMIT_CONCURRENT);
	leave(first);
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
	assert_true(span_is(m->account, "g"));
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
			if (enter(max, 0) == REASON_NONE && u != NULL) {
				passed++;
				leave(u);
			}
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

/* Each account is its own minter's row here. */
struct row {
	char name[100];
	struct rules_leased m;
} rows[4];

static void
store_each(void *ctx, const struct rules_used *m)
{
	size_t i = 0;

	(void)ctx;
	while (rows[i].name[0] != '\0' && !span_is(m->account, rows[i].name))
		i++;
	assert_int_equal(
	    span_copy(m->account, rows[i].name, sizeof(rows[i].name)), 0);
	rows[i].m = (struct rules_leased){.account = span_str(rows[i].name),
	    .lease = m->lease,
	    .lease_up = m->lease_up,
	    .lease_down = m->lease_down};
	assert_int_equal(limits_leased(l, &rows[i].m), 0);
}

/* A child draws on all above it; what it is refused, nobody counts. */
static void
test_children(void **state)
{
	struct grant_limits all = {.requests = 10}, mid = {.requests = 4},
			    low = {.requests = 2};
	unsigned n = 0;

	(void)state;
	memset(rows, 0, sizeof(rows));
	limits_on_ask(l, store_each, NULL);
	while (enter_below(&all, &mid, &low, 0) == REASON_NONE)
		n++;
	assert_int_equal(n, 2);
	assert_non_null(strstr(no.detail, "f-low"));
	assert_non_null(strstr(no.detail, "2 requests"));
	assert_int_equal(no.retry_after, 0);
	while (enter_below(&all, &mid, NULL, 0) == REASON_NONE)
		n++;
	assert_int_equal(n, 4);
	assert_non_null(strstr(no.detail, "f-mid"));
	while (enter(all, 0) == REASON_NONE)
		n++;
	assert_int_equal(n, 10);
	assert_non_null(strstr(no.detail, "session"));
	/* The session's is used up: a child with room has none either. */
	mid.requests = 100;
	assert_int_equal(
	    enter_below(&all, &mid, NULL, 0), REASON_LIMIT_REQUESTS);
}

static void
test_children_rate_and_concurrency(void **state)
{
	struct grant_limits all = {.rate = 3, .rate_ms = 1000},
			    mid = {.rate = 1, .rate_ms = 1000, .concurrent = 1};
	struct usage *first;

	(void)state;
	assert_int_equal(enter_below(&all, &mid, NULL, 5000), REASON_NONE);
	first = u;
	assert_int_equal(
	    enter_below(&all, &mid, NULL, 5000), REASON_LIMIT_CONCURRENT);
	assert_int_equal(no.retry_after, 1);
	leave(first);
	assert_int_equal(
	    enter_below(&all, &mid, NULL, 5000), REASON_LIMIT_RATE);
	assert_int_equal(no.retry_after, 2);
	/* Refused by the child's, it took nothing of the session's. */
	assert_int_equal(enter(all, 5000), REASON_NONE);
	assert_int_equal(enter(all, 5000), REASON_NONE);
	assert_int_equal(enter(all, 5000), REASON_LIMIT_RATE);
	assert_int_equal(
	    enter_below(&all, &mid, NULL, 6001), REASON_NONE);
}

static void
test_children_bytes(void **state)
{
	struct grant_limits all = {.bytes_down = 30}, mid = {.bytes_down = 20};

	(void)state;
	memset(rows, 0, sizeof(rows));
	limits_on_ask(l, store_each, NULL);
	assert_int_equal(enter_below(&all, &mid, NULL, 0), REASON_NONE);
	assert_true(limits_down(u, 20));
	assert_false(limits_down(u, 1));
	leave(u);
	assert_int_equal(
	    enter_below(&all, &mid, NULL, 0), REASON_LIMIT_BYTES);
	assert_non_null(strstr(no.detail, "bytes down"));
	assert_int_equal(enter(all, 0), REASON_NONE);
	assert_false(limits_down(u, 10));
}

static bool
known_mid(void *ctx, struct span family)
{
	(void)ctx;
	return span_is(family, "f-mid");
}

static void
count_all(void *ctx, const struct rules_used *m)
{
	(void)m;
	(*(unsigned *)ctx)++;
}

/* Accounts of families that are gone are forgotten, but not in use. */
static void
test_sweep(void **state)
{
	struct grant_limits all = {0}, mid = {.concurrent = 9},
			    low = {.concurrent = 9};
	unsigned n = 0;

	(void)state;
	assert_int_equal(enter_below(&all, &mid, &low, 0), REASON_NONE);
	limits_sweep(l, known_mid, NULL);
	limits_report(l, true, count_all, &n);
	assert_int_equal(n, 3);
	leave(u);
	limits_sweep(l, known_mid, NULL);
	n = 0;
	limits_report(l, true, count_all, &n);
	assert_int_equal(n, 2);
}

/* Bytes are stored ahead of their use; who dies then has used them. */
static void
test_bytes_are_leased(void **state)
{
	struct grant_limits max = {.bytes_up = 32 * 1024 * 1024};
	char text[64];

	(void)state;
	assert_int_equal(enter(max, 0), REASON_NONE);
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(limits_up(u, 10000));
		assert_true(stored_up >= 10000 * (i + 1));
		assert_true(stored_up <= 10000 * (i + 1) + 2 * 1024 * 1024 + 2);
	}
	assert_true(asked < 20);
	/* Another courier, after a crash. */
	(void)snprintf(text, sizeof(text), "{\"g\":{\"up\":%llu}}",
	    (unsigned long long)stored_up);
	leave(u);
	limits_free(l);
	assert_int_equal(limits_new(&l), 0);
	limits_on_ask(l, store, NULL);
	assert_int_equal(limits_seed(l, span_str(text)), 0);
	uint64_t left = max.bytes_up - stored_up;
	assert_int_equal(enter(max, 0), REASON_NONE);
	assert_true(limits_up(u, left));
	assert_false(limits_up(u, 1));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {T(test_requests),
	    T(test_waits_for_the_lease), T(test_never_one_more),
	    T(test_rate), T(test_rate_polled), T(test_concurrent),
	    T(test_bytes),
	    T(test_bytes_are_leased), T(test_children),
	    T(test_children_rate_and_concurrency),
	    T(test_children_bytes), T(test_sweep),
	    T(test_seed_is_strict), T(test_report)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
