/* SPDX-License-Identifier: ISC */
/* What for: hatcheck-gate: one guest's channel, and nothing worth stealing.
 * Trusts: the supervisor, over CONTROL_FD.
 * At a bound: exits; the supervisor starts another. */
#include "egress/gate/conn.h"

#include "lib/jail.h"
#include "lib/log.h"
#include "messages/control.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

static int
on_peer(void *ctx, struct link *l, const void *m, int fd)
{
	const struct ctl_peer *p = m;

	(void)l;
	return gate_adopt(ctx, (enum link_role)p->role, fd);
}

static int
on_bounds(void *ctx, struct link *l, const void *m, int fd)
{
	(void)l;
	(void)fd;
	if (!bounds_good(m))
		return ERR_FORMAT;
	gate_bound(ctx, m);
	return 0;
}

static int
on_stop(void *ctx, struct link *l, const void *m, int fd)
{
	struct gate *g = ctx;

	(void)l;
	(void)m;
	(void)fd;
	gate_retire(g); /* what that writes goes out with this turn */
	ev_break(g->loop, EVBREAK_ALL);
	return 0;
}

static void
on_break(void *ctx, struct link *l, int err)
{
	struct gate *g = ctx;

	(void)l;
	if (err != ERR_UNAVAILABLE)
		log_fatal("supervisor_misbehaves", err_text(err));
	ev_break(g->loop, EVBREAK_ALL);
}

static int
on_conn(void *ctx, struct link *l, const void *m, int fd)
{
	(void)m;
	conn_take(ctx, fd);
	return link_send(l, &msg_taken, NULL, -1);
}

static const struct link_rule from_supervisor[] = {
    {&msg_bounds, on_bounds},
    {&msg_peer, on_peer},
    {&msg_conn, on_conn},
    {&msg_stop, on_stop},
};

static void
open_control(struct gate *g)
{
	struct link_options o = {.self = LINK_GATE,
	    .peer = LINK_SUPERVISOR,
	    .rules = from_supervisor,
	    .n_rules = sizeof(from_supervisor) / sizeof(from_supervisor[0]),
	    .ctx = g,
	    .on_break = on_break};

	if (link_new(g->loop, CONTROL_FD, &o, &g->control) != 0 ||
	    link_send(g->control, &msg_ready, NULL, -1) != 0)
		log_fatal("no_control_link", "cannot reach the supervisor");
}

static const char *
session_of(int argc, char **argv)
{
	if (argc != 3 || strcmp(argv[1], "--session") != 0)
		log_fatal("usage", "hatcheck-gate --session ID, by hatcheckd");
	return argv[2];
}

int
main(int argc, char **argv)
{
	struct jail_profile walls = {.role = "gate"};
	/* Without one the supervisor hands us each connection (vsock); asked
	 * before anything else is opened there. */
	int listener = fcntl(LISTEN_FD, F_GETFD) < 0 ? -1 : LISTEN_FD;
	struct ev_loop *loop;
	struct gate *g;
	int r;

	log_open("gate");
	jail_begin("gate", LISTEN_FD);
	const char *session = session_of(argc, argv);
	if (sodium_init() < 0 ||
	    (loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV)) == NULL)
		log_fatal("no_start", "libsodium or libev does not work");
	if (listener >= 0 && fcntl(listener, F_SETFL, O_NONBLOCK) != 0)
		log_fatal("no_start", "no listening socket");
	if (listener >= 0)
		walls.calls = JAIL_ACCEPT;
	if ((r = gate_new(loop, session, listener, &g)) != 0)
		log_fatal("no_start", err_text(r));
	jail_enter(&walls);
	open_control(g);
	ev_run(loop, 0);
	link_free(g->control);
	gate_free(g);
	return 0;
}
