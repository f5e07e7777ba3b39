/* SPDX-License-Identifier: ISC */
/* What for: a gate and a courier in waiting. Trusts: the kernel for whether
 * files changed. At a bound: the session's are started as any others. */
#include "supervisor/spare.h"

#include "lib/log.h"
#include "messages/control.h"
#include "supervisor/daemon.h"

#include <fcntl.h>
#include <string.h>

/* Until the session that took the last one has begun. */
#define REFILL_S 0.02

/* What a program holds on to from its start: its libraries (whoever installs
 * one renews the cache), and the directories that its walls let it see. */
static const char *const looked_at[SPARE_LOOKED_AT] = {
    "/etc/ld.so.cache",
    "/etc/ssl/certs",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
};

static const enum link_role role_of[SPARES] = {LINK_COURIER, LINK_GATE};

static size_t
index_of(enum link_role role)
{
	return role == role_of[0] ? 0 : 1;
}

static void
look(struct spare_sight out[static SPARE_LOOKED_AT])
{
	memset(out, 0, SPARE_LOOKED_AT * sizeof(out[0]));
	for (size_t i = 0; i < SPARE_LOOKED_AT; i++) {
		struct stat st;
		if (stat(looked_at[i], &st) == 0) /* else: not there */
			out[i] = (struct spare_sight){
			    st.st_dev, st.st_ino, st.st_ctim};
	}
}

static bool
same(const struct spare_sight *a, const struct spare_sight *b)
{
	return a->dev == b->dev && a->ino == b->ino &&
	       a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec;
}

static bool
is_stale(const struct daemon *d, size_t i)
{
	struct spare_sight now[SPARE_LOOKED_AT];
	bool stale = false;

	look(now);
	for (size_t k = 0; k < SPARE_LOOKED_AT; k++)
		stale = stale || !same(&now[k], &d->spare.of[i].saw[k]);
	return stale;
}

/* One after the other: the session that was just made has the other core. */
static void
refill(struct daemon *d)
{
	for (size_t i = 0; i < SPARES && !d->stopping; i++) {
		struct process *p = d->spare.of[i].p;
		if (p != NULL && p->state == PROCESS_WAITING)
			continue;
		if (p == NULL &&
		    (p = process_new(d, NULL, role_of[i])) != NULL) {
			d->spare.of[i].p = p;
			process_start(p);
		}
		return;
	}
}

static void
on_refill(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	refill(w->data);
}

void
spare_init(struct daemon *d)
{
	ev_timer_init(&d->spare.refill, on_refill, REFILL_S, 0.);
	d->spare.refill.data = d;
}

void
spare_soon(struct daemon *d)
{
	if (!d->told_ready || ev_is_active(&d->spare.refill))
		return;
	ev_timer_set(&d->spare.refill, REFILL_S, 0.);
	ev_timer_start(d->loop, &d->spare.refill);
}

void
spare_born(struct process *p)
{
	look(p->daemon->spare.of[index_of(p->role)].saw);
}

void
spare_ready(struct process *p)
{
	p->state = PROCESS_WAITING;
	log_event(LOG_INFO, "waiting", LOG_STR("role", link_role_name(p->role)),
	    LOG_INT("pid", p->pid));
	process_report(p);
	refill(p->daemon);
}

void
spare_retire(struct process *p)
{
	p->retired = process_lives(p);
	process_kill(p);
}

static bool
fits(const struct session *s, enum link_role role)
{
	return role == LINK_GATE ? s->listen >= 0 : trail_begins(&s->trail);
}

static struct process *
take(struct session *s, enum link_role role)
{
	struct daemon *d = s->daemon;
	size_t i = index_of(role);
	struct process *p = d->spare.of[i].p;

	if (p == NULL || !process_lives(p) || p->retired ||
	    link_broken(p->control) || !fits(s, role))
		return NULL;
	if (is_stale(d, i)) {
		log_event(LOG_INFO, "waited_too_long",
		    LOG_STR("role", link_role_name(role)),
		    LOG_INT("pid", p->pid));
		spare_retire(p);
		return NULL;
	}
	d->spare.of[i].p = NULL;
	return p;
}

/* The minter's row of who waits ends; the next one makes it anew. */
static void
report_taken(struct daemon *d, enum link_role role)
{
	struct process none;

	process_init(&none, d, NULL, role);
	process_report(&none);
}

static void
give(struct process *p, struct session *s)
{
	struct ctl_given m = {.session = span_str(s->id)};
	int fd = p->role == LINK_GATE ? s->listen : s->trail.fd;

	report_taken(p->daemon, p->role);
	p->session = s;
	p->restarts = 1;
	if ((fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0) {
		process_kill(p); /* its successor is born with it */
		return;
	}
	process_send(p, &msg_given, &m, fd);
	log_event(LOG_INFO, "given", LOG_STR("role", link_role_name(p->role)),
	    LOG_INT("pid", p->pid), LOG_STR("session", s->id));
	if (p->state == PROCESS_WAITING)
		process_serve(p);
}

void
spare_or_start(struct session *s, struct process **at)
{
	struct process *p = take(s, (*at)->role);

	if (p == NULL) {
		process_start(*at);
		return;
	}
	process_free(*at);
	*at = p;
	give(p, s);
}

void
spare_each(struct daemon *d, void (*act)(struct process *p))
{
	for (size_t i = 0; i < SPARES; i++) {
		if (d->spare.of[i].p != NULL)
			act(d->spare.of[i].p);
	}
}

bool
spare_lives(const struct daemon *d)
{
	bool lives = false;

	for (size_t i = 0; i < SPARES; i++)
		lives = lives || (d->spare.of[i].p != NULL &&
				     process_lives(d->spare.of[i].p));
	return lives;
}
