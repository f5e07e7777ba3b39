/* SPDX-License-Identifier: ISC */
/* Requirement 10: every form of a secret, at every place, split at every
 * offset, never comes out whole; all else comes out as it was. */
#include "egress/courier/scrub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sodium.h>
#include <cmocka.h>

static const char one[] = "ghp_canary/One+4711=\"x\\y";
static const char two[] = "One+4711=\"x\\ySECOND"; /* overlaps one's end */

static struct scrub_set *
make_set(void)
{
	static const char *const secrets[] = {one, two, "short"};
	struct scrub_set *s;

	assert_int_equal(scrub_set_new(&s), 0);
	for (size_t i = 0; i < 3; i++) {
		struct keep *k;
		assert_int_equal(
		    keep_new(secrets[i], strlen(secrets[i]), &k), 0);
		assert_int_equal(scrub_set_add(s, k), 0);
		keep_free(k);
	}
	assert_int_equal(scrub_set_seal(s), 0);
	return s;
}

static struct buf *
pass(struct scrub_set *set, struct span in, size_t cut, bool idle)
{
	struct buf *out = buf_new(1 << 20);
	struct scrub *s;

	assert_int_equal(scrub_new(set, &s), 0);
	assert_int_equal(scrub_run(s, span_of(in.p, cut), out), 0);
	if (idle)
		assert_int_equal(scrub_idle(s, out), 0);
	assert_int_equal(scrub_run(s, span_from(in, cut), out), 0);
	assert_int_equal(scrub_end(s, out), 0);
	assert_int_equal(buf_len(out), in.n);
	scrub_free(s);
	return out;
}

/* body = "ab" form "yz": the form must be stars, its surroundings whole. */
static void
check_form(struct scrub_set *set, const char *form, size_t edge)
{
	char body[512];
	size_t n = strlen(form);

	(void)snprintf(body, sizeof(body), "ab%syz", form);
	for (size_t cut = 0; cut <= n + 4; cut++) {
		struct buf *out = pass(set, span_str(body), cut, false);
		struct span got = buf_span(out);
		assert_memory_equal(got.p, "ab", 2);
		assert_memory_equal(got.p + n + 2, "yz", 2);
		for (size_t i = edge; i < n - edge; i++) {
			if (got.p[2 + i] != '*')
				fail_msg("%s cut at %zu shows byte %zu", form,
				    cut, i);
		}
		buf_free(out);
	}
}

static void
encode(const char *s, const char *mode, char *out)
{
	for (; *s != 0; s++) {
		unsigned c = (unsigned char)*s;
		bool plain = strchr("+/=\"\\", *s) == NULL;
		if (strcmp(mode, "%") == 0 && plain)
			out += sprintf(out, "%c", *s);
		else if (strcmp(mode, "%") == 0)
			out += sprintf(out, "%%%02X", c);
		else if (strcmp(mode, "%l") == 0 && plain)
			out += sprintf(out, "%c", *s);
		else if (strcmp(mode, "%l") == 0)
			out += sprintf(out, "%%%02x", c);
		else if (strcmp(mode, "x") == 0)
			out += sprintf(out, "%02x", c);
		else if (strcmp(mode, "X") == 0)
			out += sprintf(out, "%02X", c);
		else
			out += sprintf(out, "%s%c",
			    *s == '"' || *s == '\\' ||
				    (*s == '/' && mode[1] == '/')
				? "\\"
				: "",
			    *s);
	}
}

static void
test_forms(void **state)
{
	static const char *const modes[] = {"%", "%l", "x", "X", "j", "j/"};
	struct scrub_set *set = make_set();
	char form[256];

	(void)state;
	check_form(set, one, 0);
	check_form(set, two, 0);
	for (size_t i = 0; i < 6; i++) {
		encode(one, modes[i], form);
		check_form(set, form, 0);
	}
	scrub_set_free(set);
}

static void
test_base64(void **state)
{
	static const int variants[] = {sodium_base64_VARIANT_ORIGINAL,
	    sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
	    sodium_base64_VARIANT_URLSAFE,
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING};
	struct scrub_set *set = make_set();
	char plain[128], form[256];

	(void)state;
	for (size_t before = 0; before < 6; before++) {
		for (size_t after = 0; after < 6; after++) {
			int n = snprintf(plain, sizeof(plain), "%.*s%s%.*s",
			    (int)before, "user:x", one, (int)after, "behind");
			for (size_t v = 0; v < 4; v++) {
				sodium_bin2base64(form, sizeof(form),
				    (const uint8_t *)plain, (size_t)n,
				    variants[v]);
				/* Neighbours' characters may stay. */
				check_form(set, form, 10);
			}
		}
	}
	scrub_set_free(set);
}

static void
test_overlap(void **state)
{
	struct scrub_set *set = make_set();
	const char *body = "ghp_canary/One+4711=\"x\\ySECOND";

	(void)state;
	for (size_t cut = 0; cut <= strlen(body); cut++) {
		struct buf *out = pass(set, span_str(body), cut, false);
		for (size_t i = 0; i < strlen(body); i++)
			assert_int_equal(buf_span(out).p[i], '*');
		buf_free(out);
	}
	scrub_set_free(set);
}

static void
test_innocent(void **state)
{
	struct scrub_set *set = make_set();
	static const char *const texts[] = {"", "g", "ghp_canary",
	    "ghp_canary/One+4711=\"x\\", "ghpghp_ghp_canary/OneOne+47",
	    "short shorter", "Z2hwX2NhbmFyeS9P"};

	(void)state;
	for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
		for (size_t cut = 0; cut <= strlen(texts[t]); cut++) {
			struct buf *out =
			    pass(set, span_str(texts[t]), cut, true);
			assert_memory_equal(
			    buf_span(out).p, texts[t], strlen(texts[t]));
			buf_free(out);
		}
	}
	scrub_set_free(set);
}

/* An idle event stream: at most 8 bytes of the secret come out. */
static void
test_idle(void **state)
{
	struct scrub_set *set = make_set();

	(void)state;
	for (size_t cut = 0; cut <= strlen(one); cut++) {
		struct buf *out = pass(set, span_str(one), cut, true);
		size_t shown = 0;
		for (size_t i = 0; i < strlen(one); i++)
			shown += buf_span(out).p[i] != '*';
		assert_in_range(shown, 0, SCRUB_LET_GO);
		buf_free(out);
	}
	scrub_set_free(set);
}

static void
test_nothing_and_too_much(void **state)
{
	struct buf *out = buf_new(64);
	struct scrub_set *set;
	struct keep *k;

	(void)state;
	assert_int_equal(scrub_set_new(&set), 0);
	assert_int_equal(scrub_set_seal(set), 0);
	assert_int_equal(scrub_text(set, span_str("as it was"), out), 0);
	assert_true(span_is(buf_span(out), "as it was"));
	assert_int_equal(keep_random(KEEP_MAX, &k), 0);
	assert_true(scrub_set_add(set, k) != 0);
	keep_free(k);
	scrub_set_free(set);
	buf_free(out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_forms),
	    cmocka_unit_test(test_base64),
	    cmocka_unit_test(test_overlap),
	    cmocka_unit_test(test_innocent),
	    cmocka_unit_test(test_idle),
	    cmocka_unit_test(test_nothing_and_too_much),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
