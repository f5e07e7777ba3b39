/* SPDX-License-Identifier: ISC */
/* What for: dials of sessions. Trusts: the supervisor for which session a
 * link is of and its exceptions; a courier for nothing but which public
 * name it wants. At a bound: the dial fails. */
#include "egress/dialer/desk.h"

#include "egress/dialer/exceptions.h"
#include "egress/dialer/proxy.h"
#include "egress/dialer/race.h"
#include "egress/dialer/tunnel.h"
#include "lib/log.h"
#include "messages/dial.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOKUP_DEADLINE_S 5.0

struct dial {
	struct dial *next;
	struct seat *seat;
	uint32_t rid;
	struct lookup *lookup;
	struct race *race;
	struct ev_timer deadline; /* of the lookup */
	/* Through a proxy: of which kind, and what it is to be asked for. */
	enum ctl_proxy_kind through;
	struct host host;
	uint16_t port;
	struct tunnel *tunnel;
	char address[ADDRESS_TEXT + sizeof("via ")]; /* that was connected to */
};

struct seat {
	struct seat *next;
	struct desk *desk;
	char session[SESSION_ID_MAX + 1];
	struct link *link;
	struct exceptions *exceptions;
	struct dial *dials;
	size_t n_dials;
};

struct desk {
	struct ev_loop *loop;
	struct resolver *resolver;
	struct proxy proxy;
	bool closed; /* nobody knows which way out is meant */
	struct seat *seats;
};

static void
dial_free(struct dial *d)
{
	struct dial **p = &d->seat->dials;

	while (*p != d)
		p = &(*p)->next;
	*p = d->next;
	d->seat->n_dials--;
	ev_timer_stop(d->seat->desk->loop, &d->deadline);
	lookup_free(d->lookup);
	race_free(d->race);
	tunnel_free(d->tunnel);
	free(d);
}

static void
log_proxy_gone(const struct dial *d, int err)
{
	log_event(LOG_WARN, "proxy_unreachable",
	    LOG_STR("proxy", d->seat->desk->proxy.host.name),
	    LOG_STR("host", d->host.name), LOG_ERR(err));
}

static int
answer(struct seat *s, uint32_t rid, int err, int fd, const char *address)
{
	struct dial_done m = {
	    .rid = rid, .err = err, .address = span_str(address)};

	int r = link_send(s->link, &msg_dial_done, &m, fd);

	/* A courier that takes no sockets is told of that, at least. */
	if (r == ERR_TOO_BIG && fd >= 0) {
		m.err = ERR_UNAVAILABLE;
		m.address = (struct span){0};
		r = link_send(s->link, &msg_dial_done, &m, -1);
	}
	return r;
}

/* A courier that does not take its answers loses those that find no room, and
 * their sockets; nobody else is touched. */
static void
dial_end(struct dial *d, int err, int fd, const char *address)
{
	(void)answer(d->seat, d->rid, err, fd, address);
	dial_free(d);
}

static void
on_tunnel(void *ctx, int err, int fd)
{
	struct dial *d = ctx;

	dial_end(d, err, fd, d->address);
}

static void
on_race(void *ctx, int err, int fd, const union address *winner)
{
	struct dial *d = ctx;
	char text[ADDRESS_TEXT] = "";
	int r;

	if (err == 0)
		address_text(winner, text);
	if (d->through == CTL_PROXY_NONE) {
		dial_end(d, err, fd, text);
		return;
	}
	if (err != 0) {
		log_proxy_gone(d, err);
		dial_end(d, ERR_IO, -1, NULL);
		return;
	}
	(void)snprintf(
	    d->address, sizeof(d->address), "via %s", text); /* fits */
	if ((r = tunnel_new(d->seat->desk->loop, fd, d->through, &d->host,
		 d->port, on_tunnel, d, &d->tunnel)) != 0)
		dial_end(d, r, -1, NULL);
}

static void
connect_to(struct dial *d, const struct address_list *list, bool exception)
{
	int r = race_new(
	    d->seat->desk->loop, list, exception, on_race, d, &d->race);

	if (r != 0)
		dial_end(d, r, -1, NULL);
}

static void
on_lookup(void *ctx, int err, const struct address_list *list)
{
	struct dial *d = ctx;

	d->lookup = NULL;
	ev_timer_stop(d->seat->desk->loop, &d->deadline);
	if (err != 0 && d->through != CTL_PROXY_NONE) {
		log_proxy_gone(d, err);
		dial_end(d, ERR_IO, -1, NULL);
	} else if (err != 0) {
		dial_end(d, err == ERR_NOT_FOUND ? err : ERR_EXPIRED, -1, NULL);
	} else {
		/* The proxy may be anywhere: the administrator named it. */
		connect_to(d, list, d->through != CTL_PROXY_NONE);
	}
}

static void
on_deadline(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	dial_end(w->data, ERR_EXPIRED, -1, NULL);
}

static void
resolve(struct dial *d, const char *host, uint16_t port)
{
	struct desk *k = d->seat->desk;
	int r = lookup_new(k->resolver, d->seat->session, host, port, on_lookup,
	    d, &d->lookup);

	if (r != 0)
		dial_end(d, r, -1, NULL);
	else
		ev_timer_start(k->loop, &d->deadline);
}

static void
reach(struct dial *d, const struct host *h, uint16_t port)
{
	struct address_list one = {.n = 1};

	if (!h->is_ip)
		resolve(d, h->name, port);
	else if (address_parse(h->name, port, &one.a[0]) == 0)
		connect_to(d, &one, d->through != CTL_PROXY_NONE);
	else
		dial_end(d, ERR_NOT_FOUND, -1, NULL);
}

static void
dial_start(struct dial *d)
{
	const struct desk *k = d->seat->desk;
	const struct address_list *named =
	    exceptions_find(d->seat->exceptions, d->host.name, d->port);

	if (named != NULL) {
		connect_to(d, named, true);
		return;
	}
	if (k->closed) {
		dial_end(d, ERR_IO, -1, NULL);
		return;
	}
	switch (proxy_way(&k->proxy, &d->host)) {
	case PROXY_DIRECT:
		reach(d, &d->host, d->port);
		break;
	case PROXY_THROUGH:
		d->through = k->proxy.kind;
		reach(d, &k->proxy.host, k->proxy.port);
		break;
	case PROXY_FORBIDDEN:
		dial_end(d, ERR_DENIED, -1, NULL);
		break;
	}
}

static struct dial *
find_dial(const struct seat *s, uint32_t rid)
{
	struct dial *d = s->dials;

	while (d != NULL && d->rid != rid)
		d = d->next;
	return d;
}

static int
on_ask(void *ctx, struct link *l, const void *message, int fd)
{
	const struct dial_ask *m = message;
	struct seat *s = ctx;
	struct host h;
	struct dial *d;

	(void)l;
	(void)fd;
	if (host_parse(m->host, &h) != 0 || !span_is(m->host, h.name) ||
	    m->port == 0 || find_dial(s, m->rid) != NULL)
		return ERR_FORMAT;
	if (s->n_dials == DESK_DIALS_MAX || (d = calloc(1, sizeof(*d))) == NULL)
		return answer(s, m->rid, ERR_UNAVAILABLE, -1, NULL);
	d->seat = s;
	d->rid = m->rid;
	d->host = h;
	d->port = m->port;
	ev_timer_init(&d->deadline, on_deadline, LOOKUP_DEADLINE_S, 0.);
	d->deadline.data = d;
	d->next = s->dials;
	s->dials = d;
	s->n_dials++;
	dial_start(d);
	return 0;
}

static int
on_cancel(void *ctx, struct link *l, const void *message, int fd)
{
	const struct dial_cancel *m = message;
	struct dial *d = find_dial(ctx, m->rid);

	(void)l;
	(void)fd;
	if (d != NULL) /* else our answer crossed it */
		dial_free(d);
	return 0;
}

static const struct link_rule rules[] = {
    {&msg_dial_ask, on_ask},
    {&msg_dial_cancel, on_cancel},
};

static void
clear_dials(struct seat *s)
{
	for (struct dial *d = s->dials, *next; d != NULL; d = next) {
		next = d->next;
		dial_free(d);
	}
}

/* The link itself is freed when the session is seated again or gone; the
 * courier learns it now. */
static void
on_break(void *ctx, struct link *l, int err)
{
	struct seat *s = ctx;

	(void)shutdown(link_fd(l), SHUT_RDWR); /* gone already, or is now */
	clear_dials(s);
	log_event(err == ERR_UNAVAILABLE ? LOG_INFO : LOG_ERROR, "courier_lost",
	    LOG_STR("session", s->session), LOG_ERR(err));
}

static struct seat **
find_seat(struct desk *d, struct span session)
{
	struct seat **p = &d->seats;

	while (*p != NULL && !span_is(session, (*p)->session))
		p = &(*p)->next;
	return p;
}

void
desk_dismiss(struct desk *d, struct span session)
{
	struct seat **p = find_seat(d, session), *s = *p;

	if (s == NULL)
		return;
	*p = s->next;
	clear_dials(s);
	link_free(s->link);
	exceptions_free(s->exceptions);
	free(s);
}

static int
seat_link(struct seat *s, int fd)
{
	struct link_options o = {.self = LINK_DIALER,
	    .peer = LINK_COURIER,
	    .rules = rules,
	    .n_rules = sizeof(rules) / sizeof(rules[0]),
	    .ctx = s,
	    .on_break = on_break};

	return link_new(s->desk->loop, fd, &o, &s->link);
}

int
desk_seat(struct desk *d, struct span session, struct span descriptor, int fd)
{
	struct seat *s = calloc(1, sizeof(*s));
	int r = s == NULL ? ERR_NOMEM
			  : span_copy(session, s->session, sizeof(s->session));

	if (r != 0 || (r = exceptions_parse(descriptor, &s->exceptions)) != 0) {
		close(fd);
		free(s);
		return r;
	}
	desk_dismiss(d, session);
	s->desk = d;
	if ((r = seat_link(s, fd)) != 0) {
		exceptions_free(s->exceptions);
		free(s);
		return r;
	}
	s->next = d->seats;
	d->seats = s;
	return 0;
}

int
desk_update(struct desk *d, struct span session, struct span descriptor)
{
	struct seat *s = *find_seat(d, session);
	struct exceptions *e = NULL;
	int r;

	if (s == NULL)
		return 0; /* seated later, with a descriptor of its own */
	if ((r = exceptions_parse(descriptor, &e)) != 0) {
		desk_dismiss(d, session);
		return r;
	}
	exceptions_free(s->exceptions);
	s->exceptions = e;
	return 0;
}

int
desk_proxy(struct desk *d, const struct ctl_proxy *m)
{
	int r = proxy_take(m, &d->proxy);

	d->closed = r != 0;
	return r;
}

int
desk_new(struct ev_loop *loop, resolver_fn *fn, struct desk **out)
{
	struct desk *d = calloc(1, sizeof(*d));
	int r;

	if (d == NULL)
		return ERR_NOMEM;
	d->loop = loop;
	if ((r = resolver_new(loop, fn, &d->resolver)) != 0) {
		free(d);
		return r;
	}
	*out = d;
	return 0;
}

void
desk_free(struct desk *d)
{
	if (d == NULL)
		return;
	while (d->seats != NULL)
		desk_dismiss(d, span_str(d->seats->session));
	while (!resolver_idle(d->resolver))
		ev_run(d->loop, EVRUN_ONCE);
	resolver_free(d->resolver);
	free(d);
}
