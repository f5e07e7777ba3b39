/* SPDX-License-Identifier: ISC */
/* What for: stand between the user's terminal and the sandbox. Trusts:
 * bwrap, for the pid of the agent and the exit status. At a bound (bwrap
 * says too much): its words are dropped, and the command counts as never
 * begun. */
#include "cli/run_watch.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TOLD_MAX 4096
/* What heeds no SIGTERM or SIGHUP may go on this long, or until a second
 * one: the end must be ours, with what is held back then, and not that of
 * a user who kills us in the end. */
#define GRACE_MS 10000

static const int passed_on[] = {
    SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

struct watch {
	const struct sandbox_run *run;
	struct pty *pty;
	int signals;
	char told[TOLD_MAX]; /* by bwrap */
	size_t n_told;
	int info;  /* -1 once it was closed */
	int agent; /* pidfd, -1 not yet known */
	int early; /* a signal that came before that, 0 none */
	int64_t deadline; /* 0: it may live */
	bool ended;
	int status; /* of bwrap */
};

int
watch_signals(int *fd)
{
	sigset_t set;
	int out;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		sigaddset(&set, passed_on[i]);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGWINCH);
	/* An ignored SIGCHLD would let the status vanish. */
	if (signal(SIGCHLD, SIG_DFL) == SIG_ERR ||
	    sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return ERR_IO;
	out = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (out < 0)
		return ERR_IO;
	*fd = out;
	return 0;
}

/* The number behind "key": in bwrap's words, which are JSON objects of one
 * level with numbers only. */
static bool
told_number(const struct watch *w, const char *key, long *out)
{
	const char *at = strstr(w->told, key);

	if (at == NULL)
		return false;
	at += strlen(key);
	at += strspn(at, "\": ");
	*out = strtol(at, NULL, 10);
	return *at >= '0' && *at <= '9';
}

static void
send_agent(struct watch *w, int number)
{
	/* It may have ended a moment ago. */
	if (w->agent >= 0)
		(void)syscall(SYS_pidfd_send_signal, w->agent, number, NULL, 0);
	else
		w->early = number;
}

static void
listen_to(struct watch *w)
{
	ssize_t n =
	    read(w->info, w->told + w->n_told, sizeof(w->told) - 1 - w->n_told);
	long pid;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		w->info = -1; /* the caller's to close */
		return;
	}
	w->n_told += (size_t)n;
	w->told[w->n_told] = '\0';
	if (w->agent < 0 && strchr(w->told, '\n') != NULL &&
	    told_number(w, "child-pid", &pid)) {
		w->agent = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
		if (w->agent >= 0 && w->early != 0)
			send_agent(w, w->early);
	}
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* SIGKILL to the first process of a pid namespace ends all in it. */
static void
pass_on(struct watch *w, int number)
{
	bool last = number == SIGTERM || number == SIGHUP;

	send_agent(w, last && w->deadline != 0 ? SIGKILL : number);
	if (last && w->deadline == 0)
		w->deadline = now_ms() + GRACE_MS;
}

static int
patience(struct watch *w)
{
	int64_t left = w->deadline - now_ms();

	if (w->deadline == 0)
		return -1;
	if (left > 0)
		return (int)left;
	send_agent(w, SIGKILL);
	w->deadline = now_ms() + GRACE_MS; /* again, if need be */
	return GRACE_MS;
}

static void
hear(struct watch *w)
{
	struct signalfd_siginfo s;
	int status;

	while (read(w->signals, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
		if (s.ssi_signo == SIGWINCH) {
			pty_resize(w->pty);
		} else if (s.ssi_signo != SIGCHLD) {
			pass_on(w, (int)s.ssi_signo);
		} else if (waitpid(w->run->bwrap, &status, WNOHANG) ==
			   w->run->bwrap) {
			w->ended = true;
			w->status = status;
		}
	}
}

static void
turn(struct watch *w)
{
	struct pollfd p[5];

	pty_poll(w->pty, p);
	p[3] = (struct pollfd){.fd = w->signals, .events = POLLIN};
	p[4] = (struct pollfd){.fd = w->info, .events = POLLIN};
	if (poll(p, 5, patience(w)) < 0)
		return; /* EINTR: a signal that is not ours */
	pty_step(w->pty, p);
	if (p[4].revents != 0)
		listen_to(w);
	if (p[3].revents != 0)
		hear(w);
}

int
watch_run(const struct sandbox_run *run, struct pty *pty, int signals,
    int *status, struct cli_error *e)
{
	struct watch w = {.run = run,
	    .pty = pty,
	    .signals = signals,
	    .info = run->info,
	    .agent = -1};
	long code;

	while (!w.ended)
		turn(&w);
	while (w.info >= 0)
		listen_to(&w);
	if (w.agent >= 0)
		close(w.agent);
	if (!told_number(&w, "exit-code", &code) && WIFSIGNALED(w.status))
		code = 128 + WTERMSIG(w.status);
	else if (!told_number(&w, "exit-code", &code))
		return cli_error(e, CLI_RUN_FAILED, "start the sandbox",
		    "hatcheck doctor", "bubblewrap could not set it up");
	*status = (int)code;
	return 0;
}
