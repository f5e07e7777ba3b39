/* SPDX-License-Identifier: ISC */
/* Holds the place of a session's socket: directory and name, or an error. */
#include "supervisor/place.h"

#include "messages/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define KEPT "hatcheck.sock"

static const struct {
	const char *place;
	int r;
	const char *dir, *name;
} rows[] = {
    {"/run/x", 0, "/run/x", KEPT},
    {"/run/x/", 0, "/run/x/", KEPT},
    {"/hybrid:/x", 0, "/hybrid:/x", KEPT},
    {"hybrid:/run/vm/v.sock_8377", 0, "/run/vm", "v.sock_8377"},
    {"hybrid:/v.sock_1", 0, "/", "v.sock_1"},
    {"hybrid://v_1", 0, "/", "v_1"},
    {"hybrid:/a/../v_1", 0, "/a/..", "v_1"}, /* which safefile_dir refuses */
    {"hybrid:/a/.._1", 0, "/a", ".._1"},
    {"hybrid:/a/hybrid:_1", 0, "/a", "hybrid:_1"},
    {"hybrid:v.sock_1", ERR_FORMAT, NULL, NULL},
    {"hybrid:vm/v.sock_1", ERR_FORMAT, NULL, NULL},
    {"hybrid:/run/vm/", ERR_FORMAT, NULL, NULL},
    {"hybrid:/", ERR_FORMAT, NULL, NULL},
};

static void
table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char dir[PATH_MAX] = "", name[NAME_MAX + 1] = KEPT;
		int r = place_split(span_str(rows[i].place), dir, name);

		if (r != rows[i].r)
			fail_msg("%s: %d", rows[i].place, r);
		if (r != 0)
			continue;
		assert_string_equal(dir, rows[i].dir);
		assert_string_equal(name, rows[i].name);
	}
}

static void
nul_is_refused(void **state)
{
	static const char *const texts[] = {
	    "hybrid:/a\0b/v_1", "hybrid:/a/v\0w"};
	static const size_t sizes[] = {16, 13};
	char dir[PATH_MAX], name[NAME_MAX + 1];

	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_int_not_equal(
		    place_split(span_of(texts[i], sizes[i]), dir, name), 0);
}

/* CHANNEL_HYBRID, /a/ and a name of n bytes. */
static int
named(size_t n)
{
	char text[2 * PATH_MAX] = CHANNEL_HYBRID "/a/";
	char dir[PATH_MAX], name[NAME_MAX + 1];

	memset(text + strlen(text), 'x', n);
	return place_split(span_str(text), dir, name);
}

static void
lengths(void **state)
{
	(void)state;
	assert_int_equal(named(NAME_MAX), 0);
	assert_int_equal(named(NAME_MAX + 1), ERR_TOO_BIG);
	assert_int_equal(named(PATH_MAX - 4), ERR_TOO_BIG);
	assert_int_equal(named(PATH_MAX), ERR_TOO_BIG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table),
	    cmocka_unit_test(nul_is_refused),
	    cmocka_unit_test(lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
