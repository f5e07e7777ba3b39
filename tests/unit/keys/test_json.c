/* SPDX-License-Identifier: ISC */
#include "keys/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define S(x)                                        \
	{                                           \
		(const uint8_t *)(x), sizeof(x) - 1 \
	}

static void
strict(void **state)
{
	static const struct span good[] = {S("{}"), S("[]"), S(" {\"a\":1}\n"),
	    S("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[\"}"),
	    S("{\"a\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[\"}"),
	    S("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]"), S("[1,-1,1.5,true,null]")};
	static const struct span bad[] = {S(""), S(" "), S("1"), S("\"a\""),
	    S("null"), S("{"), S("{}{}"), S("{} x"), S("{}\0"), S("\0{}"),
	    S("{\"a\":1,\"a\":2}"), S("{\"a\":1,\"\\u0061\":2}"),
	    S("{\"a\":{\"b\":1,\"b\":1}}"), S("{\"a\":\"\\u0000\"}"),
	    S("{\"a\\u0000b\":1}"), S("{\"a\":\"\0\"}"), S("{'a':1}"),
	    S("{\"a\":01}"), S("{\"a\":+1}"), S("{\"a\":1,}"), S("[1,]"),
	    S("{\"a\":\"\xff\"}"), S("{\"a\":\"\xc0\x80\"}"),
	    S("{\"a\":\"\xed\xa0\x80\"}"), S("{\"a\":\"\\ud800\"}"),
	    S("{\"a\":\"\n\"}"), S("{\"a\":NaN}"), S("// c\n{}"),
	    S("\xef\xbb\xbf{}"), S("{\"a\":99999999999999999999}"),
	    S("[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]")};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		json_t *j = json_strict(good[i]);

		if (j == NULL)
			fail_msg("refused good[%zu]", i);
		json_decref(j);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (json_strict(bad[i]) != NULL)
			fail_msg("took bad[%zu]", i);
	}
	assert_null(json_strict_within(span_str("{\"a\":1}"), 6, 4));
	assert_null(json_strict_within(span_str("[[1]]"), 100, 1));
}

static void
readers(void **state)
{
	static const char *const names[] = {"s", "n", "neg", "r", "t", NULL};
	json_t *j = json_strict(span_str(
	    "{\"s\":\"abc\",\"n\":7,\"neg\":-1,\"r\":7.0,\"t\":true}"));
	char out[4] = "x";
	uint64_t v = 99;
	bool flag = false;
	const char *odd = NULL;

	(void)state;
	assert_int_equal(json_text_copy(j, "s", out, sizeof(out)), 0);
	assert_string_equal(out, "abc");
	assert_int_equal(json_text_copy(j, "s", out, 3), ERR_FORMAT);
	assert_int_equal(json_text_copy(j, "n", out, 4), ERR_FORMAT);
	assert_int_equal(json_text_copy(j, "no", out, 4), ERR_NOT_FOUND);
	assert_int_equal(json_u64(j, "n", 6, &v), ERR_FORMAT);
	assert_int_equal(json_u64(j, "neg", 9, &v), ERR_FORMAT);
	assert_int_equal(json_u64(j, "r", 9, &v), ERR_FORMAT);
	assert_int_equal(json_u64(j, "s", 9, &v), ERR_FORMAT);
	assert_int_equal(v, 99);
	assert_int_equal(json_u64(j, "n", 7, &v), 0);
	assert_int_equal(v, 7);
	assert_int_equal(json_flag(j, "n", &flag), ERR_FORMAT);
	assert_int_equal(json_flag(j, "t", &flag), 0);
	assert_true(flag);
	assert_true(json_only(j, names, &odd));
	assert_false(json_only(j, names + 1, &odd));
	assert_string_equal(odd, "s");
	json_decref(j);
	assert_false(json_only(NULL, names, NULL));
	assert_null(json_text(NULL, "a"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(strict),
	    cmocka_unit_test(readers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
