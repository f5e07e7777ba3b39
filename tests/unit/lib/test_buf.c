/* SPDX-License-Identifier: ISC */
#include "lib/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>

static void
queue_keeps_order_and_limit(void **state)
{
	struct buf *b = buf_new(600);
	uint8_t piece[50];

	(void)state;
	for (int i = 0; i < 100; i++) {
		memset(piece, i, sizeof(piece));
		assert_int_equal(buf_put(b, piece, sizeof(piece)), 0);
		if (i >= 9) {
			assert_int_equal(buf_span(b).p[0], i - 9);
			buf_consume(b, sizeof(piece));
		}
	}
	assert_int_equal(buf_len(b), 450);
	uint8_t *p;
	assert_int_equal(buf_reserve(b, 151, &p), ERR_TOO_BIG);
	assert_int_equal(buf_len(b), 450);
	buf_free(b);
}

static bool
all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] != 0)
			return false;
	}
	return true;
}

/* Blocks are used again: nothing of their last owner may be in them. */
static void
locked_memory_is_wiped_between_owners(void **state)
{
	static const size_t sizes[] = {100, 4096, 5000, 20000};

	(void)state;
	for (size_t round = 0; round < 8; round++) {
		size_t n = sizes[round % 4];
		struct buf *b = buf_new_locked(32768);
		uint8_t *p;

		assert_int_equal(buf_reserve(b, 100, &p), 0);
		/* libsodium fills what is new with a pattern of its own. */
		assert_null(memchr(p, 's', 100));
		for (size_t i = 0; i < n; i++)
			assert_int_equal(buf_put_u8(b, 's'), 0);
		if (round % 2 == 0)
			buf_consume(b, n);
		buf_free(b);
	}
}

static void
consumed_secrets_do_not_linger(void **state)
{
	struct buf *b = buf_new_locked(4096);

	(void)state;
	assert_int_equal(buf_put_str(b, "secret-and-more"), 0);
	const uint8_t *at = buf_span(b).p;
	buf_consume(b, 7);
	assert_true(all_zero(at, 7));
	assert_true(span_is(buf_span(b), "and-more"));
	buf_free(b);
}

/* KiB, of all of us. */
static long
locked_now(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long n = -1;

	assert_non_null(f);
	while (n < 0 && fgets(line, sizeof(line), f) != NULL)
		(void)sscanf(line, "VmLck: %ld kB", &n);
	fclose(f);
	return n;
}

/* One in each of a thousand idle links would be all that a user may lock. */
static void
empty_locked_buffers_lock_nothing(void **state)
{
	enum { MANY = 1000 };
	struct buf *b[MANY];
	long before = locked_now();

	(void)state;
	for (int i = 0; i < MANY; i++) {
		assert_non_null(b[i] = buf_new_locked(65536));
		assert_int_equal(buf_put_str(b[i], "hello"), 0);
		buf_consume(b[i], 5);
	}
	assert_in_range(locked_now(), 0, before + 256);
	for (int i = 0; i < MANY; i++)
		buf_free(b[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queue_keeps_order_and_limit),
		cmocka_unit_test(locked_memory_is_wiped_between_owners),
		cmocka_unit_test(consumed_secrets_do_not_linger),
		cmocka_unit_test(empty_locked_buffers_lock_nothing),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
