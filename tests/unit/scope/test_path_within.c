/* SPDX-License-Identifier: ISC */
/* A narrower path is narrower: path_within() against a model that lists all
 * short paths and asks of each one whether it matches. */
#include "scope/path.h"
#include "scope/path_within.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ROUNDS 100000
#define PATH_UNITS 8
#define PATHS_MAX 40000
#define TEXT 64

static const char *const segments[] = {
    "a", "b", "*", "**", "a*", "*b", "a*b", "%20*"};
#define SEGMENTS COUNT(segments)
/* one to three segments, with and without a last "/" */
#define PATTERNS \
	(2 * (SEGMENTS + SEGMENTS * SEGMENTS + SEGMENTS * SEGMENTS * SEGMENTS))

/* One comparison, which may cost what a whole question may. */
static int
within(const char *inner, const char *const *outer, size_t n,
    char witness[static PATH_WITNESS_MAX])
{
	uint64_t left = PATH_WORK_MAX;

	return path_within(inner, outer, n, &left, witness);
}

/* "z" stands for all that no pattern spells out */
static const char *const units[] = {"/", "a", "b", "z"};

static char paths[PATHS_MAX][PATH_UNITS + 1];
static size_t n_paths;
static uint8_t *known[PATTERNS]; /* a byte for each path */

/* The definition in path.h, a rule a line. */
static bool
model(const char *p, const char *s)
{
	size_t u = *s == '%' ? 3 : 1;

	if (strstr(s, "%2F") != NULL)
		return strcmp(p, "/**") == 0;
	if (strncmp(p, "/**", 3) == 0)
		return model(p + 3, s) ||
		       (*s == '/' && model(p, s + 1 + strcspn(s + 1, "/")));
	if (*p == '\0')
		return *s == '\0';
	if (*s == '\0')
		return false;
	if (*p == '*')
		return *s != '/' && (model(p + 1, s + u) || model(p, s + u));
	return *p == *s && model(p + 1, s + 1);
}

static void
list_paths(const char *begin)
{
	struct target t;

	if (target_parse(span_str(begin), &t) != 0)
		return;
	assert_true(n_paths < PATHS_MAX);
	(void)snprintf(paths[n_paths++], PATH_UNITS + 1, "%s", begin);
	for (size_t i = 0; strlen(begin) < PATH_UNITS && i < COUNT(units);
	     i++) {
		char longer[PATH_UNITS + 1];

		(void)snprintf(longer, sizeof(longer), "%s%s", begin, units[i]);
		list_paths(longer);
	}
}

static void
pattern_text(size_t id, char out[static TEXT])
{
	size_t n = 1, below = SEGMENTS;
	bool slash = id % 2 == 1;

	for (id /= 2; id >= below; below *= SEGMENTS, n++)
		id -= below;
	out[0] = '\0';
	for (; n > 0; n--, id /= SEGMENTS) {
		strcat(out, "/");
		strcat(out, segments[id % SEGMENTS]);
	}
	if (slash)
		strcat(out, "/");
}

static const uint8_t *
matches_of(size_t id)
{
	char text[TEXT];

	if (known[id] != NULL)
		return known[id];
	pattern_text(id, text);
	assert_int_equal(path_pattern_check(span_str(text)), 0);
	known[id] = calloc(n_paths, 1);
	assert_non_null(known[id]);
	for (size_t i = 0; i < n_paths; i++)
		known[id][i] = model(text, paths[i]);
	return known[id];
}

/* Half of the outer ones are the inner one with a segment opened. */
static size_t
outer_like(size_t inner)
{
	size_t id = inner / 2, first = 0, place = 1, level = SEGMENTS;
	size_t slash = (size_t)random() % 4 == 0 ? 1 : inner % 2;

	if (random() % 2 == 0)
		return (size_t)random() % PATTERNS;
	for (; id >= first + level; first += level, level *= SEGMENTS)
		;
	id -= first;
	for (size_t i = (size_t)random() % 3; i > 0 && place * SEGMENTS < level;
	     i--)
		place *= SEGMENTS;
	id -= id / place % SEGMENTS * place;
	id += (2 + (size_t)random() % 4) * place;
	return 2 * (first + id) + slash;
}

static void
fail_case(const char *what, const char *inner, const char (*outer)[TEXT],
    size_t n, const char *path)
{
	print_error("%s: %s within", what, inner);
	for (size_t i = 0; i < n; i++)
		print_error(" %s", outer[i]);
	fail_msg("; %s", path);
}

/* No: the witness is a path, and the model agrees about it. */
static void
witness_holds(
    const char *inner, const char (*outer)[TEXT], size_t n, const char *witness)
{
	struct target t;

	if (target_parse(span_str(witness), &t) != 0 || t.query.p != NULL ||
	    !model(inner, witness) || !target_match(span_str(inner), &t))
		fail_case("no such path", inner, outer, n, witness);
	for (size_t i = 0; i < n; i++) {
		if (model(outer[i], witness) ||
		    target_match(span_str(outer[i]), &t))
			fail_case(
			    "refused though within", inner, outer, n, witness);
	}
}

/* The outer patterns of a case: some have an id, whose matches are kept. */
struct outer {
	char text[4][TEXT];
	const char *list[4];
	const uint8_t *matches[4];
	size_t n;
};

static void
add_text(struct outer *o, const char *text)
{
	(void)snprintf(o->text[o->n], TEXT, "%s", text[0] == '\0' ? "/" : text);
	o->list[o->n] = o->text[o->n];
	o->matches[o->n++] = NULL;
}

/* "**" is nothing, or a last "/", or one segment and "**": each piece is left
 * out now and then. */
static void
split(struct outer *o, const char *inner)
{
	static const char *const pieces[] = {"", "/", "/*/**"};
	const char *at = strstr(inner, "/**");

	for (size_t i = 0; at != NULL && i < COUNT(pieces); i++) {
		char text[TEXT];

		(void)snprintf(text, sizeof(text), "%.*s%s%s",
		    (int)(at - inner), inner, pieces[i], at + 3);
		if (random() % 8 != 0 &&
		    path_pattern_check(span_str(text)) == 0)
			add_text(o, text);
	}
}

static void
make_outer(struct outer *o, size_t inner, const char *text)
{
	o->n = 0;
	if (random() % 4 == 0)
		split(o, text);
	for (size_t more = (size_t)random() % 5; more > 0 && o->n < 4; more--) {
		char other[TEXT];
		size_t id = outer_like(inner);

		pattern_text(id, other);
		add_text(o, other);
		o->matches[o->n - 1] = matches_of(id);
	}
}

static bool
any_covers(const struct outer *o, size_t path)
{
	for (size_t i = 0; i < o->n; i++) {
		if (o->matches[i] != NULL ? o->matches[i][path] != 0
					  : model(o->text[i], paths[path]))
			return true;
	}
	return false;
}

static bool
one_covers(const struct outer *o, const char *inner)
{
	char witness[PATH_WITNESS_MAX];

	for (size_t i = 0; i < o->n; i++) {
		if (within(inner, &o->list[i], 1, witness) == 0)
			return true;
	}
	return false;
}

/* Both ways: a yes has no short path that says otherwise, a no has a path
 * that says so. */
static void
agrees_with_model(void **state)
{
	size_t yes = 0, joint = 0;

	(void)state;
	srandom(9396);
	list_paths("/");
	for (int round = 0; round < ROUNDS; round++) {
		size_t inner = (size_t)random() % PATTERNS;
		char text[TEXT], witness[PATH_WITNESS_MAX];
		struct outer o;

		pattern_text(inner, text);
		make_outer(&o, inner, text);
		int r = within(text, o.list, o.n, witness);
		if (r == ERR_DENIED) {
			witness_holds(text, o.text, o.n, witness);
			continue;
		}
		assert_int_equal(r, 0);
		yes++;
		joint += !one_covers(&o, text);
		const uint8_t *mine = matches_of(inner);
		for (size_t p = 0; p < n_paths; p++) {
			if (mine[p] != 0 && !any_covers(&o, p))
				fail_case("WIDER", text, o.text, o.n, paths[p]);
		}
	}
	print_message("%d cases: %zu within, %zu of them only by several "
		      "patterns together; %zu paths\n",
	    ROUNDS, yes, joint, n_paths);
	assert_true(yes > ROUNDS / 10 && yes < ROUNDS * 9 / 10 && joint > 1000);
	for (size_t i = 0; i < PATTERNS; i++)
		free(known[i]);
}

static void
by_hand(void **state)
{
	static const struct {
		const char *inner, *outer[6];
		int result;
	} rows[] = {
	    {"/a", {"/a"}, 0},
	    {"/a", {NULL}, ERR_DENIED},
	    {"/repos/acme/**", {"/repos/**"}, 0},
	    {"/repos/**", {"/repos/acme/**"}, ERR_DENIED},
	    {"/a/**", {"/a/*"}, ERR_DENIED},
	    {"/a/**", {"/a", "/a/", "/a/*", "/a/*/**"}, 0},
	    {"/a/**", {"/a", "/a/*", "/a/*/**"}, ERR_DENIED},
	    {"/**/*", {"/*", "/*/**"}, 0},
	    {"/**/**", {"/**"}, 0},
	    {"/**/**", {"/", "/*", "/*/**"}, 0},
	    /* only one takes paths that hide a slash */
	    {"/**", {"/", "/*", "/*/**"}, ERR_DENIED},
	    {"/**", {"/**/**"}, ERR_DENIED},
	    {"/**", {"/a", "/**"}, 0},
	    {"/**/a/**", {"/**/a", "/**/a/**"}, 0},
	    {"/*a*", {"/*"}, 0},
	    {"/a*", {"/*a"}, ERR_DENIED},
	    /* an escape is one unit, in one spelling */
	    {"/%20", {"/*"}, 0},
	    {"/%C3%A9", {"/%c3%a9"}, ERR_DENIED},
	    /* dot segments are no paths */
	    {"/.*", {"/...*", "/..*"}, ERR_DENIED},
	    {"/a/*/**", {"/a/**"}, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char witness[PATH_WITNESS_MAX];
		size_t n = 0;

		while (n < COUNT(rows[i].outer) && rows[i].outer[n] != NULL)
			n++;
		int r = within(rows[i].inner, rows[i].outer, n, witness);
		if (r != rows[i].result)
			fail_msg("%s: %d (%s)", rows[i].inner, r, witness);
	}
}

/* Patterns made to blow the construction up end in ERR_TOO_BIG, soon. */
static void
no_blowup(void **state)
{
	char inner[PATH_PATTERN_MAX + 1] = "/*", *outer[60];
	char witness[PATH_WITNESS_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(outer); i++) {
		outer[i] = calloc(1, TEXT);
		assert_non_null(outer[i]);
		strcpy(outer[i], "/*a");
		for (size_t j = 0; j < i % 50; j++)
			strcat(outer[i], "b");
		strcat(outer[i], "*c");
	}
	int r =
	    within(inner, (const char *const *)outer, COUNT(outer), witness);
	assert_true(r == ERR_DENIED || r == ERR_TOO_BIG);
	strcpy(inner, "/");
	while (strlen(inner) + 2 < PATH_PATTERN_MAX)
		strcat(inner, random() % 2 == 0 ? "a*" : "b*");
	for (size_t i = 0; i < 12; i++)
		(void)snprintf(outer[i], TEXT, "/*a*%.*s*%c", (int)(i + 1) * 3,
		    "abbabaababbabbabaabababbabaabbabababa",
		    i % 2 == 0 ? 'a' : 'b');
	r = within(inner, (const char *const *)outer, 12, witness);
	assert_true(r == 0 || r == ERR_DENIED || r == ERR_TOO_BIG);
	for (size_t i = 0; i < COUNT(outer); i++)
		free(outer[i]);
	/* too many steps in all */
	char *many[PATH_PATTERN_MAX];
	char wide[PATH_PATTERN_MAX + 1];

	memset(wide, 'a', PATH_PATTERN_MAX);
	wide[0] = '/';
	wide[PATH_PATTERN_MAX] = '\0';
	for (size_t i = 0; i < 4; i++)
		many[i] = wide;
	assert_int_equal(
	    within("/b", (const char *const *)many, 4, witness), ERR_TOO_BIG);
}

/* Each of these alone is decided; all together are more than one question
 * may ask, and the rest is refused at once. */
static void
one_question(void **state)
{
	const char *outer[] = {
	    "/**/a/*/*/*/*/*/*/*/*/*/*/*/*/c", "/**"};
	char inner[TEXT], witness[PATH_WITNESS_MAX];
	uint64_t left = PATH_WORK_MAX;
	int decided = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		(void)snprintf(inner, sizeof(inner), "/**/a/**/a/**/%03d", i);
		int r = path_within(inner, outer, 2, &left, witness);
		assert_true(r == 0 || r == ERR_TOO_BIG);
		assert_true(r == 0 || left == 0);
		decided += r == 0;
		assert_int_equal(within(inner, outer, 2, witness), 0);
	}
	assert_in_range(decided, 1, 100);
	assert_int_equal(
	    path_within("/b", outer, 2, &left, witness), ERR_TOO_BIG);
	assert_int_equal(path_within("/**", outer, 2, &left, witness), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(agrees_with_model),
	    cmocka_unit_test(by_hand),
	    cmocka_unit_test(no_blowup),
	    cmocka_unit_test(one_question),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
