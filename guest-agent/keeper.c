/* SPDX-License-Identifier: ISC */
/*
 * When to renew, and a helper process that does it.
 * Trusts the helper, which is this program; half an answer is a failure.
 * A helper that hangs is ended by its own alarm; failures back off to 10 s.
 */
#include "guest-agent/keeper.h"

#include "guest-agent/http.h"
#include "guest-agent/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_FIRST 250
#define PAUSE_LAST 10000
#define BEYOND_DOUBT 1000 /* ms: for which a successor is not doubted */

long long
keeper_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* 0 to most - 1: for jitter only. */
static long long
jitter(long long most)
{
	unsigned r = 0;

	/* Without entropy there is no jitter; nothing else hangs on it. */
	(void)!getrandom(&r, sizeof(r), GRND_NONBLOCK);
	return most > 0 ? (long long)(r % (unsigned long long)most) : 0;
}

static void
keep(struct keeper *k, const struct api_token *t)
{
	long long now = keeper_now(), life = t->lifetime * 1000;

	k->token = *t;
	k->since = now;
	k->expires = now + life;
	k->next = now + life * 2 / 3 - jitter(life / 10);
	k->pause = 0;
	k->renew = true;
	k->refused = false;
	k->successor = k->doubted;
	k->doubted = false;
	if (k->told)
		warn("the host answers again");
	k->told = false;
}

void
keeper_start(
    struct keeper *k, const struct channel *c, const struct api_token *first)
{
	*k = (struct keeper){.channel = c, .fd = -1};
	if (first != NULL)
		keep(k, first);
}

int
keeper_fd(const struct keeper *k)
{
	return k->fd;
}

int
keeper_wait(const struct keeper *k)
{
	long long ms = k->next - keeper_now();

	if (k->helper != 0)
		return -1;
	return ms <= 0 ? 0 : ms > 60000 ? 60000 : (int)ms;
}

_Noreturn static void
helper(struct keeper *k, int fd, pid_t parent)
{
	struct keeper_answer *a = &k->answer;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGALRM, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	alarm(HTTP_DEADLINE / 1000 + 5);
	a->result = API_REFUSED;
	if (k->narrow && !k->renew)
		snprintf(a->why.text, sizeof(a->why.text),
		    "the sub-agent's time is over");
	else
		a->result = api_token(k->channel,
		    k->renew ? k->token.text : NULL, &a->token, &a->why);
	/* Larger than a pipe's atomic write, smaller than its buffer. */
	_exit(write(fd, a, sizeof(*a)) == (ssize_t)sizeof(*a) ? 0 : 1);
}

static void
failed(struct keeper *k, const char *why)
{
	k->pause = k->pause == 0	       ? PAUSE_FIRST
		   : k->pause * 2 > PAUSE_LAST ? PAUSE_LAST
					       : k->pause * 2;
	k->next = keeper_now() + k->pause + jitter(k->pause / 4);
	if (!k->told)
		warn("no new token: %s; trying on", why);
	k->told = true;
}

static void
ask(struct keeper *k)
{
	pid_t me = getpid();
	int p[2];

	if (k->expires <= keeper_now())
		k->renew = false;
	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) != 0) {
		failed(k, strerror(errno));
		return;
	}
	memset(&k->answer, 0, sizeof(k->answer));
	k->helper = fork();
	if (k->helper == 0)
		helper(k, p[1], me);
	close(p[1]);
	if (k->helper < 0) {
		k->helper = 0;
		close(p[0]);
		failed(k, strerror(errno));
		return;
	}
	k->fd = p[0];
	k->got = 0;
}

static void
answered(struct keeper *k)
{
	struct keeper_answer *a = &k->answer;

	close(k->fd);
	k->fd = -1;
	/* ECHILD when whoever runs us reaps everything. */
	(void)waitpid(k->helper, NULL, 0);
	k->helper = 0;
	if (k->got != sizeof(*a)) {
		failed(k, "the helper ended early");
	} else if (a->result == API_OK) {
		keep(k, &a->token);
	} else {
		k->refused = a->result == API_REFUSED;
		if (k->refused && k->renew) {
			/* The family is gone: begin another, at once. */
			k->renew = false;
			k->next = keeper_now();
		} else {
			failed(k, a->why.text);
		}
	}
	text_wipe(a, sizeof(*a));
}

static void
collect(struct keeper *k)
{
	char *p = (char *)&k->answer;
	ssize_t n;

	for (;;) {
		n = read(k->fd, p + k->got, sizeof(k->answer) - k->got);
		if (n > 0)
			k->got += (size_t)n;
		else if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		else
			break;
	}
	answered(k);
}

void
keeper_step(struct keeper *k)
{
	if (k->fd >= 0)
		collect(k);
	if (k->helper == 0 && keeper_now() >= k->next)
		ask(k);
}

const char *
keeper_token(const struct keeper *k)
{
	if (k->token.text[0] == '\0')
		return NULL;
	if (k->expires > keeper_now() || k->refused)
		return k->token.text;
	return NULL;
}

bool
keeper_doubt(struct keeper *k, long long used)
{
	if (k->since > used)
		return true;
	if (k->refused ||
	    (k->successor && keeper_now() - k->since < BEYOND_DOUBT))
		return false;
	if (k->expires != 0) {
		warn("the host does not know our token any more; asking for "
		     "another");
		k->expires = 0;
		k->renew = false;
		k->next = 0;
		k->doubted = true;
	}
	return true;
}

void
keeper_stop(struct keeper *k)
{
	if (k->helper > 0) {
		kill(k->helper, SIGKILL);
		(void)waitpid(k->helper, NULL, 0); /* as in answered() */
	}
	if (k->fd >= 0)
		close(k->fd);
	text_wipe(k, sizeof(*k));
	k->fd = -1;
}
