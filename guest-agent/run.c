/* SPDX-License-Identifier: ISC */
/*
 * `serve` and `run`: a bridge, and for `run` a command beside it. This
 * process is the bridge and the command its child.
 * Trusts its own child as little as anything in the guest; signals to us
 * are passed on to it.
 * It ends with the command, and with its status.
 */
#include "guest-agent/verbs.h"

#include "guest-agent/bridge.h"
#include "guest-agent/files.h"
#include "guest-agent/loopback.h"
#include "guest-agent/nest.h"
#include "guest-agent/notify.h"
#include "guest-agent/session.h"
#include "guest-agent/text.h"
#include "guest-agent/vars.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

static const int passed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1,
    SIGUSR2, SIGWINCH, SIGCONT, SIGALRM};

struct running {
	int signals; /* signalfd */
	pid_t command;
	int status; /* of the command, as waitpid gives it */
	bool ended;
};

/* Signals come by fd; old: what the command gets back. */
static int
signals_open(sigset_t *old, int status)
{
	sigset_t all;
	int fd;

	sigemptyset(&all);
	/* Default for the command too: `hatcheck run` starts us with some
	 * ignored, to keep them from what stands between it and us. */
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++) {
		sigaddset(&all, passed_on[i]);
		signal(passed_on[i], SIG_DFL);
	}
	sigaddset(&all, SIGCHLD);
	sigprocmask(SIG_BLOCK, &all, old);
	signal(SIGPIPE, SIG_IGN);
	/* An ignored SIGCHLD would let the command's status vanish. */
	signal(SIGCHLD, SIG_DFL);
	fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		die(status, "signalfd: %s", strerror(errno));
	return fd;
}

/* As PID 1 of a container we inherit strangers: reap them too. */
static void
reap(struct running *r)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != r->command)
			continue;
		r->status = status;
		r->ended = true;
	}
}

/* What the terminal sends goes to the whole foreground group, so the
 * command has it already. */
static void
pass_on(const struct running *r, const struct signalfd_siginfo *s)
{
	if (s->ssi_code == SI_KERNEL)
		return;
	/* It may have ended a moment ago. */
	(void)kill(r->command, (int)s->ssi_signo);
}

static bool
run_ready(void *arg)
{
	struct signalfd_siginfo s;
	struct running *r = arg;

	while (read(r->signals, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
		if (s.ssi_signo == SIGCHLD)
			reap(r);
		else
			pass_on(r, &s);
	}
	return !r->ended;
}

static bool
serve_ready(void *arg)
{
	struct signalfd_siginfo s;
	struct running *r = arg;

	while (read(r->signals, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
		if (s.ssi_signo == SIGCHLD)
			reap(r);
		else if (s.ssi_signo == SIGINT || s.ssi_signo == SIGTERM ||
			 s.ssi_signo == SIGHUP || s.ssi_signo == SIGQUIT)
			r->ended = true;
	}
	return !r->ended;
}

static struct bridge *
bridge_or_die(
    const struct options *o, int port, const struct session *s, int status)
{
	struct bridge *b = bridge_open(&o->channel, port, &s->token);

	if (b == NULL)
		die(status, "cannot listen on 127.0.0.1:%d: %s", port,
		    strerror(errno));
	return b;
}

_Noreturn static void
command(char **words, const sigset_t *mask)
{
	int status;

	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(words[0], words);
	status = errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
	warn("%s: %s", words[0], strerror(errno));
	_exit(status);
}

/* Hand the session to a client's eyes: files and variables. */
static void
dress(const struct options *o, const struct files *f, struct bridge *b,
    const struct session *s)
{
	struct vars v;

	files_write(f, s->root, bridge_port(b));
	vars_make(&v, f, bridge_port(b), &o->channel, s->document);
	vars_apply(&v);
	vars_free(&v);
}

/* The session token dies with the command; the session may live on. */
static void
farewell(const struct options *o, struct bridge *b, const struct files *f)
{
	const char *token = bridge_token(b);
	char *copy = token == NULL ? NULL : text_copy(token, strlen(token));

	bridge_close(b);
	if (copy != NULL) {
		api_revoke(&o->channel, copy);
		text_wipe(copy, strlen(copy));
		free(copy);
	}
	files_remove(f);
}

static int
exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

/* ---- run --allow: a sub-agent, kept apart (nest.h) ---- */

struct inner {
	const struct options *o;
	const struct files *files;
	struct session *session;
};

/* The first process in there: it reaps, passes signals on, and all of them
 * end with it. */
static int
inner_run(void *arg, int port)
{
	struct inner *in = arg;
	struct running r = {0};
	struct pollfd p = {.events = POLLIN};
	struct vars v;
	sigset_t mask;

	files_write(in->files, in->session->root, port);
	vars_make(&v, in->files, port, &in->o->channel,
	    in->session->document);
	vars_apply(&v);
	vars_free(&v);
	session_free(in->session); /* the token is not for in there */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* nor what else we know */
	p.fd = r.signals = signals_open(&mask, EXIT_RUN);
	r.command = fork();
	if (r.command == 0) {
		if (nest_seal() != 0)
			die(EXIT_RUN, "privileges cannot be dropped: %s",
			    strerror(errno));
		command(in->o->words, &mask);
	}
	if (r.command < 0)
		die(EXIT_RUN, "fork: %s", strerror(errno));
	while (run_ready(&r))
		(void)poll(&p, 1, -1);
	return exit_status(r.status);
}

static int
run_narrow(const struct options *o)
{
	struct text details = {0};
	struct running r = {0};
	struct session s = {.act = o->as};
	struct files f;
	struct nest n;
	struct bridge *b;
	struct inner in = {o, &f, &s};
	sigset_t mask;

	allow_details(o->allow, o->n_allow, o->ttl, &details);
	s.details = details.p;
	session_fetch(
	    &s, &o->channel, o->wait < 0 ? RUN_WAIT : o->wait, EXIT_RUN);
	files_fresh(&f, EXIT_RUN);
	nest_start(&n, &o->channel, inner_run, &in, EXIT_RUN);
	r.signals = signals_open(&mask, EXIT_RUN);
	r.command = n.pid;
	b = bridge_over(&o->channel, n.listener, n.port, &s.token);
	if (b == NULL)
		die(EXIT_RUN, "no bridge: %s", strerror(errno));
	session_free(&s);
	text_free(&details);
	nest_go(&n);
	bridge_serve(b, r.signals, run_ready, &r);
	farewell(o, b, &f);
	return exit_status(r.status);
}

int
verb_run(const struct options *o)
{
	struct running r = {0};
	struct session s = {0};
	struct files f;
	struct bridge *b;
	sigset_t mask;

	if (o->n_allow > 0)
		return run_narrow(o);
	if (o->ttl != NULL || o->as != NULL)
		die(EXIT_USAGE, "--ttl and --as go with --allow");
	loopback_up(EXIT_RUN);
	session_fetch(
	    &s, &o->channel, o->wait < 0 ? RUN_WAIT : o->wait, EXIT_RUN);
	b = bridge_or_die(o, 0, &s, EXIT_RUN);
	files_fresh(&f, EXIT_RUN);
	dress(o, &f, b, &s);
	session_free(&s);
	r.signals = signals_open(&mask, EXIT_RUN);
	r.command = fork();
	if (r.command == 0)
		command(o->words, &mask);
	if (r.command < 0) {
		files_remove(&f);
		die(EXIT_RUN, "fork: %s", strerror(errno));
	}
	bridge_serve(b, r.signals, run_ready, &r);
	farewell(o, b, &f);
	return exit_status(r.status);
}

static int
port_number(const char *s)
{
	char *end;
	long n = s == NULL ? SERVE_PORT : strtol(s, &end, 10);

	if (s != NULL && (*s < '0' || *s > '9' || *end != '\0' || n > 65535))
		die(EXIT_USAGE, "--port: a number from 0 to 65535 is wanted");
	return (int)n;
}

static void
print_env(const struct options *o, const struct files *f, int port,
    const struct json *doc)
{
	struct vars v;

	vars_make(&v, f, port, &o->channel, doc);
	(void)vars_print(&v, "sh"); /* a shell that exists */
	fflush(stdout);
	vars_free(&v);
}

int
verb_serve(const struct options *o)
{
	struct running r = {0};
	struct session s = {0};
	struct files f;
	struct bridge *b;
	sigset_t mask;
	int port = port_number(o->port);

	files_find(&f);
	files_claim(&f);
	loopback_up(EXIT_FAILED);
	session_fetch(
	    &s, &o->channel, o->wait < 0 ? SERVE_WAIT : o->wait, EXIT_FAILED);
	b = bridge_or_die(o, port, &s, EXIT_FAILED);
	files_write(&f, s.root, bridge_port(b));
	r.signals = signals_open(&mask, EXIT_FAILED);
	if (o->print_env)
		print_env(o, &f, bridge_port(b), s.document);
	else
		warn("serving on 127.0.0.1:%d", bridge_port(b));
	notify_ready();
	session_free(&s);
	bridge_serve(b, r.signals, serve_ready, &r);
	farewell(o, b, &f);
	return 0;
}
