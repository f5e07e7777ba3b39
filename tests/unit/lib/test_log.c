/* SPDX-License-Identifier: ISC */
/* Holds requirement 39 for the daemon's log: who makes a process say things
 * fills no disk with them. */
#include "lib/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define MORE 5000

static unsigned
lines_with(FILE *f, const char *what)
{
	char line[512];
	unsigned n = 0;

	rewind(f);
	while (fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, what) != NULL;
	return n;
}

static void
floods_are_left_out_and_told(void **state)
{
	FILE *f = tmpfile();
	int saved = dup(2);
	unsigned n;

	(void)state;
	assert_non_null(f);
	assert_int_equal(dup2(fileno(f), 2), 2);
	for (int i = 0; i < LOG_BURST + MORE; i++)
		log_event(LOG_WARN, "flood", LOG_INT("i", i));
	log_event(LOG_ERROR, "grave", LOG_STR("why", "it is told"));
	assert_int_equal(dup2(saved, 2), 2);
	close(saved);
	/* Time passes, on a loaded machine more of it. */
	n = lines_with(f, " flood ");
	assert_in_range(n, LOG_BURST, LOG_BURST + MORE / 2);
	assert_int_equal(lines_with(f, "error grave why=\"it is told\""), 1);
	assert_true(lines_with(f, "warn log_lines_left_out lines=") >= 1);
	fclose(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(floods_are_left_out_and_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
