/* SPDX-License-Identifier: ISC */
/* What for: which connection a call runs on. Trusts: upstream.c for who is
 * there; that connections of one key may be shared. At a bound: another
 * connection. */
#include "egress/courier/call_inside.h"

#include <stdlib.h>

/* A call that was sent on so often stays where it is: its owner's patience
 * ends, not our dialling. */
#define MOVES_MAX 4

static bool
shared(const struct line *l)
{
	return l->type == &call_h2;
}

size_t
line_load(const struct line *l)
{
	size_t n = 0;

	for (const struct call *k = l->calls; k != NULL; k = k->next)
		n++;
	return n;
}

static void
destroy(struct line *l)
{
	ev_clear_pending(pool_loop(l->pool), &l->turn);
	h2_free(l->h2);
	buf_free(l->out);
	free(l);
}

/* The socket goes now, the rest when nobody is in it. */
void
line_free(struct line *l)
{
	upstream_free(l->up);
	l->up = NULL;
	l->gone = true;
	if (l->busy == 0)
		destroy(l);
}

void
line_later(struct line *l)
{
	if (!l->gone)
		ev_feed_event(pool_loop(l->pool), &l->turn, EV_TIMER);
}

void
line_fail(struct line *l, enum reason reason)
{
	upstream_free(l->up);
	l->up = NULL;
	l->retired = true;
	if (!l->failed)
		l->reason = reason;
	l->failed = true;
	line_later(l);
}

static void
add(struct line *l, struct call *k)
{
	struct call **at = &l->calls;

	while (*at != NULL)
		at = &(*at)->next;
	*at = k;
	k->next = NULL;
	k->line = l;
}

void
line_remove(struct call *k)
{
	struct call **at = &k->line->calls;

	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	k->next = NULL;
	k->line = NULL;
}

void
line_remove_waiting(struct call *k)
{
	struct line *l = k->line;

	line_remove(k);
	if (!shared(l) && l->calls == NULL)
		line_free(l); /* nobody waits for it any more */
	else
		line_later(l);
}

static void
open_call(struct call *k)
{
	struct line *l = k->line;

	k->type = l->type;
	k->open = true;
	if (span_copy(
		upstream_address(l->up), k->address, sizeof(k->address)) != 0)
		k->address[0] = '\0';
}

/* To find another line. */
static void
send_on(struct call *k)
{
	int r;

	line_remove(k);
	if ((r = line_join(k)) != 0)
		call_tell(k, CALL_BROKEN,
		    r == ERR_UNAVAILABLE ? REASON_NOT_READY : REASON_INTERNAL);
	else if (k->open)
		call_tell(k, CALL_OPEN, REASON_NONE);
}

static size_t
count_open(const struct line *l)
{
	size_t n = 0;

	for (const struct call *k = l->calls; k != NULL; k = k->next)
		n += k->open ? 1 : 0;
	return n;
}

static struct call *
first_waiting(const struct line *l)
{
	struct call *k = l->calls;

	while (k != NULL && k->open)
		k = k->next;
	return k;
}

/* How many calls may be open on it. */
static size_t
limit(const struct line *l)
{
	if (l->retired || l->type == NULL)
		return 0;
	return shared(l) ? h2_limit(l->h2) : 1;
}

/* Those that wait go ahead, or elsewhere. A line of HTTP/2 whose limit is
 * not known yet keeps them until it is. */
static void
serve_waiting(struct line *l)
{
	struct call *k;

	/* One call's end would be the end of such a line: first the rest. */
	while (!shared(l) && l->calls != NULL && (k = l->calls->next) != NULL) {
		k->moves++;
		send_on(k);
	}
	while (!l->gone && !l->failed && (k = first_waiting(l)) != NULL) {
		if (count_open(l) < limit(l)) {
			open_call(k);
			call_tell(k, CALL_OPEN, REASON_NONE);
		} else if ((shared(l) && !l->retired && !h2_settled(l->h2)) ||
			   k->moves >= MOVES_MAX) {
			return;
		} else {
			k->moves++;
			send_on(k);
		}
	}
}

/* Each is told once, and is nothing of this line's then. */
static void
tell_failed(struct line *l)
{
	while (l->calls != NULL) {
		struct call *k = l->calls;
		line_remove(k);
		if (k->open) /* only HTTP/2 fails with open ones */
			call_h2_orphan(l, k);
		else
			call_tell(k, CALL_BROKEN, l->reason);
	}
	line_free(l);
}

static void
after_turn(struct line *l)
{
	if (l->failed) {
		tell_failed(l);
		return;
	}
	if (l->type == NULL)
		return; /* it connects: those who wait go on waiting */
	if (shared(l)) {
		call_h2_flush(l);
		l->retired |= h2_closing(l->h2);
	}
	serve_waiting(l);
	if (l->gone || l->failed || !shared(l) || l->calls != NULL)
		return;
	if (l->retired || !upstream_park(l->up))
		line_free(l);
}

static void
on_turn(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct line *l = w->data;

	(void)loop;
	(void)events;
	l->busy++;
	after_turn(l);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it was busy until here */
	if (--l->busy == 0 && l->gone)
		destroy(l);
}

static const struct call_type *
type_of(const struct upstream *u)
{
	static const struct call_type *const types[] = {
	    [UPSTREAM_PLAIN] = &call_plain,
	    [UPSTREAM_H1] = &call_h1,
	    [UPSTREAM_H2] = &call_h2};

	return types[upstream_protocol(u)];
}

static void
on_open(struct line *l)
{
	l->type = type_of(l->up);
	if (shared(l) && call_h2_start(l) != 0) {
		line_fail(l, REASON_INTERNAL);
		return;
	}
	serve_waiting(l);
	if (!shared(l) && l->calls == NULL && !l->gone)
		line_free(l); /* retired before it stood */
}

static void
on_upstream(void *ctx, struct upstream *u, enum upstream_event event,
    enum reason reason)
{
	struct line *l = ctx;

	(void)u;
	l->busy++;
	if (event == UPSTREAM_EOF) {
		l->eof = true;
		l->eof_broken = reason != REASON_NONE;
	}
	if (event == UPSTREAM_OPEN) {
		on_open(l);
	} else if (event == UPSTREAM_RETIRED) {
		l->retired = true;
		if (l->calls == NULL)
			line_free(l);
	} else if (l->type == NULL || (event == UPSTREAM_BROKEN && shared(l))) {
		line_fail(l, reason);
	} else if (event == UPSTREAM_BROKEN) {
		call_tell(l->calls, CALL_BROKEN, reason);
	} else {
		l->type->event(l, event);
	}
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it was busy until here */
	if (--l->busy == 0 && l->gone)
		destroy(l);
}

static struct line *
make(struct pool *p)
{
	struct line *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->pool = p;
	ev_timer_init(&l->turn, on_turn, 0., 0.);
	/* Before streams write (EV_MINPRI): their bytes go in one turn. */
	ev_set_priority(&l->turn, EV_MINPRI + 1);
	l->turn.data = l;
	return l;
}

/* One that others of this key use or wait for, with room for one more. */
static struct line *
find(const struct call *k)
{
	struct upstream *u = NULL;
	bool wait = pool_waits(k->pool, &k->key);

	if (k->key.tunnel || k->key.http1 || !(wait || pool_shares(k->pool)))
		return NULL;
	while ((u = upstream_like(k->pool, &k->key, u)) != NULL) {
		struct line *l = upstream_owner(u);
		if (l->retired || l->gone || l->failed)
			continue;
		if (l->type == NULL ? wait
				    : shared(l) && (!h2_settled(l->h2) ||
						       line_load(l) < limit(l)))
			return l;
	}
	return NULL;
}

int
line_join(struct call *k)
{
	struct line *l = find(k);
	int r;

	if (l == NULL) {
		if ((l = make(k->pool)) == NULL)
			return ERR_NOMEM;
		if ((r = upstream_get(k->pool, &k->key, k->ca_pem, on_upstream,
			 l, &l->up)) != 0) {
			free(l);
			return r;
		}
		if (upstream_open(l->up))
			l->type = type_of(l->up);
	} else if (l->calls == NULL) {
		upstream_unpark(l->up);
	}
	add(l, k);
	if (first_waiting(l) == k && count_open(l) < limit(l))
		open_call(k);
	return 0;
}
