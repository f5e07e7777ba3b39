/* SPDX-License-Identifier: ISC */
/* What for: the table of verbs, and command lines sorted by it. */
#include "cli/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 32

struct line {
	struct parsed p;
	const char *words[WORDS_MAX];
	struct cli_error e;
	int r;
};

/* Sort "hatcheck" and the words given, up to NULL. */
static struct line *
sort(const char *const *words)
{
	static struct line l;
	static char *argv[WORDS_MAX];
	int argc = 1;

	memset(&l, 0, sizeof(l));
	l.p.args.words = l.words;
	argv[0] = (char *)(uintptr_t) "hatcheck";
	for (; words[argc - 1] != NULL; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc - 1];
	argv[argc] = NULL;
	l.r = verb_parse(argc, argv, &l.p, &l.e);
	return &l;
}
#define SORT(...) sort((const char *const[]){__VA_ARGS__, NULL})

static void
test_table_is_sound(void **state)
{
	(void)state;
	for (const struct verb *v = verbs; v->path != NULL; v++) {
		assert_non_null(v->help);
		assert_non_null(v->run);
		assert_non_null(v->arguments);
		assert_ptr_equal(verb_find(v->path), v); /* no two alike */
		/* No verb is also a group. */
		assert_false(verb_is_group(v->path));
		assert_true(strlen(v->help) < 60);
		for (const struct verb_option *o = v->options;
		     o != NULL && o->name != NULL; o++) {
			const char *value;
			char word[64];
			(void)snprintf(word, sizeof(word), "--%s", o->name);
			assert_ptr_equal(verb_option_find(v, word, &value), o);
			assert_non_null(o->help);
		}
	}
}

static void
test_globals_anywhere(void **state)
{
	static const char *const lines[][7] = {
	    {"--home", "/h", "--json", "credential", "show", "demo", NULL},
	    {"credential", "--home", "/h", "show", "--json", "demo", NULL},
	    {"credential", "show", "demo", "--json", "--home=/h", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct line *l = sort(lines[i]);
		assert_int_equal(l->r, 0);
		assert_string_equal(l->p.args.verb->path, "credential show");
		assert_string_equal(l->p.home, "/h");
		assert_true(l->p.json);
		assert_int_equal(l->p.args.n_words, 1);
		assert_string_equal(l->p.args.words[0], "demo");
	}
}

static void
test_options(void **state)
{
	struct line *l = SORT("credential", "add", "demo", "--host", "a.test",
	    "--kind=header", "--header", "x-key", "--host=b.test");

	(void)state;
	assert_int_equal(l->r, 0);
	assert_string_equal(args_value(&l->p.args, "kind"), "header");
	assert_string_equal(args_nth(&l->p.args, "host", 0), "a.test");
	assert_string_equal(args_nth(&l->p.args, "host", 1), "b.test");
	assert_null(args_nth(&l->p.args, "host", 2));
	assert_false(args_has(&l->p.args, "note"));

	l = SORT("logs", "-n5", "-f");
	assert_int_equal(l->r, 0);
	assert_true(args_has(&l->p.args, "follow"));
	uint64_t n;
	assert_int_equal(args_number(&l->p.args, "lines", 10, 1, &n, &l->e), 0);
	assert_int_equal(n, 5);
	assert_int_equal(
	    args_number(&l->p.args, "lines", 4, 1, &n, &l->e), CLI_USAGE);
}

static void
test_usage_errors(void **state)
{
	static const struct {
		const char *words[6];
		const char *why;
	} rows[] = {
	    {{NULL}, "no verb"},
	    {{"nonsense", NULL}, "no verb \"nonsense\""},
	    {{"credential", NULL}, "missing after credential"},
	    {{"credential", "nonsense", NULL}, "credential nonsense"},
	    {{"credential", "show", NULL}, "expected: NAME"},
	    {{"credential", "show", "a", "b", NULL}, "unexpected argument b"},
	    {{"credential", "show", "a", "--host", "h", NULL}, "no option"},
	    {{"credential", "add", "a", "--kind", NULL}, "missing after"},
	    {{"credential", "add", "--kind=a", "--kind=b", NULL}, "twice"},
	    {{"logs", "--follow=yes", NULL}, "no value goes with"},
	    {{"logs", "-x", NULL}, "no option"},
	    {{"grant", "apply", NULL}, "expected: FILE"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct line *l = sort(rows[i].words);
		assert_int_equal(l->r, CLI_USAGE);
		assert_int_equal(l->e.code, CLI_USAGE);
		if (strstr(l->e.why, rows[i].why) == NULL)
			fail_msg("row %zu: %s", i, l->e.why);
	}
}

static void
test_secret_is_not_repeated(void **state)
{
	struct line *l =
	    SORT("credential", "add", "demo", "sk-ant-api03-abcdefghijklmnop");

	(void)state;
	assert_int_equal(l->r, CLI_USAGE);
	assert_null(strstr(l->e.why, "abcdefgh"));
	l = SORT("ghp_0123456789abcdefABCDEF0123456789abcd");
	assert_null(strstr(l->e.why, "0123456789"));
	l = SORT("status", "--ghp_0123456789abcdefABCDEF0123456789abcd");
	assert_int_equal(l->r, CLI_USAGE);
}

static void
test_help_needs_no_more(void **state)
{
	(void)state;
	assert_int_equal(SORT("--help")->r, 0);
	assert_int_equal(SORT("credential", "-h")->r, 0);
	struct line *l = SORT("credential", "show", "--help");
	assert_int_equal(l->r, 0);
	assert_true(l->p.help);
}

static void
test_double_dash(void **state)
{
	struct line *l = SORT("explain", "--", "GET", "--home");

	(void)state;
	assert_int_equal(l->r, 0);
	assert_null(l->p.home);
	assert_string_equal(l->p.args.words[1], "--home");
}

/* What a command line of its own looks like, if `run` is in the table. */
static void
test_command_is_left_alone(void **state)
{
	(void)state;
	if (verb_find("run") == NULL)
		skip();
	struct line *l = SORT("run", "--", "ls", "--json", "-h");
	assert_int_equal(l->r, 0);
	assert_false(l->p.json);
	assert_int_equal(l->p.args.n_words, 3);
	l = SORT("run", "ls", "--json");
	assert_int_equal(l->r, 0);
	assert_false(l->p.json);
	assert_int_equal(l->p.args.n_words, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table_is_sound),
	    cmocka_unit_test(test_globals_anywhere),
	    cmocka_unit_test(test_options),
	    cmocka_unit_test(test_usage_errors),
	    cmocka_unit_test(test_secret_is_not_repeated),
	    cmocka_unit_test(test_help_needs_no_more),
	    cmocka_unit_test(test_double_dash),
	    cmocka_unit_test(test_command_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
