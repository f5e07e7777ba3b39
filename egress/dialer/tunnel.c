/* SPDX-License-Identifier: ISC */
/* What for: the talk with a proxy over its socket. Trusts: nothing that the
 * proxy says. At a bound: the deadline ends it. */
#include "egress/dialer/tunnel.h"

#include "lib/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE 512

struct tunnel {
	struct ev_loop *loop;
	struct ev_io io;
	struct ev_timer deadline;
	int fd; /* -1: handed over */
	struct talk talk;
	struct buf *out;
	size_t sent; /* of out */
	tunnel_done *done;
	void *ctx;
};

static void
finish(struct tunnel *t, int err, const char *why)
{
	int fd = t->fd;

	ev_io_stop(t->loop, &t->io);
	ev_timer_stop(t->loop, &t->deadline);
	if (err != 0) {
		log_event(LOG_WARN, "proxy_refused",
		    LOG_STR("host", t->talk.host.name),
		    LOG_INT("port", t->talk.port), LOG_STR("why", why),
		    LOG_INT("status", t->talk.status));
		t->done(t->ctx, ERR_IO, -1);
		return;
	}
	t->fd = -1;
	t->done(t->ctx, 0, fd);
}

static void
watch(struct tunnel *t)
{
	bool more = t->sent < buf_len(t->out);

	ev_io_stop(t->loop, &t->io);
	ev_io_set(&t->io, t->fd, more ? EV_WRITE : EV_READ);
	ev_io_start(t->loop, &t->io);
}

static void
on_writable(struct tunnel *t)
{
	struct span left = span_from(buf_span(t->out), t->sent);
	ssize_t n = send(t->fd, left.p, left.n, MSG_NOSIGNAL);

	if (n < 0 && errno != EINTR && errno != EAGAIN) {
		finish(t, ERR_IO, "it closed the connection");
		return;
	}
	if (n > 0)
		t->sent += (size_t)n;
	watch(t);
}

static const char *
why(int err)
{
	return err == ERR_DENIED    ? "it said no"
	       : err == ERR_TOO_BIG ? "its answer is too long"
				    : "its answer is malformed";
}

/* Look at what there is, take no more than the answer. */
static void
on_readable(struct tunnel *t)
{
	uint8_t piece[PIECE];
	ssize_t n = recv(t->fd, piece, sizeof(piece), MSG_PEEK);
	size_t used = 0;
	int r;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		finish(t, ERR_IO, "it closed the connection");
		return;
	}
	t->sent = 0;
	r = talk_next(&t->talk, span_of(piece, (size_t)n), &used, t->out);
	if (recv(t->fd, piece, used, 0) != (ssize_t)used)
		r = ERR_IO;
	if (r == ERR_TRUNCATED)
		watch(t);
	else
		finish(t, r, why(r));
}

static void
on_io(struct ev_loop *loop, struct ev_io *w, int events)
{
	(void)loop;
	if ((events & EV_WRITE) != 0)
		on_writable(w->data);
	else
		on_readable(w->data);
}

static void
on_deadline(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	finish(w->data, ERR_IO, "it did not answer in time");
}

int
tunnel_new(struct ev_loop *loop, int fd, enum ctl_proxy_kind kind,
    const struct host *host, uint16_t port, tunnel_done *done, void *ctx,
    struct tunnel **out)
{
	struct tunnel *t = calloc(1, sizeof(*t));
	int r = ERR_NOMEM;

	if (t == NULL || (t->out = buf_new(TALK_OUT_MAX)) == NULL ||
	    (r = talk_start(&t->talk, kind, host, port, t->out)) != 0) {
		if (t != NULL)
			buf_free(t->out);
		free(t);
		close(fd);
		return r;
	}
	t->loop = loop;
	t->fd = fd;
	t->done = done;
	t->ctx = ctx;
	ev_init(&t->io, on_io);
	ev_timer_init(&t->deadline, on_deadline, TUNNEL_DEADLINE_S, 0.);
	t->io.data = t->deadline.data = t;
	ev_timer_start(loop, &t->deadline);
	watch(t);
	*out = t;
	return 0;
}

void
tunnel_free(struct tunnel *t)
{
	if (t == NULL)
		return;
	ev_io_stop(t->loop, &t->io);
	ev_timer_stop(t->loop, &t->deadline);
	if (t->fd >= 0)
		close(t->fd);
	buf_free(t->out);
	free(t);
}
