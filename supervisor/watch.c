/* SPDX-License-Identifier: ISC */
/* What for: seeing that a session's guest is no more. Trusts: the kernel. At
 * a bound: a guest whose end nobody saw keeps its session until that
 * expires. */
#include "supervisor/watch.h"

#include "lib/log.h"
#include "supervisor/daemon.h"

#include <fcntl.h>
#include <unistd.h>

#define LOOK_S 1.0

/* Which file it is, and whether it is there. Vsock has none. */
static bool
find_socket(const struct session *s, struct stat *st)
{
	return fstatat(s->dir_fd, s->channel.name, st, AT_SYMLINK_NOFOLLOW) ==
		   0 &&
	       S_ISSOCK(st->st_mode);
}

static bool
socket_gone(const struct session *s)
{
	struct stat st;

	return s->listen >= 0 &&
	       (!find_socket(s, &st) || st.st_dev != s->watch.dev ||
		   st.st_ino != s->watch.ino);
}

static void
tell(struct session *s)
{
	struct ctl_session_lost m = {
	    .session = span_str(s->id), .why = span_str(s->watch.gone)};

	if (s->end <= SESSION_KILLED &&
	    s->daemon->minter.state == PROCESS_READY)
		process_send(&s->daemon->minter, &msg_session_lost, &m, -1);
}

static void
gone(struct session *s, const char *why)
{
	log_event(LOG_INFO, "guest_gone", LOG_STR("session", s->id),
	    LOG_STR("why", why));
	s->watch.gone = why;
	tell(s);
}

static void
on_exited(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct session *s = w->data;

	(void)events;
	ev_io_stop(loop, w);
	if (s->watch.gone == NULL)
		gone(s, "its process has exited");
}

static void
on_look(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct session *s = w->data;

	(void)loop;
	(void)events;
	if (s->watch.gone != NULL)
		tell(s);
	else if (socket_gone(s))
		gone(s, "its socket was taken away");
}

void
watch_init(struct session *s)
{
	s->watch = (struct watch){.fd = -1};
	ev_init(&s->watch.exited, on_exited);
	ev_init(&s->watch.look, on_look);
	s->watch.exited.data = s->watch.look.data = s;
}

int
watch_begin(struct session *s, const struct procid *p, const char **why)
{
	struct watch *w = &s->watch;
	struct stat st;
	int r;

	if (s->listen >= 0) {
		*why = "its socket is not there";
		if (!find_socket(s, &st))
			return ERR_NOT_FOUND;
		w->dev = st.st_dev;
		w->ino = st.st_ino;
	}
	if (p->pid != 0) {
		*why = "its process is gone, or hidden from the daemon";
		if ((r = procid_open(p, &w->fd)) != 0)
			return r;
		ev_io_set(&w->exited, w->fd, EV_READ);
		ev_io_start(s->daemon->loop, &w->exited);
	}
	ev_timer_set(&w->look, LOOK_S, LOOK_S);
	ev_timer_start(s->daemon->loop, &w->look);
	return 0;
}

void
watch_end(struct session *s)
{
	struct watch *w = &s->watch;

	ev_io_stop(s->daemon->loop, &w->exited);
	ev_timer_stop(s->daemon->loop, &w->look);
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}
