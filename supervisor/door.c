/* SPDX-License-Identifier: ISC */
/* What for: guests over vsock, from accept to their gate. Trusts: the kernel
 * for the peer's CID and port; the minter for whose the CID is. At a bound:
 * closes the connection, and counts it. */
#include "supervisor/door.h"

#include "lib/log.h"
#include "lib/uptime.h"
#include "supervisor/daemon.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 16 /* then the children are heard again */
#define DEAF_S 0.1
#define REPORT_FIRST_S 1.
#define REPORT_LAST_S 60.

/* ------------------------------------------------------------ refusals */

static void
report_one(struct daemon *d, const struct refusal *r)
{
	struct ctl_refused m = {.cid = r->peer.cid,
	    .port = r->peer.port,
	    .count = r->count,
	    .session = span_str(r->session),
	    .why = span_str(r->why)};

	log_event(LOG_WARN, "peer_refused", LOG_INT("cid", r->peer.cid),
	    LOG_INT("port", r->peer.port), LOG_INT("count", r->count),
	    LOG_STR("session", r->session), LOG_STR("why", r->why));
	if (d->minter.state == PROCESS_READY)
		process_send(&d->minter, &msg_refused, &m, -1);
}

static void
report(struct daemon *d)
{
	struct door *o = &d->door;

	for (size_t i = 0; i < o->n_refusals; i++)
		report_one(d, &o->refusals[i]);
	o->n_refusals = 0;
	ev_timer_stop(d->loop, &o->report);
	ev_timer_set(&o->report, o->pause, 0.);
	ev_timer_start(d->loop, &o->report);
}

static void
on_report(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct daemon *d = w->data;
	struct door *o = &d->door;

	(void)loop;
	(void)events;
	if (o->n_refusals == 0)
		return; /* it is quiet: the next one is told at once */
	o->pause = o->pause * 2 > REPORT_LAST_S ? REPORT_LAST_S : o->pause * 2;
	report(d);
}

/* The last row is for all that found no row of their own. */
static struct refusal *
row_for(struct door *o, const struct vsock_peer *peer, const char *why)
{
	struct refusal *r = o->refusals;

	for (size_t i = 0; i < o->n_refusals; i++, r++) {
		if ((r->peer.cid == peer->cid && r->why == why) ||
		    i == DOOR_REFUSALS - 1)
			return r;
	}
	o->n_refusals++;
	*r = (struct refusal){.peer.cid = peer->cid, .why = why};
	return r;
}

static void
refuse(struct daemon *d, const struct session *s,
    const struct vsock_peer *peer, const char *why)
{
	struct door *o = &d->door;
	struct refusal *r = row_for(o, peer, why);

	r->peer.port = peer->port;
	r->count++;
	if (s != NULL)
		memcpy(r->session, s->id, sizeof(r->session));
	if (ev_is_active(&o->report))
		return;
	o->pause = REPORT_FIRST_S;
	report(d);
}

/* ----------------------------------------------------------- admitting */

static struct session *
of_cid(struct daemon *d, uint32_t cid)
{
	for (struct session *s = d->sessions; s != NULL; s = s->next) {
		if (s->admitted && s->channel.cid == cid &&
		    s->end <= SESSION_KILLED)
			return s;
	}
	return NULL;
}

/* As many as its gate shall hear of at once. */
static void
pump(struct session *s)
{
	int fd;

	while (s->gate->state == PROCESS_READY &&
	       (fd = queue_next(&s->queue)) >= 0) {
		s->daemon->door.waiting--;
		process_send(s->gate, &msg_conn, NULL, fd); /* takes it */
	}
}

static void
receive(struct daemon *d, const struct vsock_peer *peer, int fd)
{
	struct session *s = of_cid(d, peer->cid);
	const char *why = queue_judge(s == NULL ? NULL : &s->queue,
	    s == NULL ? NULL : &s->channel, peer, uptime());

	if (why == NULL && d->door.waiting == DOOR_ALL_WAITING)
		why = "too many of all wait";
	if (s == NULL || why != NULL) {
		close(fd);
		refuse(d, s, peer, why);
		return;
	}
	queue_put(&s->queue, fd);
	d->door.waiting++;
	pump(s);
}

static void
on_knock(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct daemon *d = w->data;
	struct vsock_peer peer;
	int fd;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int r = vsock_accept(d->door.listener, &peer, &fd);
		if (r == 0)
			receive(d, &peer, fd);
		if (r == ERR_NOT_FOUND)
			return;
		if (r != ERR_NOMEM)
			continue;
		ev_io_stop(loop, w);
		ev_timer_set(&d->door.again, DEAF_S, 0.);
		ev_timer_start(loop, &d->door.again);
		return;
	}
}

static void
on_again(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct daemon *d = w->data;

	(void)events;
	ev_io_start(loop, &d->door.io);
}

/* ---------------------------------------------------------------- life */

void
door_init(struct daemon *d)
{
	struct door *o = &d->door;

	o->listener = -1;
	ev_init(&o->io, on_knock);
	ev_init(&o->again, on_again);
	ev_init(&o->report, on_report);
	o->io.data = o->again.data = o->report.data = d;
}

static int
open_door(struct daemon *d, const char **why)
{
	struct door *o = &d->door;
	int r = o->listener >= 0
		    ? 0
		    : vsock_listen(d->config.vsock_port, &o->listener);

	*why = r == ERR_UNAVAILABLE
		   ? "this machine has no vsock; next: modprobe vhost_vsock"
	       : r == ERR_EXISTS
		   ? "the vsock port is taken; next: vsock: port: in "
		     "hatcheckd.yaml(5)"
		   : "the vsock port cannot be listened on";
	if (r == 0 && !ev_is_active(&o->io)) {
		log_event(LOG_INFO, "vsock_open",
		    LOG_INT("port", d->config.vsock_port));
		ev_io_set(&o->io, o->listener, EV_READ);
		ev_io_start(d->loop, &o->io);
	}
	return r;
}

int
door_admit(struct session *s, const char **why)
{
	if (of_cid(s->daemon, s->channel.cid) != NULL) {
		*why = "another session has this CID";
		return ERR_EXISTS;
	}
	int r = open_door(s->daemon, why);
	s->admitted = r == 0;
	return r;
}

void
door_leave(struct session *s)
{
	struct daemon *d = s->daemon;
	struct door *o = &d->door;

	for (int fd; (fd = queue_get(&s->queue)) >= 0; o->waiting--)
		close(fd);
	if (!s->admitted)
		return;
	s->admitted = false;
	for (struct session *t = d->sessions; t != NULL; t = t->next) {
		if (t->admitted)
			return;
	}
	ev_io_stop(d->loop, &o->io);
	ev_timer_stop(d->loop, &o->again);
	close(o->listener);
	o->listener = -1;
	log_event(LOG_INFO, "vsock_closed",
	    LOG_INT("port", d->config.vsock_port));
}

void
door_gate_ready(struct session *s)
{
	pump(s);
}

int
door_taken(struct session *s)
{
	int r = queue_taken(&s->queue);

	if (r == 0)
		pump(s);
	return r;
}

void
door_gate_dead(struct session *s)
{
	s->queue.on_way = 0;
}
