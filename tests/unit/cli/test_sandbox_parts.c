/* SPDX-License-Identifier: ISC */
/* --limit's words, and the search for sockets. */
#include "cli/sandbox_limits.h"
#include "cli/sandbox_sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static void
good_limits(void **state)
{
	static const struct {
		const char *text, *word;
	} rows[] = {{"memory=2GiB", "--data=2147483648"},
	    {"memory=100", "--data=100"}, {"processes=64", "--nproc=64"},
	    {"cpu=2h", "--cpu=7200"}, {"file-size=1MiB", "--fsize=1048576"},
	    {"open-files=256", "--nofile=256"}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sandbox_limits l = {0};
		struct cli_error e = {0};

		assert_int_equal(sandbox_limits_add(&l, rows[i].text, &e), 0);
		assert_int_equal(l.n, 1);
		assert_string_equal(l.of[0].word, rows[i].word);
	}
}

static void
bad_limits(void **state)
{
	static const char *const rows[] = {"", "=", "memory",
	    "memory=", "memory=0", "memory=-1", "memory=1.5GiB", "memory=1ZiB",
	    "memory=99999999999999999999", "Memory=1", "processes=1KiB",
	    "processes=", "cpu=5/s", "cpu=soon", "core=1", "open-files=1 ",
	    "tmp=lots"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sandbox_limits l = {0};
		struct cli_error e = {0};

		if (sandbox_limits_add(&l, rows[i], &e) != CLI_USAGE)
			fail_msg("\"%s\" was taken", rows[i]);
		assert_int_equal(l.n, 0);
		assert_int_equal(l.tmp, 0);
	}
}

static void
the_last_counts(void **state)
{
	struct sandbox_limits l = {0};
	struct cli_error e = {0};
	struct buf *b = buf_new(256);

	(void)state;
	assert_int_equal(sandbox_limits_add(&l, "processes=1", &e), 0);
	assert_int_equal(sandbox_limits_add(&l, "cpu=1s", &e), 0);
	assert_int_equal(sandbox_limits_add(&l, "processes=2", &e), 0);
	assert_int_equal(sandbox_limits_add(&l, "tmp=1KiB", &e), 0);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.of[0].word, "--nproc=2");
	assert_int_equal(sandbox_limits_tmpfs(&l, "1777", "/t", b), 0);
	static const char want[] = "--perms\0"
				   "1777\0--size\0"
				   "1024\0"
				   "--tmpfs\0/t";
	assert_int_equal(buf_len(b), sizeof(want));
	assert_memory_equal(buf_span(b).p, want, sizeof(want));
	buf_free(b);
}

static void
listen_at(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
}

static void
sockets(void **state)
{
	char top[] = "/tmp/hck-sock-XXXXXX", path[128];
	struct sandbox_sockets s = {.whole = true};

	(void)state;
	assert_non_null(mkdtemp(top));
	snprintf(path, sizeof(path), "%s/a", top);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/a/.b", top);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/a/out", top);
	assert_int_equal(symlink("/", path), 0); /* not followed */
	snprintf(path, sizeof(path), "%s/a/file", top);
	assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
	snprintf(path, sizeof(path), "%s/a/.b/sock", top);
	listen_at(path);
	assert_int_equal(sandbox_sockets_find(&s, top), 0);
	assert_true(s.whole);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.path[0], path);
	/* More than can be covered is said. */
	for (int i = 0; i < SANDBOX_SOCKETS; i++) {
		snprintf(path, sizeof(path), "%s/a/.b/s%d", top, i);
		listen_at(path);
	}
	sandbox_sockets_free(&s);
	assert_int_equal(sandbox_sockets_find(&s, top), 0);
	assert_int_equal(s.n, SANDBOX_SOCKETS);
	assert_false(s.whole);
	sandbox_sockets_free(&s);
	snprintf(path, sizeof(path), "rm -rf %s", top);
	assert_int_equal(system(path), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_limits),
	    cmocka_unit_test(bad_limits),
	    cmocka_unit_test(the_last_counts),
	    cmocka_unit_test(sockets),
	};

	return cmocka_run_group_tests_name("sandbox_parts", tests, NULL, NULL);
}
