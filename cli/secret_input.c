/* SPDX-License-Identifier: ISC */
/* What for: taking secrets in. Trusts: the terminal, pipe or file that the
 * user named. At a bound: refuses what is longer than KEEP_MAX. */
#include "cli/secret_input.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define WHAT "read the secret"

/* Read until the end of the file, or until the first newline. */
static int
fill(int fd, bool line, uint8_t *p, size_t max, size_t *n)
{
	*n = 0;
	for (;;) {
		if (*n == max)
			return ERR_TOO_BIG;
		ssize_t got = read(fd, p + *n, line ? 1 : max - *n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ERR_IO;
		if (got == 0)
			return 0;
		*n += (size_t)got;
		if (line && p[*n - 1] == '\n')
			return 0;
	}
}

static int
explain(struct cli_error *e, int err)
{
	if (err == ERR_TOO_BIG)
		return cli_error(e, CLI_FAILED, WHAT, NULL,
		    "it is longer than %d bytes", KEEP_MAX);
	if (err == ERR_NOMEM)
		return cli_error(e, CLI_FAILED, WHAT,
		    "hatcheck doctor (see RLIMIT_MEMLOCK)",
		    "no memory could be locked for it");
	return cli_error(e, CLI_FAILED, WHAT, NULL, "%s", strerror(errno));
}

/* One byte more than fits, so that too long shows; it goes in two parts
 * because a keep holds KEEP_MAX at most. */
static int
read_keep(
    int fd, bool line, bool cut_newline, struct keep **out, struct cli_error *e)
{
	struct keep *room = NULL;
	size_t n;
	uint8_t extra;
	int r = keep_blank(KEEP_MAX, &room);

	if (r == 0)
		r = fill(fd, line, keep_bytes(room), KEEP_MAX, &n);
	if (r == ERR_TOO_BIG && !line && read(fd, &extra, 1) == 0) {
		n = KEEP_MAX;
		r = 0;
	}
	if (r != 0) {
		(void)explain(e, r);
		goto out;
	}
	if (cut_newline && n > 0 && keep_bytes(room)[n - 1] == '\n')
		n--;
	if (n == 0)
		(void)cli_error(e, CLI_FAILED, WHAT, NULL, "it is empty");
	else if ((r = keep_new(keep_bytes(room), n, out)) != 0)
		(void)explain(e, r);
out:
	keep_free(room);
	return e->code;
}

int
secret_read_fd(int fd, bool cut_newline, struct keep **out, struct cli_error *e)
{
	e->code = 0;
	return read_keep(fd, false, cut_newline, out, e);
}

static int
read_file(const char *path, struct keep **out, struct cli_error *e)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return cli_error(
		    e, CLI_FAILED, WHAT, NULL, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & 0077) != 0)
		(void)fprintf(stderr,
		    "hatcheck: others may read that file too (mode %04o)\n",
		    (unsigned)(st.st_mode & 07777));
	(void)secret_read_fd(fd, false, out, e);
	close(fd);
	return e->code;
}

/* The terminal as it was, put back when a signal ends us while it does not
 * echo. */
static struct termios saved;
static volatile sig_atomic_t silent;

static void
on_signal(int number)
{
	if (silent)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

static int
read_terminal(const char *prompt, const char *again, struct keep **out,
    struct cli_error *e)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct termios quiet;

	e->code = 0;
	if (tcgetattr(STDIN_FILENO, &saved) != 0)
		return cli_error(
		    e, CLI_FAILED, WHAT, NULL, "%s", strerror(errno));
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)signal(signals[i], on_signal);
	quiet = saved;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	silent = 1;
	/* TCSAFLUSH drops what was typed while it still echoed. */
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) != 0) {
		silent = 0;
		return cli_error(e, CLI_FAILED, WHAT, NULL,
		    "the terminal's echo cannot be turned off");
	}
	(void)fprintf(stderr, "%s%s: ", prompt, again);
	(void)read_keep(STDIN_FILENO, true, true, out, e);
	(void)fputc('\n', stderr);
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	silent = 0;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)signal(signals[i], SIG_DFL);
	return e->code;
}

static int
read_twice(
    const struct secret_input *in, struct keep **out, struct cli_error *e)
{
	struct keep *first = NULL, *second = NULL;

	if (read_terminal(in->prompt, "", &first, e) != 0 ||
	    read_terminal(in->prompt, " (again)", &second, e) != 0)
		goto out;
	if (!keep_eq(first, keep_reveal(second))) {
		(void)cli_error(
		    e, CLI_FAILED, WHAT, NULL, "the two are not the same");
		goto out;
	}
	*out = first;
	first = NULL;
out:
	keep_free(first);
	keep_free(second);
	return e->code;
}

int
secret_read(
    const struct secret_input *in, struct keep **out, struct cli_error *e)
{
	e->code = 0;
	if (in->file != NULL && strcmp(in->file, "-") != 0)
		return read_file(in->file, out, e);
	if (in->file != NULL || !isatty(STDIN_FILENO))
		return secret_read_fd(STDIN_FILENO, true, out, e);
	if (in->twice)
		return read_twice(in, out, e);
	return read_terminal(in->prompt, "", out, e);
}

/* Letters of both cases and digits, mixed and long, without the marks of a
 * path, a host, a rule or a sentence. */
static bool
looks_random(const char *s)
{
	size_t n = 0, upper = 0, lower = 0, digit = 0;

	for (; *s != '\0'; s++, n++) {
		uint8_t c = (uint8_t)*s;
		if (isupper(c))
			upper++;
		else if (islower(c))
			lower++;
		else if (isdigit(c))
			digit++;
		else if (strchr("-_+=", c) == NULL)
			return false;
	}
	bool mixed = upper >= 4 && lower >= 4 && digit >= 2;
	bool solid =
	    upper + lower + digit == n && upper + lower >= 4 && digit >= 4;
	return n >= 32 && (mixed || solid);
}

bool
secret_looks_like(const char *text)
{
	static const char *const prefixes[] = {"sk-", "sk_live_", "sk_test_",
	    "rk_live_", "rk_test_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_",
	    "github_pat_", "glpat-", "xoxb-", "xoxp-", "xoxa-", "xapp-", "AKIA",
	    "ASIA", "hf_", "npm_", "pypi-", "dckr_pat_", "AIza", "ya29.", "eyJ",
	    "-----BEGIN"};
	size_t n = strlen(text);

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t k = strlen(prefixes[i]);
		if (n >= k + 12 && strncmp(text, prefixes[i], k) == 0)
			return true;
	}
	return looks_random(text);
}
