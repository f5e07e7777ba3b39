/* SPDX-License-Identifier: ISC */
/* What for: the end of a session. Trusts: the supervisor about the death of
 * processes. At a bound: fails closed; a courier's last words are awaited
 * for two seconds. */
#include "minter/finish.h"

#include "lib/log.h"
#include "minter/links.h"
#include "minter/open.h"

#include <stdlib.h>

#define LINGER_MS 2000

struct finishing {
	struct minter *m;
	struct session *s;
	cut_done *done;
	void *ctx;
};

void
finish_mark(struct session *s, enum session_state st)
{
	if (!s->finishing)
		metrics_session_over(&s->m->metrics, st);
	s->finishing = true;
	s->state = st;
}

void
finish_anchor(struct minter *m, struct session *s)
{
	if (m->failed != NULL || m->audit_keys == NULL ||
	    s->head_seq <= s->anchored_seq)
		return;
	struct chainlog_head head = {.seq = s->head_seq};
	memcpy(head.hash, s->head_hash, sizeof(head.hash));
	if (audit_anchor(m->audit, s->id, &head) != 0)
		minter_fail(m, "audit");
	else
		s->anchored_seq = s->head_seq;
}

static void
on_ended(void *ctx, int err, const void *answer)
{
	struct finishing *f = ctx;

	(void)answer;
	if (err != 0 && err != ERR_NOT_FOUND)
		log_event(LOG_ERROR, "session_not_reaped",
		    LOG_STR("session", f->s->id), LOG_ERR(err));
	f->s->over = true;
	f->s->over_ms = clock_boot_ms();
	finish_anchor(f->m, f->s);
	open_failed(f->m, f->s);
	if (f->done != NULL)
		f->done(f->ctx);
	free(f);
}

void
finish_reap(struct minter *m, struct session *s, cut_done *done, void *ctx)
{
	struct finishing *f = calloc(1, sizeof(*f));

	if (f == NULL)
		log_fatal("out_of_memory", "cannot end a session");
	*f = (struct finishing){.m = m, .s = s, .done = done, .ctx = ctx};
	s->reaping = true;
	links_end(m, s, on_ended, f);
}

static void
on_cut(void *ctx)
{
	struct finishing *f = ctx;

	finish_reap(f->m, f->s, f->done, f->ctx);
	free(f);
}

void
finish_session(struct minter *m, struct session *s, enum session_state st,
    const char *why, cut_done *done, void *ctx)
{
	struct finishing *f = calloc(1, sizeof(*f));

	if (f == NULL)
		log_fatal("out_of_memory", "cannot end a session");
	*f = (struct finishing){.m = m, .s = s, .done = done, .ctx = ctx};
	finish_mark(s, st);
	if (state_session_end(m->state, s->id, st) != 0)
		minter_fail(m, "state");
	if (minter_act(m, "session_ended",
		json_pack("{s:s, s:s, s:s, s:s}", "session", s->id, "guest",
		    s->guest, "state", session_state_name(st), "why", why)) !=
	    0)
		log_event(
		    LOG_ERROR, "end_not_recorded", LOG_STR("session", s->id));
	struct cuts *c = cuts_new(m, on_cut, f);
	cuts_add(c, s, RULES_CUT_SESSION, "");
	cuts_run(c);
}

static void
forget(struct minter *m, struct session **at)
{
	struct session *s = *at;

	*at = s->next;
	m->n_sessions--;
	for (size_t i = m->n_processes; i-- > 0;) {
		if (strcmp(m->processes[i].session, s->id) == 0)
			minter_forget_process(m, i);
	}
	session_free(s);
}

static void
sweep(struct minter *m, int64_t lingering_since)
{
	struct session **at = &m->sessions;

	while (*at != NULL) {
		struct session *s = *at;
		bool quiet = (s->gate == NULL && s->courier == NULL) ||
			     s->over_ms <= lingering_since;
		if (s->over && quiet && s->cuts == 0)
			forget(m, at);
		else
			at = &s->next;
	}
}

void
finish_sweep(struct minter *m)
{
	sweep(m, INT64_MIN);
}

void
finish_tick(struct minter *m)
{
	int64_t now = clock_boot_ms();

	for (struct session *s = m->sessions; s != NULL; s = s->next) {
		if (!s->finishing && s->expires_ms <= now)
			finish_session(m, s, SESSION_EXPIRED, "its time is up",
			    NULL, NULL);
		/* Revoked while another cut was under way. */
		if (s->finishing && !s->reaping && s->cuts == 0)
			finish_reap(m, s, NULL, NULL);
	}
	sweep(m, now - LINGER_MS);
}
