/* SPDX-License-Identifier: ISC */
/* What for: hatcheck-dialer: names to checked, connected sockets. Trusts:
 * the supervisor. At a bound: a broken supervisor link ends the process. */
#include "egress/dialer/desk.h"
#include "lib/jail.h"
#include "lib/log.h"
#include "messages/control.h"

#include <stdlib.h>
#include <unistd.h>

struct dialer {
	struct desk *desk;
};

static void
complain(struct span session, int err)
{
	log_event(LOG_ERROR, "session_not_served", LOG_SPAN("session", session),
	    LOG_ERR(err));
}

static int
on_peer(void *ctx, struct link *l, const void *message, int fd)
{
	const struct ctl_peer *m = message;
	struct dialer *d = ctx;

	(void)l;
	if (m->role != LINK_COURIER) {
		close(fd);
		return ERR_FORMAT;
	}
	int r = desk_seat(d->desk, m->session, m->descriptor, fd);
	if (r != 0)
		complain(m->session, r);
	return 0;
}

static int
on_descriptor(void *ctx, struct link *l, const void *message, int fd)
{
	const struct ctl_descriptor *m = message;
	struct dialer *d = ctx;

	(void)l;
	(void)fd;
	int r = desk_update(d->desk, m->session, m->descriptor);
	if (r != 0)
		complain(m->session, r);
	return 0;
}

static int
on_proxy(void *ctx, struct link *l, const void *message, int fd)
{
	struct dialer *d = ctx;
	int r = desk_proxy(d->desk, message);

	(void)l;
	(void)fd;
	if (r != 0)
		log_event(LOG_ERROR, "proxy_malformed", LOG_ERR(r),
		    LOG_STR("next", "see proxy in hatcheckd.yaml(5)"));
	return 0;
}

static int
on_gone(void *ctx, struct link *l, const void *message, int fd)
{
	const struct ctl_session_gone *m = message;
	struct dialer *d = ctx;

	(void)l;
	(void)fd;
	desk_dismiss(d->desk, m->session);
	return 0;
}

static int
on_stop(void *ctx, struct link *l, const void *message, int fd)
{
	(void)ctx;
	(void)l;
	(void)message;
	(void)fd;
	exit(0);
}

static const struct link_rule rules[] = {
    {&msg_proxy, on_proxy},
    {&msg_peer, on_peer},
    {&msg_descriptor, on_descriptor},
    {&msg_session_gone, on_gone},
    {&msg_stop, on_stop},
};

static void
on_break(void *ctx, struct link *l, int err)
{
	(void)ctx;
	(void)l;
	if (err == ERR_UNAVAILABLE)
		exit(0); /* the supervisor is gone */
	log_fatal("supervisor_link", err_text(err));
}

/* What the resolver reads. Nothing may be written. */
static const struct jail_path paths[] = {
    {"/etc/hosts", false},
    {"/etc/resolv.conf", false},
    {"/etc/nsswitch.conf", false},
    {"/etc/host.conf", false},
    {"/etc/gai.conf", false},
    {"/run/systemd/resolve", false}, /* resolv.conf may point there */
    {"/run/resolvconf", false},
    {"/run/NetworkManager", false},
};
static const struct jail_profile profile = {
    .role = "dialer",
    .calls =
	JAIL_FILES_READ | JAIL_SOCKET_INET | JAIL_THREADS | JAIL_OPTIONS,
    .paths = paths,
    .n_paths = sizeof(paths) / sizeof(paths[0]),
    .network = true,
};

int
main(void)
{
	struct dialer d = {0};
	struct link *control = NULL;
	struct link_options o = {.self = LINK_DIALER,
	    .peer = LINK_SUPERVISOR,
	    .rules = rules,
	    .n_rules = sizeof(rules) / sizeof(rules[0]),
	    .ctx = &d,
	    .on_break = on_break};

	log_open("dialer");
	jail_begin("dialer", CONTROL_FD);
	struct ev_loop *loop = ev_default_loop(EVBACKEND_EPOLL);
	if (loop == NULL || resolver_prepare() != 0 ||
	    desk_new(loop, resolver_system, &d.desk) != 0)
		log_fatal("start", "no loop or resolver");
	jail_enter(&profile);
	if (link_new(loop, CONTROL_FD, &o, &control) != 0 ||
	    link_send(control, &msg_ready, NULL, -1) != 0)
		log_fatal("start", "no link to the supervisor");
	ev_run(loop, 0);
	return 0;
}
