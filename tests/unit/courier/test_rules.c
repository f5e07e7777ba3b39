/* SPDX-License-Identifier: ISC */
/* The session's rules: families, cuts and what lifts them. */
#include "egress/courier/rules.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define DEMO                                                                 \
	"[{\"type\":\"hatcheck-grant\",\"name\":\"g\",\"credential\":\"c\"," \
	"\"hosts\":[\"a.test:443\"],\"allow\":[{\"methods\":[\"GET\"],"      \
	"\"paths\":[\"/**\"]}]}]"

static struct rules *r;

static int
load_with(const char *grants, const char *placeholders)
{
	struct rules_session m = {.session = span_str("s-1"),
	    .expires_ms = 1000,
	    .grants = span_str(grants),
	    .placeholders = span_str(placeholders),
	    .used = span_str("{}")};

	return rules_load(r, &m);
}

static void
load(const char *grants)
{
	assert_int_equal(load_with(grants, "[]"), 0);
}

static void
cut(enum rules_cut_kind kind, const char *name)
{
	struct rules_cut m = {.kind = (uint8_t)kind, .name = span_str(name)};

	assert_int_equal(rules_cut(r, &m), 0);
}

static int
put(const char *family, uint64_t expires_ms)
{
	struct rules_family m = {.family = span_str(family),
	    .jti = span_str("j"),
	    .expires_ms = expires_ms};

	return rules_put_family(r, &m);
}

static enum reason
family(const char *name, uint64_t now_ms)
{
	return rules_check_family(r, span_str(name), now_ms, NULL);
}

static int
setup(void **state)
{
	(void)state;
	return rules_new(&r);
}

static int
teardown(void **state)
{
	(void)state;
	rules_free(r);
	return 0;
}

static void
test_families(void **state)
{
	(void)state;
	assert_int_equal(family("f", 0), REASON_NOT_READY);
	load(DEMO);
	assert_int_equal(family("f", 0), REASON_BAD_TOKEN);
	assert_int_equal(put("f", 500), 0);
	assert_int_equal(family("f", 499), REASON_NONE);
	assert_int_equal(family("f", 500), REASON_TOKEN_EXPIRED);
	assert_int_equal(put("f", 5000), 0);
	assert_int_equal(family("f", 999), REASON_NONE);
	/* The session ends all. */
	assert_int_equal(family("f", 1000), REASON_TOKEN_EXPIRED);
	assert_int_equal(put("", 1), ERR_FORMAT);
}

static int
put_child(const char *name, const char *parent, const char *details,
    uint64_t expires_ms)
{
	struct rules_family m = {.family = span_str(name),
	    .jti = span_str("j"),
	    .parent = span_str(parent),
	    .act = span_str("helper"),
	    .details = span_str(details),
	    .expires_ms = expires_ms};

	return rules_put_family(r, &m);
}

/* All above must live, at every moment. */
static void
test_children(void **state)
{
	struct rules_line line;

	(void)state;
	load(DEMO);
	assert_int_equal(put_child("low", "mid", DEMO, 700), 0);
	assert_int_equal(family("low", 1), REASON_BAD_TOKEN); /* no parent */
	assert_int_equal(put_child("mid", "top", DEMO, 600), 0);
	assert_int_equal(put("top", 500), 0);
	assert_int_equal(put("side", 900), 0);
	assert_int_equal(family("low", 499), REASON_NONE);
	assert_int_equal(family("low", 500), REASON_TOKEN_EXPIRED);
	assert_int_equal(family("mid", 500), REASON_TOKEN_EXPIRED);
	rules_line(r, span_str("low"), &line);
	assert_int_equal(line.n, 3);
	assert_int_equal(line.n_within, 2);
	assert_string_equal(line.family[0], "low");
	assert_string_equal(line.family[2], "top");
	assert_string_equal(line.act[0], "helper");
	assert_string_equal(line.act[2], "");
	rules_line(r, span_str("side"), &line);
	assert_int_equal(line.n, 1);
	assert_int_equal(line.n_within, 0);
	cut(RULES_CUT_FAMILY, "mid");
	assert_int_equal(family("low", 1), REASON_REVOKED);
	assert_int_equal(family("top", 1), REASON_NONE);
	assert_int_equal(family("side", 1), REASON_NONE);
}

/* What a family may stands for good. */
static void
test_children_stay_what_they_are(void **state)
{
	(void)state;
	load(DEMO);
	assert_int_equal(put("top", 500), 0);
	assert_int_equal(put("other", 500), 0);
	assert_int_equal(put_child("a", "top", DEMO, 500), 0);
	assert_int_equal(put_child("a", "top", DEMO, 600), 0); /* a renewal */
	assert_int_equal(put_child("b", "top", "[{]", 500), ERR_FORMAT);
	assert_int_equal(family("b", 1), REASON_REVOKED);
	assert_int_equal(put_child("a", "other", DEMO, 600), ERR_FORMAT);
	assert_int_equal(put_child("c", "top", DEMO, 500), 0);
	assert_int_equal(put_child("c", "top", "", 500), ERR_FORMAT);
	/* A ring of parents is nobody's. */
	assert_int_equal(put_child("x", "y", DEMO, 500), 0);
	assert_int_equal(put_child("y", "x", DEMO, 500), 0);
	assert_int_equal(family("x", 1), REASON_BAD_TOKEN);
}

/* A family that was cut is remembered, what it could do is not. */
static void
test_cut_families_take_no_room(void **state)
{
	static char details[32 * 1024];
	size_t n = (size_t)snprintf(details, sizeof(details),
	    "[{\"name\":\"g\",\"credential\":\"c\",\"hosts\":[\"a.test\"],"
	    "\"allow\":[");

	(void)state;
	load(DEMO);
	for (int i = 0; i < 500; i++)
		n += (size_t)snprintf(details + n, sizeof(details) - n,
		    "%s\"/some/longer/path/that/takes/room/%d\"%s",
		    i % 50 == 0 ? "{\"methods\":[\"GET\"],\"paths\":[" : ",", i,
		    i == 499	   ? "]}]}]"
		    : i % 50 == 49 ? "]},"
				   : "");
	struct mallinfo2 before = mallinfo2();
	for (int i = 0; i < 400; i++) {
		char id[16];
		struct rules_family m = {.jti = span_str("j"),
		    .expires_ms = 1000,
		    .details = span_of(details, n)};

		(void)snprintf(id, sizeof(id), "f-%d", i);
		m.family = span_str(id);
		assert_int_equal(rules_put_family(r, &m), 0);
		assert_int_equal(family(id, 1), REASON_NONE);
		cut(RULES_CUT_FAMILY, id);
		assert_int_equal(family(id, 1), REASON_REVOKED);
	}
	assert_in_range(mallinfo2().uordblks - before.uordblks, 0, 1024 * 1024);
}

static void
test_cut_family_stays(void **state)
{
	(void)state;
	load(DEMO);
	cut(RULES_CUT_FAMILY, "f"); /* before it is even known */
	assert_int_equal(put("f", 500), 0);
	assert_int_equal(family("f", 1), REASON_REVOKED);
	load(DEMO);
	assert_int_equal(family("f", 1), REASON_REVOKED);
}

static void
test_cut_session_stays(void **state)
{
	(void)state;
	load(DEMO);
	assert_int_equal(put("f", 500), 0);
	cut(RULES_CUT_SESSION, "");
	load(DEMO);
	assert_int_equal(family("f", 1), REASON_REVOKED);
	assert_int_equal(rules_check_cut(r, "g", "c"), REASON_REVOKED);
}

static void
test_cut_grant(void **state)
{
	(void)state;
	load(DEMO);
	cut(RULES_CUT_GRANT, "g");
	assert_int_equal(rules_check_cut(r, "g", "c"), REASON_REVOKED);
	load(DEMO); /* rules that were under way do not lift it */
	assert_int_equal(rules_check_cut(r, "g", "c"), REASON_REVOKED);
	load("[]");
	load(DEMO); /* granted anew */
	assert_int_equal(rules_check_cut(r, "g", "c"), REASON_NONE);
	cut(RULES_CUT_CREDENTIAL, "c");
	assert_int_equal(rules_check_cut(r, "g", "c"), REASON_REVOKED);
	assert_int_equal(rules_check_cut(r, "g", ""), REASON_NONE);
}

/* The minter may say it in the other order. */
static void
test_cut_after_rules(void **state)
{
	(void)state;
	load(DEMO);
	load("[]");
	cut(RULES_CUT_GRANT, "g");
	load(DEMO);
	assert_int_equal(rules_check_cut(r, "g", "c"), REASON_NONE);
}

static void
test_suspend(void **state)
{
	(void)state;
	load(DEMO);
	assert_int_equal(put("f", 500), 0);
	rules_suspend(r);
	assert_int_equal(family("f", 1), REASON_NOT_READY);
	cut(RULES_CUT_GRANT, "g");
	load(DEMO);
	assert_int_equal(family("f", 1), REASON_NONE);
	assert_int_equal(rules_check_cut(r, "g", "c"), REASON_REVOKED);
}

static void
test_bad_rules_change_nothing(void **state)
{
	static const char *const bad[] = {"", "{}", "[1]",
	    "[{\"value\":\"v\"}]", "[{\"credential\":\"c\"}]",
	    "[{\"credential\":\"c\",\"value\":\"\"}]"};

	(void)state;
	load(DEMO);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(load_with("[]", bad[i]), ERR_FORMAT);
	assert_int_equal(load_with("[{}]", "[]"), ERR_FORMAT);
	assert_non_null(rules_grant(r, "g"));
}

static void
test_placeholders(void **state)
{
	(void)state;
	assert_int_equal(
	    load_with(DEMO, "[{\"credential\":\"c\",\"value\":\"TICKET\"}]"),
	    0);
	assert_string_equal(rules_placeholder(r, span_str("TICKET")), "c");
	assert_null(rules_placeholder(r, span_str("TICKEt")));
	assert_null(rules_placeholder(r, span_str("TICKE")));
	assert_null(rules_placeholder(r, span_str("")));
}

static void
test_sweep(void **state)
{
	(void)state;
	load(DEMO);
	for (unsigned i = 0; i < RULES_FAMILIES_MAX; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(put(name, 1), 0);
	}
	assert_int_equal(put("more", 1), ERR_TOO_BIG);
	rules_sweep(r, 3600 * 1000);
	assert_int_equal(put("more", 1), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {T(test_families), T(test_children),
	    T(test_children_stay_what_they_are),
	    T(test_cut_families_take_no_room), T(test_cut_family_stays),
	    T(test_cut_session_stays), T(test_cut_grant),
	    T(test_cut_after_rules), T(test_suspend),
	    T(test_bad_rules_change_nothing), T(test_placeholders),
	    T(test_sweep)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
