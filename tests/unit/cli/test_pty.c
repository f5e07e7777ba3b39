/* SPDX-License-Identifier: ISC */
/*
 * The relayed terminal: a child whose 0 to 2 are a terminal of ours starts
 * a command behind pty.h, as `hatcheck run` does but without the sandbox.
 */
#include "cli/pty.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>

#include <cmocka.h>

static struct termios modes; /* of the user's terminal, at the start */

_Noreturn static void
command(const struct pty *p, const char *script)
{
	if (setsid() < 0 || pty_enter(p) != 0)
		_exit(99);
	execl("/bin/sh", "sh", "-c", script, (char *)NULL);
	_exit(98);
}

/* What `hatcheck run` does around its command. */
_Noreturn static void
relay(const char *script)
{
	struct termios after;
	struct pollfd slots[3];
	struct pty p;
	int status = 0;
	pid_t pid;

	if (pty_open(&p) != 0)
		_exit(97);
	pid = fork();
	if (pid == 0)
		command(&p, script);
	if (pty_relay(&p) != 0)
		_exit(96);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		pty_poll(&p, slots);
		(void)poll(slots, 3, 10);
		pty_step(&p, slots);
		pty_resize(&p);
	}
	pty_close(&p);
	if (tcgetattr(0, &after) != 0 || after.c_lflag != modes.c_lflag ||
	    after.c_iflag != modes.c_iflag || after.c_oflag != modes.c_oflag)
		_exit(95);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 94);
}

struct session {
	pid_t pid;
	int master;
	char out[1 << 20];
	size_t n;
};

static void
begin(struct session *s, const char *script)
{
	struct winsize size = {.ws_row = 33, .ws_col = 111};
	int slave;

	*s = (struct session){0};
	assert_int_equal(openpty(&s->master, &slave, NULL, NULL, &size), 0);
	assert_int_equal(tcgetattr(slave, &modes), 0);
	s->pid = fork();
	if (s->pid == 0) {
		/* A shell's background jobs are born deaf to Ctrl-C. */
		(void)signal(SIGINT, SIG_DFL);
		(void)signal(SIGQUIT, SIG_DFL);
		close(s->master);
		if (login_tty(slave) != 0)
			_exit(93);
		relay(script);
	}
	close(slave);
}

/* Read until text was seen, or the end. */
static bool
until(struct session *s, const char *text)
{
	ssize_t n = 1;

	while (n > 0 && s->n < sizeof(s->out) - 1) {
		struct pollfd p = {.fd = s->master, .events = POLLIN};

		if (text != NULL && strstr(s->out, text) != NULL)
			return true;
		if (poll(&p, 1, 20000) <= 0)
			return false;
		n = read(s->master, s->out + s->n, sizeof(s->out) - 1 - s->n);
		s->n += n > 0 ? (size_t)n : 0;
	}
	return text == NULL;
}

static void
type(struct session *s, const char *text)
{
	assert_int_equal(
	    write(s->master, text, strlen(text)), (ssize_t)strlen(text));
}

static int
end(struct session *s)
{
	int status;

	(void)until(s, NULL);
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	close(s->master);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static struct session s;

static void
test_lines(void **state)
{
	(void)state;
	begin(&s, "stty size; echo ready; read x; echo \"got <$x>\"; exit 7");
	assert_true(until(&s, "33 111"));
	assert_true(until(&s, "ready"));
	type(&s, "hello\r");
	assert_true(until(&s, "got <hello>"));
	assert_int_equal(end(&s), 7);
}

/* Keys make signals in the command's terminal, not in the user's. */
static void
test_interrupt(void **state)
{
	(void)state;
	begin(&s, "trap 'echo caught; exit 5' INT; echo ready; "
		  "while :; do sleep 0.05; done");
	assert_true(until(&s, "ready"));
	type(&s, "\003");
	assert_true(until(&s, "caught"));
	assert_int_equal(end(&s), 5);
}

static void
test_resize(void **state)
{
	struct winsize size = {.ws_row = 10, .ws_col = 20};

	(void)state;
	begin(&s, "trap 'stty size; exit 0' WINCH; echo ready; "
		  "while :; do sleep 0.05; done");
	assert_true(until(&s, "ready"));
	assert_int_equal(ioctl(s.master, TIOCSWINSZ, &size), 0);
	assert_true(until(&s, "10 20"));
	assert_int_equal(end(&s), 0);
}

static void
test_much(void **state)
{
	(void)state;
	begin(&s, "stty -opost; i=0; while [ $i -lt 20000 ]; do "
		  "echo 0123456789012345678; i=$((i+1)); done; echo last");
	assert_int_equal(end(&s), 0);
	assert_non_null(strstr(s.out, "last"));
	assert_true(s.n >= 400000);
}

/* The command's terminal is another one, and its own. */
static void
test_other_terminal(void **state)
{
	(void)state;
	begin(&s, "tty > /dev/null && : < /dev/tty && stty raw && echo done");
	assert_true(until(&s, "done"));
	assert_int_equal(end(&s), 0);
}

static void
test_none(void **state)
{
	struct pty p;
	int fd = open("/dev/null", O_RDWR), saved[3];

	(void)state;
	fflush(stdout);
	for (int i = 0; i < 3; i++) {
		saved[i] = dup(i);
		dup2(fd, i);
	}
	int r = pty_open(&p);
	for (int i = 0; i < 3; i++) {
		dup2(saved[i], i);
		close(saved[i]);
	}
	close(fd);
	assert_int_equal(r, 0);
	assert_int_equal(p.screen, -1);
	pty_close(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_interrupt),
	    cmocka_unit_test(test_resize),
	    cmocka_unit_test(test_much),
	    cmocka_unit_test(test_other_terminal),
	    cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests_name("pty", tests, NULL, NULL);
}
