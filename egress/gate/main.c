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

/* What the supervisor says while it has not said whose we are is wrong. */
struct app {
	struct gate *g;
	bool begun;
};

static int
on_given(void *ctx, struct link *l, const void *m, int fd)
{
	struct app *a = ctx;

	(void)l;
	(void)m; /* the minter says more of it */
	if (a->begun) {
		close(fd);
		return ERR_SEQUENCE;
	}
	a->begun = true;
	gate_begin(a->g, fd);
	return 0;
}

static int
on_peer(void *ctx, struct link *l, const void *m, int fd)
{
	const struct ctl_peer *p = m;
	struct app *a = ctx;

	(void)l;
	if (!a->begun) {
		close(fd);
		return ERR_SEQUENCE;
	}
	return gate_adopt(a->g, (enum link_role)p->role, fd);
}

static int
on_bounds(void *ctx, struct link *l, const void *m, int fd)
{
	struct app *a = ctx;

	(void)l;
	(void)fd;
	if (!a->begun || !bounds_good(m))
		return ERR_FORMAT;
	gate_bound(a->g, m);
	return 0;
}

static int
on_stop(void *ctx, struct link *l, const void *m, int fd)
{
	struct gate *g = ((struct app *)ctx)->g;

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
	struct gate *g = ((struct app *)ctx)->g;

	(void)l;
	if (err != ERR_UNAVAILABLE)
		log_fatal("supervisor_misbehaves", err_text(err));
	ev_break(g->loop, EVBREAK_ALL);
}

static int
on_conn(void *ctx, struct link *l, const void *m, int fd)
{
	struct app *a = ctx;

	(void)m;
	if (!a->begun) {
		close(fd);
		return ERR_SEQUENCE;
	}
	conn_take(a->g, fd);
	return link_send(l, &msg_taken, NULL, -1);
}

static const struct link_rule from_supervisor[] = {
    {&msg_bounds, on_bounds},
    {&msg_peer, on_peer},
    {&msg_conn, on_conn},
    {&msg_given, on_given},
    {&msg_stop, on_stop},
};

static void
open_control(struct app *a)
{
	struct gate *g = a->g;
	struct link_options o = {.self = LINK_GATE,
	    .peer = LINK_SUPERVISOR,
	    .rules = from_supervisor,
	    .n_rules = sizeof(from_supervisor) / sizeof(from_supervisor[0]),
	    .ctx = a,
	    .on_break = on_break};

	if (link_new(g->loop, CONTROL_FD, &o, &g->control) != 0 ||
	    link_send(g->control, &msg_ready, NULL, -1) != 0)
		log_fatal("no_control_link", "cannot reach the supervisor");
}

/* Whose we are is for people to see; without it we wait to be told. */
static bool
has_session(int argc, char **argv)
{
	if (argc == 1)
		return false;
	if (argc != 3 || strcmp(argv[1], "--session") != 0)
		log_fatal(
		    "usage", "hatcheck-gate [--session ID], by hatcheckd");
	return true;
}

int
main(int argc, char **argv)
{
	struct jail_profile walls = {.role = "gate"};
	/* Without one the supervisor hands us each connection (vsock); asked
	 * before anything else is opened there. */
	int listener = fcntl(LISTEN_FD, F_GETFD) < 0 ? -1 : LISTEN_FD;
	struct app a = {0};
	struct ev_loop *loop;
	int r;

	log_open("gate");
	jail_begin("gate", LISTEN_FD);
	a.begun = has_session(argc, argv);
	if (sodium_init() < 0 ||
	    (loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV)) == NULL)
		log_fatal("no_start", "libsodium or libev does not work");
	if (listener >= 0 && fcntl(listener, F_SETFL, O_NONBLOCK) != 0)
		log_fatal("no_start", "no listening socket");
	if (listener >= 0 || !a.begun)
		walls.calls = JAIL_ACCEPT;
	if ((r = gate_new(loop, &a.g)) != 0)
		log_fatal("no_start", err_text(r));
	if (a.begun)
		gate_begin(a.g, listener);
	jail_enter(&walls);
	open_control(&a);
	ev_run(loop, 0);
	link_free(a.g->control);
	gate_free(a.g);
	return 0;
}
