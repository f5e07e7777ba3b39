/* SPDX-License-Identifier: ISC */
/* Every example in hatcheck-grants(5) is read as it stands. */
#include "scope/grant_text.h"
#include "scope/grant_yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define START ".Bd -literal -offset indent\n"

static char page[32 * 1024];

static void
examples(void **state)
{
	FILE *f = fopen("docs/man/hatcheck-grants.5", "r");
	size_t yaml = 0;

	(void)state;
	assert_non_null(f);
	assert_true(fread(page, 1, sizeof(page) - 1, f) > 0);
	fclose(f);
	for (char *at = page; (at = strstr(at, START)) != NULL;) {
		struct grant_set s;
		char why[300];

		at += strlen(START);
		char *end = strstr(at, ".Ed\n");
		assert_non_null(end);
		struct span text = span_of(at, (size_t)(end - at));
		if (strncmp(at, "grants:", 7) != 0)
			continue;
		/* There is no such file beside the page. */
		char *ca = memmem(at, text.n, "      ca_file", 13);
		if (ca != NULL)
			text.n = (size_t)(ca - at);
		if (grant_set_from_yaml(text, "page", &s, why, sizeof(why)))
			fail_msg("%s", why);
		grant_set_free(&s);
		yaml++;
	}
	assert_int_equal(yaml, 3);
}

static void
short_form(void **state)
{
	static const char *const rules[] = {
	    "GET,HEAD api.github.com/repos/acme/**", "docs.example.com/**"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct grant g;

		assert_non_null(strstr(page, rules[i]));
		assert_int_equal(
		    grant_from_text(span_str(rules[i]), &g, NULL, 0), 0);
		grant_free(&g);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(examples),
	    cmocka_unit_test(short_form),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
