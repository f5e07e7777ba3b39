/* SPDX-License-Identifier: ISC */
/* Holds: a file's name means one chain and number, or nothing. */
#include "lib/segments.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void
names_mean_one_thing(void **state)
{
	static const char *const bad[] = {"", ".jsonl", "s-1", "s-1.json",
	    "s-1.jsonl.1", "s-1.1.jsonl", "s-1.0.jsonl", "s-1.02.jsonl",
	    "s-1..jsonl", "s-1.2", "s-1.2.", "s-1.-2.jsonl", "s-1.x.jsonl",
	    "s-1.4294967296.jsonl", "s-1.2.3.jsonl", "s-1.2.jsonl~",
	    "s-0123456789012345678901234567890.jsonl"};
	char chain[SEGMENT_CHAIN_MAX], name[SEGMENT_NAME_MAX];
	uint32_t n = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(segment_parse(bad[i], chain, &n));
	for (uint32_t i = 1; i != 0; i = i < UINT32_MAX / 3 ? i * 3
					 : i == UINT32_MAX  ? 0
							    : UINT32_MAX) {
		segment_name("s-1", i, name);
		assert_true(segment_parse(name, chain, &n));
		assert_string_equal(chain, "s-1");
		assert_int_equal(n, i);
	}
}

static void
what_there_is_is_found(void **state)
{
	char dir[] = "/tmp/segments.XXXXXX";
	struct segments s;

	(void)state;
	assert_non_null(mkdtemp(dir));
	int d = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(segments_find(d, "s-1", &s), 0);
	assert_int_equal(s.last, 0);
	for (uint32_t i = 3; i < 6; i++) {
		int fd = segment_open(d, "s-1", i);
		assert_int_equal(write(fd, "0123456789", i), i);
		close(fd);
	}
	close(segment_open(d, "s-10", 9));
	assert_int_equal(segments_find(d, "s-1", &s), 0);
	assert_int_equal(s.first, 3);
	assert_int_equal(s.last, 5);
	assert_int_equal(s.closed, 3 + 4);
	assert_int_equal(segment_read(d, "s-1", 6), -1);
	close(d);
	char command[64];
	(void)snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_mean_one_thing),
	    cmocka_unit_test(what_there_is_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
