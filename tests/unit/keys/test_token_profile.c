/* SPDX-License-Identifier: ISC */
/* The example in docs/token-profile.md verifies with the key beside it. */
#include "keys/jwt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static char text[32 * 1024];

/* The line of the document that begins so. */
static struct span
line(const char *start)
{
	char *at = strstr(text, start);

	if (at == NULL)
		fail_msg("no line begins with %s", start);
	return span_of(at, strcspn(at, "\n"));
}

static void
example(void **state)
{
	struct jwks set;
	struct jwt_claims c;
	struct jwt_expect e = {.iss = "http://hatcheck.internal",
	    .aud = "hatcheck-egress",
	    .channel = "unix:s-6f1c0a52",
	    .now = 1790000000,
	    .keys = &set};
	FILE *f = fopen("docs/token-profile.md", "r");

	(void)state;
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	assert_int_equal(jwks_parse(line("{\"keys\":"), &set), 0);
	assert_int_equal(jwt_verify(line("eyJ"), &e, &c), JWT_GOOD);
	assert_string_equal(c.sub, "s-6f1c0a52");
	assert_string_equal(c.fam, "f-3kd81");
	assert_string_equal(c.grants[0], "demo-read");
	e.channel = "unix:s-other";
	assert_int_equal(jwt_verify(line("eyJ"), &e, &c), JWT_CHANNEL);
}

/* Every step that the document names is a word of the code's. */
static void
steps(void **state)
{
	(void)state;
	for (int r = JWT_MALFORMED; r <= JWT_CHANNEL; r++) {
		char quoted[64];

		snprintf(quoted, sizeof(quoted), "`%s`",
		    jwt_result_text((enum jwt_result)r));
		if (strstr(text, quoted) == NULL)
			fail_msg("%s is not documented", quoted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(example),
	    cmocka_unit_test(steps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
