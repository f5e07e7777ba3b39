/* SPDX-License-Identifier: ISC */
/* When a 401 says something of a credential, and when it is dead. */
#include "egress/courier/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const uint8_t one[VERDICT_DIGEST] = {1}, two[VERDICT_DIGEST] = {2};

static bool
rejects(unsigned status, const char *challenge, const char *more,
    const char *scheme)
{
	struct head h;
	bool yes;

	head_init(&h);
	h.status = status;
	if (challenge != NULL)
		assert_int_equal(head_add(&h, span_str("www-authenticate"),
				     span_str(challenge)),
		    0);
	if (more != NULL)
		assert_int_equal(
		    head_add(&h, span_str("www-authenticate"), span_str(more)),
		    0);
	yes = verdict_is_rejection(&h, scheme);
	head_clear(&h);
	return yes;
}

static void
challenges(void **state)
{
	(void)state;
	assert_true(rejects(401, NULL, NULL, "bearer"));
	assert_true(rejects(401, "Bearer", NULL, "bearer"));
	assert_true(rejects(401, "bEARER error=\"x\"", NULL, "bearer"));
	assert_true(rejects(401, "Basic realm=\"a\", Bearer", NULL, "bearer"));
	assert_true(rejects(401, "Basic realm=\"a\"", "Bearer", "bearer"));
	assert_true(rejects(401, "Basic realm=\"a\"", NULL, "basic"));
	assert_true(rejects(401, "", NULL, "bearer"));
	/* A key in a place of its own is no scheme's. */
	assert_true(rejects(401, "Basic realm=\"a\"", NULL, NULL));
	assert_false(rejects(401, "Basic realm=\"a\"", NULL, "bearer"));
	assert_false(rejects(
	    401, "Basic realm=\"a\", charset=\"UTF-8\"", NULL, "bearer"));
	assert_false(
	    rejects(401, "Bearer realm=\"a\",service=\"b\"", NULL, "basic"));
	assert_false(rejects(401, "Negotiate", "NTLM", "bearer"));
	assert_false(rejects(403, "Bearer", NULL, "bearer"));
	assert_false(rejects(407, NULL, NULL, "bearer"));
	assert_false(rejects(200, NULL, NULL, "bearer"));
}

static void
first_and_streak(void **state)
{
	struct verdicts all = {0};
	struct verdict *v = verdicts_of(&all, "k", one, "a.test", 443);

	(void)state;
	assert_true(verdict_answer(v, true));
	assert_false(verdict_answer(v, false));
	for (int i = 1; i < VERDICT_STREAK; i++)
		assert_false(verdict_answer(v, true));
	assert_true(verdict_answer(v, true));
	assert_false(v->dead); /* until the vault has been asked */
	verdict_bury(v, 1000);
	assert_true(v->dead);
	assert_false(verdict_answer(v, true));
	assert_false(verdict_ask_again(v, 1000 + VERDICT_AGAIN_MS - 1));
	assert_true(verdict_ask_again(v, 1000 + VERDICT_AGAIN_MS));
	assert_false(verdict_ask_again(v, 1000 + VERDICT_AGAIN_MS + 1));
	verdicts_free(&all);
}

static void
whose(void **state)
{
	struct verdicts all = {0};
	struct verdict *v = verdicts_of(&all, "k", one, "a.test", 443);

	(void)state;
	verdict_bury(v, 0);
	assert_ptr_equal(verdicts_of(&all, "k", one, "a.test", 443), v);
	assert_true(v->dead);
	/* Another host, port or credential knows nothing of it. */
	assert_false(verdicts_of(&all, "k", one, "b.test", 443)->dead);
	assert_false(verdicts_of(&all, "k", one, "a.test", 444)->dead);
	assert_false(verdicts_of(&all, "l", one, "a.test", 443)->dead);
	/* A late answer to an old value says nothing of the new one. */
	assert_false(verdicts_of(&all, "k", two, "a.test", 443)->dead);
	assert_null(verdicts_about(&all, "k", one, "a.test", 443));
	assert_ptr_equal(verdicts_about(&all, "k", two, "a.test", 443), v);
	assert_null(verdicts_about(&all, "m", two, "a.test", 443));
	verdicts_free(&all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(challenges),
	    cmocka_unit_test(first_and_streak),
	    cmocka_unit_test(whose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
