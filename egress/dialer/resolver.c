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

/* One session's: how many run, and which wait, oldest first. There is one as
 * long as it has any. */
struct party {
	struct party *next;
	char session[SESSION_ID_MAX + 1];
	unsigned running;
	struct lookup *first, **end;
};

/* The thread writes err and list, then (under the lock) puts it among the
 * finished; the loop touches all else. */
struct lookup {
	struct lookup *next, **at; /* of those that wait; next: finished, too */
	struct resolver *r;
	struct party *party;
	char host[HOST_MAX];
	uint16_t port;
	bool running;
	lookup_done *done; /* NULL: no longer wanted */
	void *ctx;
	int err;
	struct address_list list;
};

struct resolver {
	struct ev_loop *loop;
	struct ev_async woken;
	resolver_fn *fn;
	unsigned running;
	struct party *first, **end; /* who was served last is at the end */
	pthread_mutex_t lock;	    /* of those: */
	struct lookup *finished, **finished_end;
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
	l->next = NULL;
	*r->finished_end = l;
	r->finished_end = &l->next;
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
	e = pthread_create(&t, &attr, run, l);
	pthread_attr_destroy(&attr);
	return e == 0 ? 0 : ERR_NOMEM;
}

/* Out of those that wait. */
static void
leave(struct lookup *l)
{
	*l->at = l->next;
	if (l->next != NULL)
		l->next->at = l->at;
	else
		l->party->end = l->at;
}

static void
wait_in(struct lookup *l, struct party *p)
{
	l->next = NULL;
	l->party = p;
	l->at = p->end;
	*p->end = l;
	p->end = &l->next;
}

static bool
may_start(const struct resolver *r, const struct party *p)
{
	return p->first != NULL && p->running < RESOLVER_PER_SESSION &&
	       r->running < RESOLVER_THREADS;
}

/* The oldest that waits. false: no thread now, the next wake-up retries. */
static bool
start_one(struct party *p)
{
	struct lookup *l = p->first;
	struct resolver *r = l->r;

	leave(l);
	l->running = true;
	p->running++;
	r->running++;
	if (start_thread(l) == 0)
		return true;
	r->running--;
	p->running--;
	l->running = false;
	wait_in(l, p);
	return false;
}

static struct party **
place_of(struct resolver *r, const struct party *p)
{
	struct party **at = &r->first;

	while (*at != p)
		at = &(*at)->next;
	return at;
}

static void
take_out(struct resolver *r, struct party *p)
{
	struct party **at = place_of(r, p);

	*at = p->next;
	if (p->next == NULL)
		r->end = at;
}

static void
put_last(struct resolver *r, struct party *p)
{
	p->next = NULL;
	*r->end = p;
	r->end = &p->next;
}

/* One of each session in turn, as long as there is room. */
static void
start_waiting(struct resolver *r)
{
	struct party *p = r->first, *next;

	for (; p != NULL; p = next) {
		next = p->next;
		if (!may_start(r, p))
			continue;
		if (!start_one(p))
			return;
		if (next == NULL)
			next = p; /* it is the last already */
		take_out(r, p);
		put_last(r, p);
	}
}

static void
forget_if_empty(struct resolver *r, struct party *p)
{
	if (p->running > 0 || p->first != NULL)
		return;
	take_out(r, p);
	free(p);
}

static struct lookup *
take_finished(struct resolver *r)
{
	struct lookup *all;

	pthread_mutex_lock(&r->lock);
	all = r->finished;
	r->finished = NULL;
	r->finished_end = &r->finished;
	pthread_mutex_unlock(&r->lock);
	return all;
}

static void
on_woken(struct ev_loop *loop, struct ev_async *w, int events)
{
	struct resolver *r = w->data;
	struct lookup *l, *next;

	(void)loop;
	(void)events;
	for (l = take_finished(r); l != NULL; l = next) {
		next = l->next;
		if (l->done != NULL)
			l->done(l->ctx, l->err, &l->list);
		r->running--;
		l->party->running--;
		forget_if_empty(r, l->party);
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
	r->end = &r->first;
	r->finished_end = &r->finished;
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

/* The session's, made when there is none. */
static struct party *
party_of(struct resolver *r, const char *session)
{
	struct party *p = r->first;

	while (p != NULL && strcmp(p->session, session) != 0)
		p = p->next;
	if (p != NULL || (p = calloc(1, sizeof(*p))) == NULL)
		return p;
	if (span_copy(span_str(session), p->session, sizeof(p->session)) != 0) {
		free(p);
		return NULL;
	}
	p->end = &p->first;
	put_last(r, p);
	return p;
}

int
lookup_new(struct resolver *r, const char *session, const char *host,
    uint16_t port, lookup_done *done, void *ctx, struct lookup **out)
{
	struct lookup *l = calloc(1, sizeof(*l));
	struct party *p;
	int e = l == NULL
		    ? ERR_NOMEM
		    : span_copy(span_str(host), l->host, sizeof(l->host));

	if (e == 0 && (p = party_of(r, session)) == NULL)
		e = ERR_NOMEM;
	if (e != 0) {
		free(l);
		return e;
	}
	l->r = r;
	l->port = port;
	l->done = done;
	l->ctx = ctx;
	wait_in(l, p);
	/* Others that wait have no more room than before. */
	if (may_start(r, p))
		(void)start_one(p);
	*out = l;
	return 0;
}

void
lookup_free(struct lookup *l)
{
	if (l == NULL)
		return;
	l->done = NULL;
	if (l->running)
		return;
	leave(l);
	forget_if_empty(l->r, l->party);
	free(l);
}
