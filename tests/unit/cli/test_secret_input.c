/* SPDX-License-Identifier: ISC */
/* What for: secrets come in whole and binary-safe (requirement 9 of the
 * design), never by argument. */
#include "cli/secret_input.h"

#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

/* A file of exactly these bytes, at its start. */
static int
file_of(const void *p, size_t n)
{
	int fd = memfd_create("secret", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void
test_newlines(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		bool cut;
		const char *out;
		size_t m;
	} rows[] = {
	    {"key\n", 4, true, "key", 3},
	    {"key\n\n", 5, true, "key\n", 4}, /* one, no more */
	    {"key\n", 4, false, "key\n", 4},
	    {"key\r\n", 5, true, "key\r", 4}, /* never guessed */
	    {"a\0b\n\xff", 5, true, "a\0b\n\xff", 5},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cli_error e = {0};
		struct keep *k = NULL;
		int fd = file_of(rows[i].in, rows[i].n);
		assert_int_equal(secret_read_fd(fd, rows[i].cut, &k, &e), 0);
		assert_int_equal(keep_len(k), rows[i].m);
		assert_memory_equal(keep_reveal(k).p, rows[i].out, rows[i].m);
		keep_free(k);
		close(fd);
	}
}

static void
test_bounds(void **state)
{
	char *big = calloc(1, KEEP_MAX + 1);
	struct cli_error e = {0};
	struct keep *k = NULL;
	int fd;

	(void)state;
	fd = file_of(big, KEEP_MAX);
	assert_int_equal(secret_read_fd(fd, false, &k, &e), 0);
	assert_int_equal(keep_len(k), KEEP_MAX);
	keep_free(k);
	close(fd);
	fd = file_of(big, KEEP_MAX + 1);
	assert_int_equal(secret_read_fd(fd, false, &k, &e), CLI_FAILED);
	assert_non_null(strstr(e.why, "longer"));
	close(fd);
	fd = file_of("\n", 1);
	assert_int_equal(secret_read_fd(fd, true, &k, &e), CLI_FAILED);
	assert_non_null(strstr(e.why, "empty"));
	close(fd);
	free(big);
}

static void
test_file_that_is_missing(void **state)
{
	struct secret_input in = {.prompt = "x", .file = "/nonexistent/x"};
	struct cli_error e = {0};
	struct keep *k = NULL;

	(void)state;
	assert_int_equal(secret_read(&in, &k, &e), CLI_FAILED);
	assert_non_null(strstr(e.why, "/nonexistent/x"));
}

/* Reads a secret in a child whose terminal is ours: exit status 0 when it
 * is the one expected. */
static void
child_reads(bool twice)
{
	struct secret_input in = {.prompt = "Value", .twice = twice};
	struct cli_error e = {0};
	struct keep *k = NULL;

	if (secret_read(&in, &k, &e) != 0)
		_exit(10);
	_exit(keep_eq(k, span_str("typed-secret")) ? 0 : 11);
}

/* Type lines at the prompts; what the terminal showed goes to shown. */
static int
type_at(bool twice, const char *const *lines, char *shown, size_t size)
{
	int master, status;
	size_t n = 0;
	pid_t pid = forkpty(&master, NULL, NULL, NULL);

	if (pid == 0)
		child_reads(twice);
	assert_true(pid > 0);
	for (;;) {
		ssize_t got = read(master, shown + n, size - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
		shown[n] = '\0';
		/* A prompt ends in ": ". */
		if (*lines != NULL && n > 2 &&
		    strcmp(shown + n - 2, ": ") == 0) {
			size_t k = strlen(*lines);
			assert_int_equal(write(master, *lines, k), (ssize_t)k);
			lines++;
		}
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(master);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
test_terminal_does_not_echo(void **state)
{
	char shown[1024] = "";

	(void)state;
	assert_int_equal(
	    type_at(false, (const char *const[]){"typed-secret\n", NULL}, shown,
		sizeof(shown)),
	    0);
	assert_non_null(strstr(shown, "Value: "));
	assert_null(strstr(shown, "typed"));
}

static void
test_terminal_twice(void **state)
{
	char shown[1024] = "";

	(void)state;
	assert_int_equal(
	    type_at(true,
		(const char *const[]){"typed-secret\n", "typed-secret\n", NULL},
		shown, sizeof(shown)),
	    0);
	assert_non_null(strstr(shown, "(again)"));
	assert_null(strstr(shown, "typed"));
	assert_int_equal(
	    type_at(true,
		(const char *const[]){"typed-secret\n", "other\n", NULL}, shown,
		sizeof(shown)),
	    10);
}

static void
test_looks_like(void **state)
{
	static const char *const secrets[] = {"sk-ant-api03-abcdefghijklmnop",
	    "ghp_0123456789abcdefABCDEF0123456789abcd", "AKIAIOSFODNN7EXAMPLE",
	    "xoxb-123456789012-abcdef",
	    "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.c2ln",
	    "wJalrXUtnFEMI7K7MDENGbPxRfiCYEXAMPLEKEY9",
	    "d131dd02c5e6eec4693d9a0698aff95c2fcab587"};
	static const char *const others[] = {"demo", "github-work",
	    "api.github.com", "GET,HEAD api.github.com/repos/acme/**",
	    "/home/user/some/quite/long/path/of/a/file/1234.yaml",
	    "a-very-long-credential-name-for-the-team-of-2024-1", "X-Api-Key",
	    "s-abcdefghijklmnopqrst", "sk-", "eyJ",
	    "my notes about the staging account of 2024"};

	(void)state;
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		if (!secret_looks_like(secrets[i]))
			fail_msg("%s", secrets[i]);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (secret_looks_like(others[i]))
			fail_msg("%s", others[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_newlines),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_file_that_is_missing),
	    cmocka_unit_test(test_terminal_does_not_echo),
	    cmocka_unit_test(test_terminal_twice),
	    cmocka_unit_test(test_looks_like),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
