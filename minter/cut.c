/* SPDX-License-Identifier: ISC */
/* What for: nothing is written under what was revoked. Trusts: a courier's
 * and gate's word while they live, the supervisor's about their death. At a
 * bound: kills them. */
#include "minter/cut.h"

#include "lib/log.h"
#include "messages/guest.h"

#include <stdlib.h>

struct cuts {
	struct minter *m;
	cut_done *done;
	void *ctx;
	unsigned left;
};

struct cut {
	struct cut *next;
	struct cuts *group;
	struct session *session;
	enum rules_cut_kind kind;
	char name[STATE_NAME_MAX];
	uint32_t serial;
	bool gate, courier; /* not confirmed yet */
	bool killing;
	bool told; /* the frames have left: the time runs */
	ev_timer timer;
};

struct cuts *
cuts_new(struct minter *m, cut_done *done, void *ctx)
{
	struct cuts *c = calloc(1, sizeof(*c));

	if (c == NULL)
		log_fatal("out_of_memory", "cannot revoke in an orderly way");
	*c = (struct cuts){.m = m, .done = done, .ctx = ctx, .left = 1};
	return c;
}

static void
group_release(struct cuts *c)
{
	if (--c->left > 0)
		return;
	c->done(c->ctx);
	free(c);
}

static void
finish(struct cut *t)
{
	struct minter *m = t->group->m;
	struct cut **at = &m->cuts;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	ev_timer_stop(m->loop, &t->timer);
	t->session->cuts--;
	group_release(t->group);
	free(t);
}

static void
on_killed(void *ctx, int err, const void *answer)
{
	struct cut *t = ctx;

	(void)answer;
	/* Not running is as good as reaped. */
	if (err != 0 && err != ERR_NOT_FOUND)
		log_fatal("kill_failed", "the supervisor did not end a "
					 "session that must not go on");
	finish(t);
}

static void
kill_session(struct cut *t, const char *why)
{
	struct minter *m = t->group->m;

	if (t->killing)
		return;
	t->killing = true;
	ev_timer_stop(m->loop, &t->timer);
	log_event(LOG_WARN, "cut_by_kill", LOG_STR("session", t->session->id),
	    LOG_STR("why", why));
	struct ctl_session_end end = {
	    .rid = rpc_add(m->rpcs, LINK_SUPERVISOR,
		clock_boot_ms() + MINTER_RPC_MS, on_killed, t),
	    .kind = CTL_KILL,
	    .session = span_str(t->session->id)};
	if (end.rid == 0 ||
	    link_send(m->supervisor, &msg_session_end, &end, -1) != 0)
		log_fatal("kill_failed", "the supervisor cannot be reached");
}

static void
on_timer(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct cut *t = w->data;

	(void)events;
	if (!t->told) {
		t->told = true;
		ev_now_update(loop); /* a sync may have taken a while */
		ev_timer_set(w, CUT_MS / 1000.0, 0.);
		ev_timer_start(loop, w);
		return;
	}
	kill_session(t, t->courier ? "courier is late" : "gate is late");
}

/* A grant or credential is the courier's business: it resets the streams
 * through the gate, and the gate confirms when it has read those resets. */
static bool
gate_told(enum rules_cut_kind kind)
{
	return kind == RULES_CUT_SESSION || kind == RULES_CUT_FAMILY;
}

static int
tell(struct cut *t)
{
	struct session *s = t->session;
	struct rules_cut rc = {.serial = t->serial,
	    .kind = (uint8_t)t->kind,
	    .name = span_str(t->name)};
	struct guest_cut gc = {
	    .serial = t->serial, .family = span_str(t->name)};
	int r;

	if (s->courier == NULL || s->gate == NULL)
		return ERR_UNAVAILABLE;
	if ((r = link_send(s->courier, &msg_rules_cut, &rc, -1)) != 0)
		return r;
	return gate_told(t->kind) ? link_send(s->gate, &msg_guest_cut, &gc, -1)
				  : 0;
}

void
cuts_add(struct cuts *c, struct session *s, enum rules_cut_kind kind,
    const char *name)
{
	struct minter *m = c->m;
	struct cut *t = calloc(1, sizeof(*t));

	if (t == NULL)
		log_fatal("out_of_memory", "cannot revoke in an orderly way");
	*t = (struct cut){.next = m->cuts,
	    .group = c,
	    .session = s,
	    .kind = kind,
	    .serial = ++m->last_serial,
	    .gate = true,
	    .courier = true};
	(void)snprintf(t->name, sizeof(t->name), "%s", name);
	m->cuts = t;
	c->left++;
	s->cuts++;
	/* A link sends when the turn ends, so the time runs from the next one.
	 * At the lowest priority: a word that came while we were in a sync is
	 * read before anybody is called late. */
	ev_timer_init(&t->timer, on_timer, 0., 0.);
	ev_set_priority(&t->timer, EV_MINPRI);
	t->timer.data = t;
	if (tell(t) != 0) {
		kill_session(t, "no link");
		return;
	}
	ev_timer_start(m->loop, &t->timer);
}

void
cuts_add_tree(struct cuts *c, struct session *s, const char *family)
{
	/* Itself in any case: it may be known to a courier alone. */
	cuts_add(c, s, RULES_CUT_FAMILY, family);
	for (struct family *f = s->families; f != NULL; f = f->next) {
		if (!session_is_below(s, f, family))
			continue;
		if (strcmp(f->row.id, family) != 0)
			cuts_add(c, s, RULES_CUT_FAMILY, f->row.id);
		f->row.expires_ms = 0; /* it may stand between two others */
	}
	session_families_sweep(s, clock_boot_ms());
}

void
cuts_run(struct cuts *c)
{
	group_release(c);
}

int
cut_confirmed(
    struct minter *m, struct session *s, enum link_role from, uint32_t serial)
{
	for (struct cut *t = m->cuts; t != NULL; t = t->next) {
		if (t->session != s || t->serial != serial)
			continue;
		if (from == LINK_GATE)
			t->gate = false;
		else
			t->courier = false;
		if (!t->gate && !t->courier && !t->killing)
			finish(t);
		return 0;
	}
	/* An older process' or a late one's word: nobody waits for it. */
	return serial <= m->last_serial ? 0 : ERR_FORMAT;
}

void
cut_link_lost(struct minter *m, struct session *s, enum link_role from)
{
	for (struct cut *t = m->cuts; t != NULL; t = t->next) {
		if (t->session == s &&
		    (from == LINK_GATE ? t->gate : t->courier))
			kill_session(t, "link lost");
	}
}
