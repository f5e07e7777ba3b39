/* SPDX-License-Identifier: ISC */
/*
 * The event loop: listener, pairs, token keeper, and one fd of the caller.
 * Trusts whoever can reach loopback in this sandbox: they are the guest.
 * At BRIDGE_PAIRS it stops accepting; a pair without memory is reset.
 */
#include "guest-agent/bridge.h"

#include "guest-agent/pair.h"
#include "guest-agent/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY_FIRST 20 /* ms between attempts to reach the host */
#define RETRY_LAST 500
#define BATCH 64

/* What an epoll event is about: data.ptr points to one of these. */
struct watch {
	enum { WATCH_LISTENER, WATCH_CALLER, WATCH_KEEPER, WATCH_PAIR } what;
	int fd;
	uint32_t events; /* as epoll knows them; 0: not there */
	struct link *link;
};

struct link {
	struct pair pair;
	bool open;	    /* the channel is there */
	bool dead;	    /* to be freed after this batch */
	long long attached; /* ms: when the token was used */
	long long until;    /* ms: no further attempt after this */
	long long deadline; /* ms, 0 none */
	long long next;	    /* ms: next attempt while not open */
	long long pause;
	struct watch watch[2];
	struct link *following;
};

struct bridge {
	const struct channel *channel;
	struct keeper keeper;
	int epoll;
	int port;
	struct watch listener, caller, helper;
	struct link *links;
	unsigned n_links;
	long long deaf_until; /* ms: out of descriptors, do not accept */
};

/* Make epoll know w with these events. Nothing wanted: taken out, because a
 * hung-up fd would be reported for ever. */
static void
watch_set(struct bridge *b, struct watch *w, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = w};
	int op = w->events == 0 ? EPOLL_CTL_ADD
		 : events == 0	? EPOLL_CTL_DEL
				: EPOLL_CTL_MOD;

	if (events == w->events)
		return;
	if (epoll_ctl(b->epoll, op, w->fd, &e) != 0)
		die(EXIT_FAILED, "epoll: %s", strerror(errno));
	w->events = events;
}

static void
watch_close(struct bridge *b, struct watch *w, bool reset)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	if (w->fd < 0)
		return;
	watch_set(b, w, 0);
	/* Unix sockets know no reset; only a courtesy for TCP. */
	if (reset)
		(void)setsockopt(
		    w->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(w->fd);
	w->fd = -1;
}

static void
link_end(struct bridge *b, struct link *l, bool reset)
{
	if (l->dead)
		return;
	watch_close(b, &l->watch[0], reset);
	watch_close(b, &l->watch[1], reset);
	l->dead = true;
}

/* The client goes to waiting for the host. */
static struct link *
link_new(struct bridge *b, int client)
{
	struct link *l = calloc(1, sizeof(*l));

	if (l == NULL || pair_init(&l->pair, client, -1) != 0) {
		free(l);
		return NULL;
	}
	for (int i = 0; i < 2; i++)
		l->watch[i] =
		    (struct watch){.what = WATCH_PAIR, .fd = -1, .link = l};
	l->watch[0].fd = client;
	l->until = l->deadline = keeper_now() + BRIDGE_HOLD;
	l->following = b->links;
	b->links = l;
	b->n_links++;
	return l;
}

static void
link_postpone(struct link *l)
{
	l->pause = l->pause == 0	       ? RETRY_FIRST
		   : l->pause * 2 > RETRY_LAST ? RETRY_LAST
					       : l->pause * 2;
	l->next = keeper_now() + l->pause;
}

/* What the client said waits, as for a host that is away. */
static void
link_again(struct bridge *b, struct link *l)
{
	watch_close(b, &l->watch[1], false);
	watch_set(b, &l->watch[0], 0);
	pair_again(&l->pair);
	l->open = false;
	l->deadline = l->until;
	link_postpone(l);
}

/* A gate that does not know our token, as after a snapshot, or that is not
 * ready yet: is there more to try than to pass its answer on? */
static bool
worth_again(struct bridge *b, const struct link *l, enum pair_state state)
{
	if (keeper_now() >= l->until)
		return false;
	return state == PAIR_LATER || keeper_doubt(&b->keeper, l->attached);
}

static void
link_step(struct bridge *b, struct link *l)
{
	enum pair_state state;

	if (l->dead || !l->open)
		return;
	state = pair_step(&l->pair);
	if (state == PAIR_REFUSED || state == PAIR_LATER) {
		if (worth_again(b, l, state)) {
			link_again(b, l);
			return;
		}
		pair_pass(&l->pair);
		state = pair_step(&l->pair);
	}
	switch (state) {
	case PAIR_DONE:
		link_end(b, l, false);
		return;
	case PAIR_BROKEN:
		link_end(b, l, true);
		return;
	case PAIR_ANSWERED:
		if (l->deadline == 0)
			l->deadline = keeper_now() + BRIDGE_LINGER;
		break;
	case PAIR_GOING:
	case PAIR_REFUSED: /* pair_pass() said no to these */
	case PAIR_LATER:
		break;
	}
	for (int i = 0; i < 2; i++)
		watch_set(b, &l->watch[i], pair_events(&l->pair, i));
}

/* No token or no host: later, unless it is over. */
static void
link_later(struct bridge *b, struct link *l)
{
	watch_close(b, &l->watch[1], false);
	if (channel_gone(b->channel))
		link_end(b, l, true);
	else
		link_postpone(l);
}

/* Connect, which may take some time, and attach. */
static void
link_attach(struct bridge *b, struct link *l)
{
	const char *token = keeper_token(&b->keeper);
	char line[API_TOKEN_MAX + 16];
	int n;

	if (token != NULL && l->watch[1].fd < 0)
		l->watch[1].fd = channel_open(b->channel);
	if (token == NULL || l->watch[1].fd < 0) {
		link_later(b, l);
		return;
	}
	if (channel_join(l->watch[1].fd, 0) != 0) {
		if (errno != EINPROGRESS) {
			link_later(b, l);
			return;
		}
		watch_set(b, &l->watch[1], EPOLLOUT);
		l->next = keeper_now() + RETRY_LAST;
		return;
	}
	l->pair.side[1] = l->watch[1].fd;
	n = snprintf(line, sizeof(line), "ATTACH %s\r\n", token);
	if (!pair_prefix(&l->pair, line, (size_t)n)) {
		link_end(b, l, true);
		return;
	}
	l->open = true;
	l->attached = keeper_now();
	l->deadline = 0;
	link_step(b, l);
}

static void
accept_one(struct bridge *b)
{
	int fd =
	    accept4(b->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int one = 1;
	struct link *l;

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			b->deaf_until = keeper_now() + 100;
		return;
	}
	/* Only speed hangs on it. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	l = link_new(b, fd);
	if (l == NULL)
		close(fd);
	else
		link_attach(b, l);
}

/* Retries and deadlines; answers the ms until the next one, -1 none. */
static long long
tend_links(struct bridge *b)
{
	long long now = keeper_now(), soonest = -1, t;

	for (struct link *l = b->links; l != NULL; l = l->following) {
		if (!l->dead && l->deadline != 0 && now >= l->deadline)
			link_end(b, l, true);
		if (!l->dead && !l->open && now >= l->next)
			link_attach(b, l);
		if (l->dead || (l->open && l->deadline == 0))
			continue;
		t = l->open || l->deadline < l->next ? l->deadline : l->next;
		if (soonest < 0 || t - now < soonest)
			soonest = t > now ? t - now : 0;
	}
	return soonest;
}

static void
sweep(struct bridge *b)
{
	struct link **at = &b->links, *l;

	while ((l = *at) != NULL) {
		if (!l->dead) {
			at = &l->following;
			continue;
		}
		*at = l->following;
		b->n_links--;
		pair_free(&l->pair);
		free(l);
	}
}

/* The helper's pipe is another one for each renewal. */
static void
tend_keeper(struct bridge *b)
{
	int fd;

	/* Out of epoll before keeper_step() may close it. */
	if (b->helper.fd >= 0)
		watch_set(b, &b->helper, 0);
	keeper_step(&b->keeper);
	fd = keeper_fd(&b->keeper);
	b->helper.fd = fd;
	if (fd >= 0)
		watch_set(b, &b->helper, EPOLLIN);
}

static int
sooner(long long a, long long b)
{
	return (int)(a < 0 ? b : b < 0 ? a : a < b ? a : b);
}

/* Everything that hangs on time; answers how long epoll may wait. */
static int
tend(struct bridge *b)
{
	long long links, now, wait;
	bool deaf;

	tend_keeper(b);
	links = tend_links(b);
	sweep(b);
	now = keeper_now();
	deaf = b->deaf_until > now;
	watch_set(
	    b, &b->listener, deaf || b->n_links >= BRIDGE_PAIRS ? 0 : EPOLLIN);
	wait = sooner(links, keeper_wait(&b->keeper));
	return deaf ? sooner(wait, b->deaf_until - now) : (int)wait;
}

static bool
dispatch(struct bridge *b, struct watch *w, bool (*ready)(void *), void *arg)
{
	switch (w->what) {
	case WATCH_LISTENER:
		accept_one(b);
		return true;
	case WATCH_CALLER:
		return ready(arg);
	case WATCH_KEEPER:
		return true; /* tend() looks after it */
	case WATCH_PAIR:
		if (!w->link->dead && !w->link->open)
			link_attach(b, w->link);
		else
			link_step(b, w->link);
		return true;
	}
	return true;
}

void
bridge_serve(struct bridge *b, int fd, bool (*ready)(void *), void *arg)
{
	struct epoll_event events[BATCH];
	bool going = true;

	b->caller = (struct watch){.what = WATCH_CALLER, .fd = fd};
	watch_set(b, &b->caller, EPOLLIN);
	while (going) {
		int n = epoll_wait(b->epoll, events, BATCH, tend(b));

		if (n < 0 && errno != EINTR)
			die(EXIT_FAILED, "epoll: %s", strerror(errno));
		for (int i = 0; i < n; i++)
			going &= dispatch(b, events[i].data.ptr, ready, arg);
	}
	watch_set(b, &b->caller, 0);
}

static int
listen_at(int port, int *actual)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int one = 1, saved;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	/* Only so that a restarted `serve` finds its port free. */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
	    listen(fd, 128) == 0 &&
	    getsockname(fd, (struct sockaddr *)&a, &n) == 0) {
		*actual = ntohs(a.sin_port);
		return fd;
	}
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static struct bridge *
bridge_new(const struct channel *c, const struct api_token *first)
{
	struct bridge *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->channel = c;
	b->helper = (struct watch){.what = WATCH_KEEPER, .fd = -1};
	b->listener = (struct watch){.what = WATCH_LISTENER, .fd = -1};
	b->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (b->epoll < 0) {
		free(b);
		return NULL;
	}
	keeper_start(&b->keeper, c, first);
	return b;
}

struct bridge *
bridge_open(const struct channel *c, int port, const struct api_token *first)
{
	struct bridge *b = bridge_new(c, first);

	if (b == NULL || (b->listener.fd = listen_at(port, &b->port)) >= 0)
		return b;
	keeper_stop(&b->keeper);
	close(b->epoll);
	free(b);
	return NULL;
}

struct bridge *
bridge_over(const struct channel *c, int listener, int port,
    const struct api_token *first)
{
	struct bridge *b = bridge_new(c, first);

	if (b == NULL)
		return NULL;
	b->keeper.narrow = true;
	b->listener.fd = listener;
	b->port = port;
	return b;
}

int
bridge_port(const struct bridge *b)
{
	return b->port;
}

const char *
bridge_token(const struct bridge *b)
{
	return keeper_token(&b->keeper);
}

void
bridge_close(struct bridge *b)
{
	for (struct link *l = b->links; l != NULL; l = l->following)
		link_end(b, l, true);
	sweep(b);
	if (b->helper.fd >= 0)
		watch_set(b, &b->helper, 0);
	keeper_stop(&b->keeper);
	watch_close(b, &b->listener, false);
	close(b->epoll);
	free(b);
}
