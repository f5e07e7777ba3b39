/* SPDX-License-Identifier: ISC */
/* What for: the admin API's answers are read strictly; lines of a growing
 * file come whole. */
#include "cli/admin.h"
#include "cli/tail.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define OK "HTTP/1.1 200 OK\r\n"

static void
test_answers(void **state)
{
	static const struct {
		const char *in;
		int r;
		unsigned status;
		const char *body;
	} rows[] = {
	    {OK "Content-Length: 2\r\n\r\n{}", 0, 200, "{}"},
	    {"HTTP/1.1 404 Not Found\r\ncontent-length:  3\r\nX: y\r\n\r\nabc",
		0, 404, "abc"},
	    {"HTTP/1.1 204\r\nContent-Length: 0\r\n\r\n", 0, 204, ""},
	    {OK "Content-Length: 2\r\n\r\n{", ERR_TRUNCATED, 0, NULL},
	    {OK "Content-Length: 2\r\n\r\n{}x", ERR_FORMAT, 0, NULL},
	    {OK "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", ERR_FORMAT,
		0, NULL},
	    {OK "Content-Length: +2\r\n\r\n{}", ERR_FORMAT, 0, NULL},
	    {OK "Content-Length: 99999999999999999999\r\n\r\n{}", ERR_FORMAT, 0,
		NULL},
	    {OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ERR_FORMAT, 0,
		NULL},
	    {OK "\r\n{}", ERR_FORMAT, 0, NULL},
	    {OK "no colon\r\n\r\n", ERR_FORMAT, 0, NULL},
	    {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", ERR_FORMAT, 0,
		NULL},
	    {"HTTP/1.1 2000\r\nContent-Length: 0\r\n\r\n", ERR_FORMAT, 0, NULL},
	    {"", ERR_TRUNCATED, 0, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned status = 0;
		struct span body = {0};
		int r = admin_parse(span_str(rows[i].in), &status, &body);
		if (rows[i].r == 0 ? r != 0 : r == 0)
			fail_msg("row %zu: %d", i, r);
		if (r != 0)
			continue;
		assert_int_equal(status, rows[i].status);
		assert_true(span_is(body, rows[i].body));
	}
}

static int
collect(void *ctx, struct span line)
{
	char *text = ctx;

	strncat(text, (const char *)line.p, line.n);
	strcat(text, "|");
	return 0;
}

static void
test_tail(void **state)
{
	char dir[] = "/tmp/hck-tail-XXXXXX", got[256] = "";
	struct tail *t = NULL;

	(void)state;
	assert_non_null(mkdtemp(dir));
	int at = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(tail_open(at, "log", 2, &t), ERR_NOT_FOUND);
	int fd = openat(at, "log", O_WRONLY | O_CREAT | O_APPEND, 0600);
	assert_int_equal(write(fd, "one\ntwo\nthree\nfo", 16), 16);
	assert_int_equal(tail_open(at, "log", 2, &t), 0);
	assert_int_equal(tail_read(t, collect, got), 0);
	assert_string_equal(got, "three|");
	assert_int_equal(write(fd, "ur\nfive\n", 8), 8);
	assert_int_equal(tail_read(t, collect, got), 0);
	assert_string_equal(got, "three|four|five|");
	tail_free(t);
	got[0] = '\0';
	assert_int_equal(tail_open(at, "log", SIZE_MAX, &t), 0);
	assert_int_equal(tail_read(t, collect, got), 0);
	assert_string_equal(got, "one|two|three|four|five|");
	tail_free(t);
	got[0] = '\0';
	assert_int_equal(tail_open(at, "log", 0, &t), 0);
	assert_int_equal(tail_read(t, collect, got), 0);
	assert_string_equal(got, "");
	tail_free(t);
	assert_int_equal(symlinkat("log", at, "link"), 0);
	assert_int_not_equal(tail_open(at, "link", 1, &t), 0);
	unlinkat(at, "link", 0);
	unlinkat(at, "log", 0);
	close(fd);
	close(at);
	rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_tail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
