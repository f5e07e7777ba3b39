/* SPDX-License-Identifier: ISC */
/* What for: blocking lookups in threads. Trusts: libc's resolver to keep
 * its memory safe; its answers go through the address rule. At a bound:
 * lookups wait, and their owner's deadline ends the wait. */
#include "egress/dialer/resolver.h"

#include "messages/control.h"
#include "scope/host.h"

#include <netdb.h>
#include <nss.h>
#include <pthread.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>

#define STACK_SIZE (512 * 1024)

enum state { WAITING, RUNNING, FINISHED };

/* The thread writes err and list, then (under the lock) state; the loop
 * touches all else. */
struct lookup {
	struct lookup *next;
	struct resolver *r;
	char session[SESSION_ID_MAX + 1];
	char host[HOST_MAX];
	uint16_t port;
	enum state state;
	lookup_done *done; /* NULL: no longer wanted */
	void *ctx;
	int err;
	struct address_list list;
};

struct resolver {
	struct ev_loop *loop;
	struct ev_async woken;
	resolver_fn *fn;
	pthread_mutex_t lock; /* of every state field */
	struct lookup *first; /* oldest first; the loop's alone */
};

int
resolver_prepare(void)
{
	return __nss_configure_lookup("hosts", "files dns") == 0 ? 0 : ERR_IO;
}

/* The next of family from ai on. */
static const struct addrinfo *
next_of(const struct addrinfo *ai, int family)
{
	while (ai != NULL && (ai->ai_family != family ||
				 ai->ai_addrlen > sizeof(union address)))
		ai = ai->ai_next;
	return ai;
}

/* The families take turns (RFC 8305, section 4), the one that the system
 * puts first begins: else many dead addresses of one family would leave no
 * room for the other. */
static void
take_turns(const struct addrinfo *ai, struct address_list *out)
{
	int first = ai != NULL && ai->ai_family == AF_INET ? AF_INET : AF_INET6;
	int other = first == AF_INET ? AF_INET6 : AF_INET;
	const struct addrinfo *a = next_of(ai, first), *b = next_of(ai, other);

	out->n = 0;
	while (out->n < ADDRESS_LIST_MAX && (a != NULL || b != NULL)) {
		bool turn = a != NULL && (out->n % 2 == 0 || b == NULL);
		const struct addrinfo **of = turn ? &a : &b;
		memcpy(&out->a[out->n++], (*of)->ai_addr, (*of)->ai_addrlen);
		*of = next_of((*of)->ai_next, (*of)->ai_family);
	}
}

/* Of this thread alone, which makes one lookup: a name is looked up as it
 * is, never with a suffix of resolv.conf's search list, and a server that
 * is dead leaves time for the next one. */
static int
bound_resolver(void)
{
	if (res_ninit(&_res) != 0)
		return ERR_UNAVAILABLE;
	_res.options &= ~(unsigned long)(RES_DNSRCH | RES_DEFNAMES);
	if (_res.retrans > RESOLVER_WAIT_S)
		_res.retrans = RESOLVER_WAIT_S;
	if (_res.retry > RESOLVER_TRIES)
		_res.retry = RESOLVER_TRIES;
	return 0;
}

int
resolver_system(const char *host, uint16_t port, struct address_list *out)
{
	struct addrinfo hints = {
	    .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *ai = NULL;
	char service[8];
	int e;

	if ((e = bound_resolver()) != 0)
		return e;
	(void)snprintf(service, sizeof(service), "%u", port); /* fits */
	e = getaddrinfo(host, service, &hints, &ai);
	if (e != 0)
		return e == EAI_NONAME || e == EAI_NODATA ? ERR_NOT_FOUND
							  : ERR_UNAVAILABLE;
	take_turns(ai, out);
	freeaddrinfo(ai);
	return out->n == 0 ? ERR_NOT_FOUND : 0;
}

static void *
run(void *arg)
{
	struct lookup *l = arg;
	struct resolver *r = l->r;

	l->err = r->fn(l->host, l->port, &l->list);
	pthread_mutex_lock(&r->lock);
	l->state = FINISHED;
	/* Inside the lock: the loop may free l as soon as it is open. */
	ev_async_send(r->loop, &r->woken);
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

static int
start_thread(struct lookup *l)
{
	pthread_attr_t attr;
	pthread_t t;
	int e;

	if (pthread_attr_init(&attr) != 0)
		return ERR_NOMEM;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	l->state = RUNNING;
	if ((e = pthread_create(&t, &attr, run, l)) != 0)
		l->state = WAITING;
	pthread_attr_destroy(&attr);
	return e == 0 ? 0 : ERR_NOMEM;
}

/* May l start now? With the lock held. */
static bool
has_place(const struct resolver *r, const struct lookup *l)
{
	unsigned all = 0, own = 0;

	for (const struct lookup *o = r->first; o != NULL; o = o->next) {
		if (o->state != RUNNING)
			continue;
		all++;
		own += strcmp(o->session, l->session) == 0;
	}
	return all < RESOLVER_THREADS && own < RESOLVER_PER_SESSION;
}

static void
start_waiting(struct resolver *r)
{
	pthread_mutex_lock(&r->lock);
	for (struct lookup *l = r->first; l != NULL; l = l->next) {
		if (l->state == WAITING && has_place(r, l) &&
		    start_thread(l) != 0)
			break; /* no thread now: the next wake-up retries */
	}
	pthread_mutex_unlock(&r->lock);
}

static void
unlink_lookup(struct lookup *l)
{
	struct lookup **p = &l->r->first;

	while (*p != l)
		p = &(*p)->next;
	*p = l->next;
}

static struct lookup *
take_finished(struct resolver *r)
{
	struct lookup *l;

	pthread_mutex_lock(&r->lock);
	for (l = r->first; l != NULL && l->state != FINISHED; l = l->next)
		;
	if (l != NULL)
		unlink_lookup(l);
	pthread_mutex_unlock(&r->lock);
	return l;
}

static void
on_woken(struct ev_loop *loop, struct ev_async *w, int events)
{
	struct resolver *r = w->data;
	struct lookup *l;

	(void)loop;
	(void)events;
	while ((l = take_finished(r)) != NULL) {
		if (l->done != NULL)
			l->done(l->ctx, l->err, &l->list);
		free(l);
	}
	start_waiting(r);
}

int
resolver_new(struct ev_loop *loop, resolver_fn *fn, struct resolver **out)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return ERR_NOMEM;
	r->loop = loop;
	r->fn = fn;
	if (pthread_mutex_init(&r->lock, NULL) != 0) {
		free(r);
		return ERR_NOMEM;
	}
	ev_async_init(&r->woken, on_woken);
	r->woken.data = r;
	ev_async_start(loop, &r->woken);
	*out = r;
	return 0;
}

bool
resolver_idle(const struct resolver *r)
{
	return r->first == NULL;
}

void
resolver_free(struct resolver *r)
{
	if (r == NULL)
		return;
	if (r->first != NULL)
		abort();
	ev_async_stop(r->loop, &r->woken);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static int
fill(struct lookup *l, const char *session, const char *host)
{
	int e = span_copy(span_str(session), l->session, sizeof(l->session));

	return e != 0 ? e : span_copy(span_str(host), l->host, sizeof(l->host));
}

int
lookup_new(struct resolver *r, const char *session, const char *host,
    uint16_t port, lookup_done *done, void *ctx, struct lookup **out)
{
	struct lookup *l = calloc(1, sizeof(*l)), **end;
	int e = l == NULL ? ERR_NOMEM : fill(l, session, host);

	if (e != 0) {
		free(l);
		return e;
	}
	l->r = r;
	l->port = port;
	l->done = done;
	l->ctx = ctx;
	for (end = &r->first; *end != NULL; end = &(*end)->next)
		;
	*end = l;
	start_waiting(r);
	*out = l;
	return 0;
}

void
lookup_free(struct lookup *l)
{
	if (l == NULL)
		return;
	pthread_mutex_lock(&l->r->lock);
	enum state state = l->state;
	pthread_mutex_unlock(&l->r->lock);
	l->done = NULL;
	if (state == WAITING) {
		unlink_lookup(l);
		free(l);
	}
}
