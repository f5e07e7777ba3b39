/* SPDX-License-Identifier: ISC */
/* What for: connect() to the first of some addresses. Trusts: only what
 * address_check() lets pass, on the sockaddr that connect() is given. At a
 * bound: addresses past the deadline are not tried. */
#include "egress/dialer/race.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#define SEND_QUEUE (64 * 1024) /* bytes that revocation may find queued */
#define NOT_SENT (16 * 1024)

struct attempt {
	struct ev_io io;
	struct race *race;
	int fd; /* -1: not under way */
	size_t index;
};

struct race {
	struct ev_loop *loop;
	struct ev_timer stagger, deadline;
	struct address_list list;
	struct attempt attempts[ADDRESS_LIST_MAX];
	size_t next, live, allowed;
	bool exception, over;
	race_done *done;
	void *ctx;
};

static void
drop(struct attempt *a)
{
	if (a->fd < 0)
		return;
	ev_io_stop(a->race->loop, &a->io);
	close(a->fd);
	a->fd = -1;
	a->race->live--;
}

static void
finish(struct race *r, int err, int fd, const union address *winner)
{
	if (r->over)
		return;
	r->over = true;
	ev_timer_stop(r->loop, &r->stagger);
	ev_timer_stop(r->loop, &r->deadline);
	for (size_t i = 0; i < r->next; i++)
		drop(&r->attempts[i]);
	r->done(r->ctx, err, fd, winner);
}

static int
set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

static int
prepare_socket(int fd)
{
	struct linger cut = {.l_onoff = 1, .l_linger = 0};

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &cut, sizeof(cut)) != 0 ||
	    set(fd, SOL_SOCKET, SO_SNDBUF, SEND_QUEUE) != 0 ||
	    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1) != 0 ||
	    set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOT_SENT) != 0 ||
	    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60) != 0 ||
	    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 20) != 0 ||
	    set(fd, IPPROTO_TCP, TCP_NODELAY, 1) != 0)
		return ERR_IO;
	return 0;
}

static void
on_connected(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct attempt *a = w->data;
	struct race *r = a->race;
	socklen_t n = sizeof(int);
	int e = 0, fd = a->fd;

	(void)events;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0 || e != 0) {
		drop(a);
		ev_feed_event(loop, &r->stagger, EV_TIMER);
		return;
	}
	ev_io_stop(loop, w);
	a->fd = -1;
	r->live--;
	finish(r, 0, fd, &r->list.a[a->index]);
}

/* The rule and connect() look at the same bytes, with nothing between. */
static int
checked_connect(const struct race *r, int fd, const union address *a)
{
	int e;

	if (!r->exception && (e = address_check(a)) != 0)
		return e;
	if (connect(fd, &a->sa, address_len(a)) == 0 || errno == EINPROGRESS)
		return 0;
	return ERR_UNAVAILABLE;
}

static int
begin(struct race *r, struct attempt *a)
{
	const union address *to = &r->list.a[a->index];
	int fd = socket(to->sa.sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	int e = fd < 0 ? ERR_UNAVAILABLE : prepare_socket(fd);

	if (e == 0)
		e = checked_connect(r, fd, to);
	if (e != ERR_DENIED)
		r->allowed++;
	if (e != 0) {
		if (fd >= 0)
			close(fd);
		return e;
	}
	a->fd = fd;
	r->live++;
	ev_io_init(&a->io, on_connected, fd, EV_WRITE);
	a->io.data = a;
	ev_io_start(r->loop, &a->io);
	return 0;
}

static void
on_stagger(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct race *r = w->data;

	(void)events;
	if (r->over)
		return;
	while (r->next < r->list.n) {
		struct attempt *a = &r->attempts[r->next];
		a->race = r;
		a->index = r->next++;
		if (begin(r, a) == 0) {
			ev_timer_again(loop, w);
			return;
		}
	}
	ev_timer_stop(loop, w);
	if (r->live == 0)
		finish(r, r->allowed == 0 ? ERR_DENIED : ERR_UNAVAILABLE, -1,
		    NULL);
}

static void
on_deadline(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	finish(w->data, ERR_UNAVAILABLE, -1, NULL);
}

int
race_new(struct ev_loop *loop, const struct address_list *list, bool exception,
    race_done *done, void *ctx, struct race **out)
{
	struct race *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return ERR_NOMEM;
	r->loop = loop;
	r->list = *list;
	r->exception = exception;
	r->done = done;
	r->ctx = ctx;
	for (size_t i = 0; i < ADDRESS_LIST_MAX; i++)
		r->attempts[i].fd = -1;
	ev_timer_init(&r->stagger, on_stagger, 0., RACE_STAGGER_S);
	ev_timer_init(&r->deadline, on_deadline, RACE_DEADLINE_S, 0.);
	r->stagger.data = r;
	r->deadline.data = r;
	ev_timer_start(loop, &r->deadline);
	ev_timer_start(loop, &r->stagger);
	*out = r;
	return 0;
}

void
race_free(struct race *r)
{
	if (r == NULL)
		return;
	r->over = true;
	ev_timer_stop(r->loop, &r->stagger);
	ev_timer_stop(r->loop, &r->deadline);
	ev_clear_pending(r->loop, &r->stagger);
	for (size_t i = 0; i < r->next; i++)
		drop(&r->attempts[i]);
	free(r);
}
