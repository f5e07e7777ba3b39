/* SPDX-License-Identifier: ISC */
/* What for: vault.sock: one request, one reply. Trusts: the kernel for who
 * calls (our own uid or root), asked before a byte is read. At a bound:
 * closes the connection. */
#include "vault/service_in.h"

#include "lib/log.h"
#include "lib/unixsock.h"
#include "messages/vault_cli.h"

#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALLERS_MAX 8
#define REQUEST_S 10. /* a request must have come by then */
#define REPLY_S 10.   /* and its reply have been taken */

struct caller {
	struct door *door;
	struct caller *next;
	struct link *l;
	struct ev_timer deadline;
	struct ev_timer end; /* closes outside of the link's callbacks */
	bool asked, replied;
	uint64_t serial;
	/* The answer, until couriers have settled what changed. */
	bool holds;
	uint32_t until;
	struct answer held;
};

struct door {
	struct service *s;
	struct ev_io accept;
	gid_t group; /* whose members may call, or UNIXSOCK_NO_GROUP */
	struct caller *callers;
	size_t n;
	uint64_t serial;
};

/* It is off the list already. */
static void
caller_end(struct caller *c)
{
	ev_timer_stop(c->door->s->loop, &c->deadline);
	ev_timer_stop(c->door->s->loop, &c->end);
	link_free(c->l);
	answer_clear(&c->held);
	free(c);
}

static void
caller_free(struct caller *c)
{
	struct door *d = c->door;
	struct caller **at = &d->callers;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	d->n--;
	caller_end(c);
	if (d->n < CALLERS_MAX)
		ev_io_start(d->s->loop, &d->accept);
}

static void
on_timer(struct ev_loop *loop, struct ev_timer *t, int events)
{
	(void)loop;
	(void)events;
	caller_free(t->data);
}

static void
on_break(void *ctx, struct link *l, int err)
{
	struct caller *c = ctx;

	(void)l;
	if (err != ERR_UNAVAILABLE)
		log_event(LOG_WARN, "vault_caller_refused", LOG_ERR(err));
	ev_timer_start(c->door->s->loop, &c->end);
}

/* The queue went empty: the reply is with the kernel. */
static void
on_drain(void *ctx, struct link *l)
{
	struct caller *c = ctx;

	(void)l;
	if (c->replied)
		ev_timer_start(c->door->s->loop, &c->end);
}

struct request {
	struct job job;
	struct door *door;
	uint64_t serial;
	char verb[33];
	char *json;
	size_t json_n;
	struct keep *secret;
	struct answer a;
};

static void
request_free(struct job *j)
{
	struct request *q = (struct request *)j;

	keep_free(q->secret);
	if (q->json != NULL)
		buf_wipe(q->json, q->json_n);
	free(q->json);
	answer_clear(&q->a);
	free(q);
}

static void
request_run(struct job *j, struct house *h)
{
	struct request *q = (struct request *)j;

	verbs_run(h, q->door->s->transfer, q->verb, span_of(q->json, q->json_n),
	    q->secret, &q->a);
	keep_free(q->secret);
	q->secret = NULL;
}

static void
send_reply(struct caller *c, const struct answer *a)
{
	struct vault_reply m = {.err = a->err};

	if (a->err == 0) {
		m.json = span_str(a->json);
	} else {
		m.what = span_str(a->words.what);
		m.next = span_str(a->words.next);
	}
	c->replied = true;
	ev_timer_stop(c->door->s->loop, &c->deadline);
	ev_timer_set(&c->deadline, REPLY_S, 0.);
	ev_timer_start(c->door->s->loop, &c->deadline);
	if (link_send(c->l, &msg_vault_reply, &m, -1) == 0)
		return;
	m = (struct vault_reply){.err = ERR_TOO_BIG,
	    .what = span_str("The reply is too large."),
	    .next = span_str("Ask for one thing at a time.")};
	if (link_send(c->l, &msg_vault_reply, &m, -1) != 0)
		ev_timer_start(c->door->s->loop, &c->end);
}

static void
log_verb(const struct request *q)
{
	log_event(q->a.err == 0 ? LOG_INFO : LOG_WARN, "vault_verb",
	    LOG_STR("verb", q->verb), LOG_STR("credential", q->a.changed),
	    LOG_STR("result", q->a.err == 0 ? "ok" : err_text(q->a.err)));
}

void
door_settled(struct door *d)
{
	for (struct caller *c = d == NULL ? NULL : d->callers; c != NULL;
	     c = c->next) {
		if (!c->holds || !session_settled(d->s, c->until))
			continue;
		c->holds = false;
		if (!link_broken(c->l))
			send_reply(c, &c->held);
		answer_clear(&c->held);
	}
}

/* Couriers first: when the caller hears that it is done, it is. */
static bool
tell_couriers(struct service *s, const struct answer *a)
{
	if (a->all_changed)
		session_tell_changed(s, NULL, 0);
	if (a->changed[0] != '\0')
		session_tell_changed(s, a->changed, a->version);
	return a->all_changed || a->changed[0] != '\0';
}

static void
reply_to(struct caller *c, struct request *q, bool changed)
{
	if (changed) {
		c->holds = true;
		c->until = c->door->s->changes;
		c->held = q->a;
		memset(&q->a, 0, sizeof(q->a));
		door_settled(c->door);
		return;
	}
	send_reply(c, &q->a);
	if (q->a.restart && link_flush(c->l, 1000) != 0)
		log_event(
		    LOG_WARN, "vault_reply_lost", LOG_STR("verb", q->verb));
}

static void
request_done(struct job *j)
{
	struct request *q = (struct request *)j;
	struct service *s = q->door->s;
	bool changed = tell_couriers(s, &q->a), restart = q->a.restart;

	log_verb(q);
	for (struct caller *c = q->door->callers; c != NULL; c = c->next) {
		if (c->serial != q->serial || link_broken(c->l))
			continue;
		reply_to(c, q, changed);
		break;
	}
	if (restart)
		s->on_end(s->loop);
}

static int
make_request(const struct vault_request *m, struct request **out)
{
	struct request *q = calloc(1, sizeof(*q));
	int r;

	if (q == NULL)
		return ERR_NOMEM;
	q->json = malloc(m->json.n + 1);
	r = q->json == NULL ? ERR_NOMEM : 0;
	if (r == 0) {
		if (m->json.n != 0)
			memcpy(q->json, m->json.p, m->json.n);
		q->json_n = m->json.n;
		r = span_copy(m->verb, q->verb, sizeof(q->verb));
	}
	if (r == 0 && m->secret.n != 0)
		r = keep_new(m->secret.p, m->secret.n, &q->secret);
	if (r != 0) {
		request_free(&q->job);
		return r;
	}
	*out = q;
	return 0;
}

static int
on_request(void *ctx, struct link *l, const void *msg, int fd)
{
	struct caller *c = ctx;
	struct service *s = c->door->s;
	struct request *q = NULL;
	int r;

	(void)l;
	(void)fd;
	if (c->asked)
		return ERR_SEQUENCE;
	c->asked = true;
	ev_timer_stop(s->loop, &c->deadline);
	if ((r = make_request(msg, &q)) != 0)
		return r;
	q->job.run = request_run;
	q->job.done = request_done;
	q->job.free = request_free;
	q->job.slow = verbs_slow(q->verb);
	q->door = c->door;
	q->serial = c->serial;
	if ((r = worker_push(s->worker, &q->job)) != 0)
		request_free(&q->job);
	return r;
}

static const struct link_rule rules[] = {
    {&msg_vault_request, on_request},
};

static int
admit(struct door *d, int fd)
{
	struct link_options o = {.self = LINK_VAULT,
	    .peer = LINK_CLI,
	    .rules = rules,
	    .n_rules = 1,
	    .on_break = on_break,
	    .on_drain = on_drain,
	    .secret = true};
	struct caller *c = calloc(1, sizeof(*c));
	int r;

	if (c == NULL) {
		close(fd);
		return ERR_NOMEM;
	}
	o.ctx = c;
	c->door = d;
	c->serial = ++d->serial;
	ev_timer_init(&c->deadline, on_timer, REQUEST_S, 0.);
	ev_timer_init(&c->end, on_timer, 0., 0.);
	c->deadline.data = c;
	c->end.data = c;
	if ((r = link_new(d->s->loop, fd, &o, &c->l)) != 0) {
		free(c);
		return r;
	}
	ev_timer_start(d->s->loop, &c->deadline);
	c->next = d->callers;
	d->callers = c;
	d->n++;
	return 0;
}

static bool
welcome(int fd, gid_t group)
{
	uid_t uid = (uid_t)-1;
	pid_t pid = 0;

	if (unixsock_peer_admin(fd, group))
		return true;
	(void)!unixsock_peer(fd, &uid, &pid); /* for the log only */
	log_event(LOG_WARN, "vault_caller_refused",
	    LOG_INT("uid", (int64_t)uid), LOG_INT("pid", pid));
	return false;
}

static void
on_accept(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct door *d = w->data;
	int fd, r;

	(void)events;
	fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (!welcome(fd, d->group)) {
		close(fd);
		return;
	}
	if ((r = admit(d, fd)) != 0)
		log_event(LOG_WARN, "vault_caller_refused", LOG_ERR(r));
	if (d->n >= CALLERS_MAX)
		ev_io_stop(loop, w); /* the others wait in the backlog */
}

int
door_new(struct service *s, int listen_fd, gid_t group, struct door **out)
{
	struct door *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return ERR_NOMEM;
	d->s = s;
	d->group = group;
	ev_io_init(&d->accept, on_accept, listen_fd, EV_READ);
	d->accept.data = d;
	ev_io_start(s->loop, &d->accept);
	*out = d;
	return 0;
}

void
door_free(struct door *d)
{
	if (d == NULL)
		return;
	while (d->callers != NULL) {
		struct caller *c = d->callers;
		d->callers = c->next;
		caller_end(c);
	}
	ev_io_stop(d->s->loop, &d->accept);
	free(d);
}
