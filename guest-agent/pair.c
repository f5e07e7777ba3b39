/* SPDX-License-Identifier: ISC */
/*
 * Pipe bytes between two sockets.
 * Trusts neither side: nothing in the bytes is looked at but whether the
 * first answer is the gate's refusal of the prefix (refused.h).
 * A full buffer stops its reader; one read and one write per step, so that
 * no pair starves the others.
 */
#include "guest-agent/pair.h"

#include "guest-agent/refused.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

int
pair_init(struct pair *p, int client, int channel)
{
	*p = (struct pair){.side = {client, channel}, .fresh = true};
	p->flow[0].buf = malloc(FLOW_SIZE);
	p->flow[1].buf = malloc(FLOW_SIZE);
	if (p->flow[0].buf != NULL && p->flow[1].buf != NULL)
		return 0;
	pair_free(p);
	return -1;
}

void
pair_free(struct pair *p)
{
	free(p->flow[0].buf);
	free(p->flow[1].buf);
	p->flow[0].buf = p->flow[1].buf = NULL;
}

bool
pair_prefix(struct pair *p, const char *bytes, size_t n)
{
	struct flow *f = &p->flow[0];

	if (f->start + f->n + n > FLOW_SIZE)
		return false;
	memmove(f->buf + n, f->buf + f->start, f->n);
	memcpy(f->buf, bytes, n);
	f->start = 0;
	f->n += n;
	p->before = n;
	return true;
}

static bool
later(void)
{
	return errno == EAGAIN || errno == EINTR;
}

/* keep: what went stays in the buffer. */
static int
fill(struct flow *f, int fd, bool keep)
{
	ssize_t n;

	if (f->ended || (f->n > 0 && f->start + f->n == FLOW_SIZE))
		return 0;
	if (f->n == 0 && !keep)
		f->start = 0;
	n = read(fd, f->buf + f->start + f->n, FLOW_SIZE - f->start - f->n);
	if (n > 0)
		f->n += (size_t)n;
	else if (n == 0)
		f->ended = true;
	else if (!later())
		return -1;
	return 0;
}

static void
drain(struct flow *f, int fd, bool keep)
{
	ssize_t n = 0;

	if (f->broken && !keep)
		f->n = 0;
	if (f->n > 0 && !f->broken)
		n = send(fd, f->buf + f->start, f->n, MSG_NOSIGNAL);
	if (n > 0) {
		f->start += (size_t)n;
		f->n -= (size_t)n;
	} else if (n < 0 && !later()) {
		/* The far end may have answered before it closed: go on
		 * reading it, and drop what it does not want. */
		f->broken = true;
		if (!keep)
			f->n = 0;
	}
	if (f->ended && f->n == 0 && !f->closed) {
		/* A far end that is gone needs no telling. */
		(void)shutdown(fd, SHUT_WR);
		f->closed = true;
	}
}

/* The channel's far end closed altogether, not only its writing. */
static bool
hung_up(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

/* The client said nothing yet, or CONNECT: while that was not answered,
 * nothing can have come of it. */
static bool
harmless(const struct pair *p)
{
	static const char word[] = "CONNECT ";
	const struct flow *f = &p->flow[0];
	size_t n = f->start + f->n - p->before;

	if (n > sizeof(word) - 1)
		n = sizeof(word) - 1;
	return memcmp(f->buf + p->before, word, n) == 0;
}

/* The beginning of the answer, while all can be said again; PAIR_GOING: wait
 * for more of it before any is passed on. lost: the channel broke. */
static enum pair_state
look(struct pair *p, bool lost)
{
	const struct flow *f = &p->flow[1];
	enum refused what = REFUSED_MORE;

	if (f->n > 0)
		what = refused_look(f->buf, f->n);
	else if ((lost || f->ended) && harmless(p))
		return PAIR_LATER;
	if (what == REFUSED_YES)
		return PAIR_REFUSED;
	if (what == REFUSED_LATER && harmless(p))
		return PAIR_LATER;
	if (what == REFUSED_MORE && !f->ended && !lost)
		return PAIR_GOING;
	p->fresh = false;
	return PAIR_ANSWERED;
}

static int
step_out(struct pair *p)
{
	struct flow *f = &p->flow[0];

	if (f->start + f->n == FLOW_SIZE)
		p->fresh = false;
	if (fill(f, p->side[0], p->fresh) != 0)
		return -1;
	drain(f, p->side[1], p->fresh);
	return 0;
}

enum pair_state
pair_step(struct pair *p)
{
	enum pair_state first;
	bool lost;

	if (step_out(p) != 0)
		return PAIR_BROKEN;
	lost = fill(&p->flow[1], p->side[1], false) != 0;
	if (p->fresh && (first = look(p, lost)) != PAIR_ANSWERED)
		return first;
	if (lost)
		return PAIR_BROKEN;
	drain(&p->flow[1], p->side[0], false);
	if (p->flow[1].broken)
		return PAIR_BROKEN;
	if (!p->flow[1].closed)
		return PAIR_GOING;
	if (p->flow[0].closed)
		return PAIR_DONE;
	return p->flow[0].broken || hung_up(p->side[1]) ? PAIR_ANSWERED
							: PAIR_GOING;
}

void
pair_again(struct pair *p)
{
	struct flow *f = &p->flow[0];

	f->n += f->start - p->before;
	memmove(f->buf, f->buf + p->before, f->n);
	f->start = 0;
	f->closed = f->broken = false;
	p->flow[1] = (struct flow){.buf = p->flow[1].buf};
	p->before = 0;
}

void
pair_pass(struct pair *p)
{
	p->fresh = false;
}

uint32_t
pair_events(const struct pair *p, int i)
{
	const struct flow *in = &p->flow[i], *out = &p->flow[1 - i];
	uint32_t events = 0;

	if (!in->ended && (in->n == 0 || in->start + in->n < FLOW_SIZE))
		events |= EPOLLIN;
	/* Of a fresh pair's answer nothing is passed on before more comes. */
	if (out->n > 0 && (i == 1 || !p->fresh))
		events |= EPOLLOUT;
	return events;
}
