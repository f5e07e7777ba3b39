/* SPDX-License-Identifier: ISC */
/* Holds: a changed, removed, reordered, inserted or torn line is found
 * (E.28, G.40, G.43). */
#include "lib/chainlog.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static int
reopen(struct chainlog **c)
{
	int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return chainlog_open(fd, -1, "s-1", c);
}

static void
fill(int n)
{
	struct chainlog *c;
	char text[64];

	snprintf(path, sizeof(path), "/tmp/chain.%d", (int)getpid());
	unlink(path);
	assert_int_equal(reopen(&c), 0);
	for (int i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "\"event\":\"e\",\"i\":%d", i);
		assert_int_equal(chainlog_append(c, span_str(text)), 0);
	}
	assert_true(n == 0 || chainlog_unsynced(c));
	assert_int_equal(chainlog_sync(c), 0);
	assert_false(chainlog_unsynced(c));
	assert_int_equal(chainlog_head(c).seq, n);
	chainlog_free(c);
}

static size_t
slurp(char *out, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n = fread(out, 1, size - 1, f);

	out[n] = '\0';
	fclose(f);
	return n;
}

static void
spill(const char *text, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_int_equal(fwrite(text, 1, n, f), n);
	fclose(f);
}

static int
verify(uint64_t *line, struct chainlog_head *head, const char *name)
{
	FILE *f = fopen(path, "r");
	char why[128] = "";
	int r =
	    chainlog_verify(f, name, NULL, NULL, NULL, head, line, why, sizeof(why));

	assert_true(r == 0 || why[0] != '\0');
	fclose(f);
	return r;
}

static void
a_good_chain_verifies_and_goes_on(void **state)
{
	struct chainlog_head head;
	struct chainlog *c;
	uint64_t line;

	(void)state;
	fill(5);
	assert_int_equal(verify(&line, &head, "s-1"), 0);
	assert_int_equal(head.seq, 5);
	assert_int_equal(reopen(&c), 0);
	assert_memory_equal(chainlog_head(c).hash, head.hash, CHAINLOG_HASH);
	assert_int_equal(chainlog_append(c, span_str("\"a\":1")), 0);
	chainlog_free(c);
	assert_int_equal(verify(&line, &head, "s-1"), 0);
	assert_int_equal(head.seq, 6);
	assert_int_equal(verify(&line, &head, "s-2"), ERR_CRYPTO);
	assert_int_equal(line, 1);
}

static int
open_part(const char *part, int before, struct chainlog **c)
{
	return chainlog_open(
	    open(part, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600), before,
	    "s-1", c);
}

static void
a_chain_goes_on_in_another_file(void **state)
{
	struct chainlog_head first, before, last, head;
	char next[80], why[128];
	struct chainlog *c;
	uint64_t line;

	(void)state;
	fill(3);
	(void)snprintf(next, sizeof(next), "%s.2", path);
	unlink(next);
	assert_int_equal(reopen(&c), 0);
	/* Not into a file that has something in it. */
	assert_int_equal(
	    chainlog_next(c, open(path, O_RDWR | O_APPEND)), ERR_ARGUMENT);
	assert_int_equal(chainlog_append(c, span_str("\"a\":4")), 0);
	first = chainlog_head(c);
	assert_int_equal(
	    chainlog_next(c, open(next, O_RDWR | O_APPEND | O_CREAT, 0600)), 0);
	assert_int_equal(chainlog_bytes(c), 0);
	chainlog_free(c); /* died before a line was in it */
	int fd = open(path, O_RDONLY);
	assert_int_equal(open_part(next, fd, &c), 0);
	assert_int_equal(chainlog_head(c).seq, 4);
	assert_int_equal(chainlog_append(c, span_str("\"a\":5")), 0);
	chainlog_free(c);
	assert_int_equal(open_part(next, fd, &c), 0);
	assert_int_equal(chainlog_head(c).seq, 5);
	chainlog_free(c);
	assert_int_equal(open_part(next, -1, &c), ERR_CRYPTO);
	int second = open(next, O_RDONLY);
	assert_int_equal(chainlog_ends(second, &before, &last), 0);
	assert_int_equal(before.seq, 4);
	assert_memory_equal(before.hash, first.hash, CHAINLOG_HASH);
	FILE *f = fdopen(second, "r");
	assert_int_equal(chainlog_verify(f, "s-1", &first, NULL, NULL, &head,
			     &line, why, sizeof(why)),
	    0);
	assert_memory_equal(head.hash, last.hash, CHAINLOG_HASH);
	rewind(f);
	first.hash[0] ^= 1;
	assert_int_equal(chainlog_verify(f, "s-1", &first, NULL, NULL, &head,
			     &line, why, sizeof(why)),
	    ERR_CRYPTO);
	fclose(f);
	close(fd);
	unlink(next);
}

static void
every_flipped_byte_is_found(void **state)
{
	char text[4096];
	struct chainlog_head head;
	uint64_t line;

	(void)state;
	fill(3);
	size_t n = slurp(text, sizeof(text));
	struct chainlog_head whole;
	assert_int_equal(verify(&line, &whole, "s-1"), 0);
	for (size_t i = 0; i < n; i++) {
		text[i] ^= 1;
		spill(text, n);
		/* In the last line only an anchor can tell. */
		int r = verify(&line, &head, "s-1");
		assert_true(r != 0 ||
			    memcmp(head.hash, whole.hash, CHAINLOG_HASH) != 0);
		text[i] ^= 1;
	}
}

static void
removed_and_moved_lines_are_found(void **state)
{
	char text[4096], *at[4];
	struct chainlog_head head;
	struct chainlog *c;
	uint64_t line = 0;

	(void)state;
	fill(3);
	size_t n = slurp(text, sizeof(text));
	at[0] = text;
	for (int i = 1; i < 4; i++)
		at[i] = strchr(at[i - 1], '\n') + 1;
	char cut[4096];
	size_t head_n = (size_t)(at[1] - text);
	memcpy(cut, text, head_n); /* the second is missing */
	memcpy(cut + head_n, at[2], n - (size_t)(at[2] - text));
	spill(cut, head_n + n - (size_t)(at[2] - text));
	assert_int_equal(verify(&line, &head, "s-1"), ERR_CRYPTO);
	assert_int_equal(line, 2);
	assert_int_equal(reopen(&c), ERR_CRYPTO);
	spill(at[1], n - head_n); /* the first is missing */
	assert_int_equal(verify(&line, &head, "s-1"), ERR_CRYPTO);
	assert_int_equal(line, 1);
	spill(text, n - 20); /* torn: no newline */
	assert_int_equal(verify(&line, &head, "s-1"), ERR_FORMAT);
	assert_int_equal(line, 3);
}

static void
a_torn_line_is_cut_and_written_again(void **state)
{
	char text[4096];
	struct chainlog_head head;
	struct chainlog *c;
	uint64_t line;

	(void)state;
	fill(3);
	size_t n = slurp(text, sizeof(text));
	for (size_t torn = 1; torn < 60; torn++) {
		spill(text, n - torn);
		assert_int_equal(reopen(&c), 0);
		assert_int_equal(chainlog_head(c).seq, 2);
		assert_int_equal(chainlog_append(c, span_str("\"x\":1")), 0);
		chainlog_free(c);
		assert_int_equal(verify(&line, &head, "s-1"), 0);
	}
	spill("garbage without end", 19);
	assert_int_equal(reopen(&c), 0);
	assert_int_equal(chainlog_head(c).seq, 0);
	chainlog_free(c);
}

static void
long_lines_keep_chaining(void **state)
{
	static char big[CHAINLOG_LINE_MAX];
	struct chainlog *c;
	size_t fits = CHAINLOG_LINE_MAX - 80;

	(void)state;
	fill(0);
	memset(big, 'a', sizeof(big));
	memcpy(big, "\"x\":\"", 5);
	assert_int_equal(reopen(&c), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(chainlog_append(c, span_of(big, fits)), 0);
		chainlog_free(c);
		assert_int_equal(reopen(&c), 0);
		assert_int_equal(chainlog_head(c).seq, i + 1);
	}
	assert_int_equal(
	    chainlog_append(c, span_of(big, sizeof(big))), ERR_TOO_BIG);
	assert_int_equal(
	    chainlog_append(c, span_str("\"a\":1}\n{\"b\":1")), ERR_FORMAT);
	assert_false(chainlog_failed(c));
	chainlog_free(c);
}

static void
a_failed_write_is_final(void **state)
{
	struct rlimit old, small;
	struct chainlog *c;

	(void)state;
	fill(2);
	assert_int_equal(reopen(&c), 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 200; /* in the middle of the third line */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int r = chainlog_append(c, span_str("\"a\":1"));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(r, ERR_IO);
	assert_true(chainlog_failed(c));
	assert_int_equal(chainlog_append(c, span_str("\"a\":1")), ERR_IO);
	assert_int_equal(chainlog_sync(c), ERR_IO);
	chainlog_free(c);
}

static void
only_append_only_regular_files(void **state)
{
	struct chainlog *c;

	(void)state;
	fill(0);
	assert_int_equal(
	    chainlog_open(open(path, O_RDWR), -1, "s-1", &c), ERR_ARGUMENT);
	assert_int_equal(
	    chainlog_open(open("/dev/null", O_RDWR | O_APPEND), -1, "s-1", &c),
	    ERR_ARGUMENT);
}

static void
strings_are_plain_ascii(void **state)
{
	static const struct {
		const char *in;
		size_t max;
		const char *out;
	} rows[] = {
	    {"plain", 99, "\"plain\""},
	    {"a\"b\\c", 99, "\"a\\\"b\\\\c\""},
	    {"\n\x1b[31m", 99, "\"\\u000a\\u001b[31m\""},
	    {"\xe2\x80\xae", 99, "\"\\u202e\""}, /* bidi override */
	    {"\xf0\x9f\x98\x80", 99, "\"\\ud83d\\ude00\""},
	    {"\xff\xe2\x80", 99, "\"\\u00ff\\u00e2\\u0080\""},
	    {"\xc0\x80", 99, "\"\\u00c0\\u0080\""},
	    {"\xed\xa0\x80", 99, "\"\\u00ed\\u00a0\\u0080\""},
	    {"ab\xe2\x80\xae", 4, "\"ab\""}, /* not inside a character */
	    {"abcdef", 3, "\"abc\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf *b = buf_new(1024);
		assert_int_equal(
		    chainlog_put_string(b, span_str(rows[i].in), rows[i].max),
		    0);
		assert_true(span_is(buf_span(b), rows[i].out));
		buf_free(b);
	}
	for (int c = 0; c < 256; c++) {
		uint8_t byte = (uint8_t)c;
		struct buf *b = buf_new(64);
		assert_int_equal(
		    chainlog_put_string(b, span_of(&byte, 1), 9), 0);
		struct span s = buf_span(b);
		for (size_t i = 0; i < s.n; i++)
			assert_true(s.p[i] >= 0x20 && s.p[i] < 0x7f);
		buf_free(b);
	}
}

static int
clean(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_good_chain_verifies_and_goes_on),
	    cmocka_unit_test(a_chain_goes_on_in_another_file),
	    cmocka_unit_test(every_flipped_byte_is_found),
	    cmocka_unit_test(removed_and_moved_lines_are_found),
	    cmocka_unit_test(a_torn_line_is_cut_and_written_again),
	    cmocka_unit_test(long_lines_keep_chaining),
	    cmocka_unit_test(a_failed_write_is_final),
	    cmocka_unit_test(only_append_only_regular_files),
	    cmocka_unit_test(strings_are_plain_ascii),
	};

	return sodium_init() < 0 || cmocka_run_group_tests(tests, NULL, clean);
}
