/* SPDX-License-Identifier: ISC */
/* What for: who changed a credential is answered once no courier can use
 * the old one any more. Trusts: a courier's word, which could as well use
 * what it has; else the death of its process. At a bound: a courier that
 * is silent for SETTLE_S is killed. */
#include "vault/session_in.h"

#include "lib/log.h"
#include "messages/lease.h"

#define SETTLE_S 1.0

void
settle_kill(struct session *x)
{
	struct ctl_session_kill m = {.session = span_str(x->id)};

	log_event(LOG_ERROR, "vault_courier_deaf", LOG_STR("session", x->id));
	ev_timer_stop(x->s->loop, &x->late);
	x->doomed = true;
	if (link_send(x->s->control, &msg_session_kill, &m, -1) != 0)
		log_fatal("control", "cannot ask for a courier's end");
}

static void
on_late(struct ev_loop *loop, struct ev_timer *t, int events)
{
	(void)loop;
	(void)events;
	settle_kill(t->data);
}

void
settle_init(struct session *x)
{
	ev_timer_init(&x->late, on_late, SETTLE_S, 0.);
	/* A word that came while we were busy is read before anybody is
	 * called late. */
	ev_set_priority(&x->late, EV_MINPRI);
	x->late.data = x;
}

void
settle_tell(struct session *x, const char *name, uint32_t version)
{
	struct lease_changed m = {.credential = span_str(name),
	    .version = version,
	    .serial = x->s->changes + 1};

	if (x->courier == NULL || link_broken(x->courier))
		return; /* it is gone, or doomed */
	x->told = ++x->s->changes;
	if (link_send(x->courier, &msg_lease_changed, &m, -1) != 0) {
		settle_kill(x);
		return;
	}
	if (!ev_is_active(&x->late)) {
		ev_timer_set(&x->late, SETTLE_S, 0.);
		ev_timer_start(x->s->loop, &x->late);
	}
}

int
settle_confirmed(struct session *x, uint32_t serial)
{
	if (serial > x->told || serial < x->settled)
		return ERR_FORMAT;
	x->settled = serial;
	if (x->settled == x->told)
		ev_timer_stop(x->s->loop, &x->late);
	door_settled(x->s->door);
	return 0;
}

void
settle_gone(struct session *x)
{
	ev_timer_stop(x->s->loop, &x->late);
	x->settled = x->told;
	x->doomed = false;
	door_settled(x->s->door);
}

bool
session_settled(const struct service *s, uint32_t serial)
{
	for (const struct session *x = s->sessions; x != NULL; x = x->next) {
		if (x->doomed || (x->settled < x->told && x->settled < serial))
			return false;
	}
	return true;
}
