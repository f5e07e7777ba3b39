/* SPDX-License-Identifier: ISC */
/* What for: what comes from and goes to the supervisor and the vault. Trusts:
 * both. At a bound: dies of the former, waits for another of the latter. */
#include "minter/links.h"

#include "lib/log.h"
#include "messages/bounds.h"
#include "messages/keeper.h"
#include "minter/document.h"
#include "minter/finish.h"
#include "minter/keyring.h"
#include "minter/open.h"
#include "minter/pair.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- vault ---- */

static int
on_state(void *ctx, struct link *l, const void *msg, int fd)
{
	struct minter *m = ctx;
	const struct keeper_state *k = msg;

	(void)l;
	(void)fd;
	if (k->state < VAULT_OPEN || k->state > VAULT_UNINITIALISED)
		return ERR_FORMAT;
	m->vault_state = k->state;
	log_escape(k->why, m->vault_why, sizeof(m->vault_why));
	keyring_vault_changed(m);
	return 0;
}

static int
on_got(void *ctx, struct link *l, const void *msg, int fd)
{
	struct minter *m = ctx;
	const struct keeper_got *k = msg;

	(void)l;
	(void)fd;
	rpc_answer(m->rpcs, LINK_VAULT, k->rid, k->err, k);
	return 0;
}

static int
on_info(void *ctx, struct link *l, const void *msg, int fd)
{
	struct minter *m = ctx;
	const struct keeper_credential_info *k = msg;

	(void)l;
	(void)fd;
	rpc_answer(m->rpcs, LINK_VAULT, k->rid, k->err, k);
	return 0;
}

static const struct link_rule vault_rules[] = {
    {&msg_keeper_state, on_state},
    {&msg_keeper_got, on_got},
    {&msg_keeper_credential_info, on_info},
};

static void
drop_vault(struct minter *m)
{
	link_free(m->vault);
	m->vault = NULL;
	m->vault_state = 0;
	m->vault_why[0] = '\0';
	rpc_fail(m->rpcs, LINK_VAULT);
}

static void
on_vault_break(void *ctx, struct link *l, int err)
{
	(void)l;
	if (err != ERR_UNAVAILABLE)
		log_fatal("vault_broke_protocol", err_text(err));
	drop_vault(ctx); /* the supervisor starts another one */
}

static int
vault_peer(struct minter *m, int fd)
{
	struct link_options o = {.self = LINK_MINTER,
	    .peer = LINK_VAULT,
	    .rules = vault_rules,
	    .n_rules = 3,
	    .ctx = m,
	    .on_break = on_vault_break,
	    .secret = true};

	if (m->vault != NULL)
		drop_vault(m);
	return link_new(m->loop, fd, &o, &m->vault);
}

/* ---- supervisor ---- */

static int
on_peer(void *ctx, struct link *l, const void *msg, int fd)
{
	struct minter *m = ctx;
	const struct ctl_peer *p = msg;

	(void)l;
	switch (p->role) {
	case LINK_VAULT:
		return vault_peer(m, fd);
	case LINK_GATE:
	case LINK_COURIER:
		return pair_peer(m, p, fd);
	default:
		close(fd);
		return ERR_FORMAT;
	}
}

static int
on_done(void *ctx, struct link *l, const void *msg, int fd)
{
	struct minter *m = ctx;
	const struct ctl_done *d = msg;

	(void)l;
	(void)fd;
	rpc_answer(m->rpcs, LINK_SUPERVISOR, d->rid, d->err, d);
	return 0;
}

static int
on_lost(void *ctx, struct link *l, const void *msg, int fd)
{
	struct minter *m = ctx;
	const struct ctl_session_lost *lost = msg;
	struct session *s = minter_session_id(m, lost->session);
	char why[257];

	(void)l;
	(void)fd;
	log_escape(lost->why, why, sizeof(why));
	if (s != NULL && !s->finishing)
		finish_session(m, s, SESSION_ENDED, why, NULL, NULL);
	return 0;
}

static int
on_refused(void *ctx, struct link *l, const void *msg, int fd)
{
	struct minter *m = ctx;
	const struct ctl_refused *r = msg;
	char why[65], id[STATE_ID_MAX] = "";
	int e = span_copy(r->session, id, sizeof(id));

	(void)l;
	(void)fd;
	log_escape(r->why, why, sizeof(why));
	if (e == 0 &&
	    minter_note(m, "peer_refused",
		json_pack("{s:I, s:I, s:I, s:s, s:s}", "cid",
		    (json_int_t)r->cid, "port", (json_int_t)r->port, "count",
		    (json_int_t)r->count, "session", id, "why", why)) != 0)
		log_event(
		    LOG_ERROR, "refusal_not_recorded", LOG_INT("cid", r->cid));
	return e;
}

static bool
same_process(const struct process_row *row, const struct ctl_process *p)
{
	return row->role == p->role && span_is(p->session, row->session);
}

/* It waited for a session, and got one or died; or its session is over. */
static bool
is_no_more(const struct minter *m, const struct ctl_process *p)
{
	return p->state == CTL_PROCESS_DEAD &&
	       (p->role == LINK_GATE || p->role == LINK_COURIER) &&
	       minter_session_id(m, p->session) == NULL;
}

static int
take_orphan(void *ctx, const struct session_row *row)
{
	return minter_act(ctx, "session_ended",
	    json_pack("{s:s, s:s, s:s, s:s}", "session", row->id, "guest",
		row->guest, "state",
		session_state_name((enum session_state)row->state), "why",
		"the minter died while it ended"));
}

/* It runs, and is no session of ours: its end was stored, and who stored it
 * died before it was carried out. Nobody could end it any more. */
static int
end_orphan(struct minter *m, const struct ctl_process *p)
{
	struct ctl_session_end c = {.kind = CTL_END, .session = p->session};
	char id[STATE_ID_MAX];
	int r = span_copy(p->session, id, sizeof(id));

	if (p->state == CTL_PROCESS_DEAD || p->session.n == 0 ||
	    minter_session_id(m, p->session) != NULL)
		return 0;
	if (r != 0)
		return r;
	for (size_t i = 0; i < m->n_processes; i++) {
		if (span_is(p->session, m->processes[i].session) &&
		    m->processes[i].state != CTL_PROCESS_DEAD)
			return 0; /* by the word about its sibling */
	}
	log_event(LOG_WARN, "session_without_owner", LOG_STR("session", id));
	if (state_session_find(m->state, id, take_orphan, m) != 0)
		log_event(LOG_ERROR, "end_not_recorded", LOG_STR("session", id));
	return link_send(m->supervisor, &msg_session_end, &c, -1);
}

static int
on_process(void *ctx, struct link *l, const void *msg, int fd)
{
	struct minter *m = ctx;
	const struct ctl_process *p = msg;
	size_t i = 0, known = m->n_processes;
	int r = end_orphan(m, p);

	(void)l;
	(void)fd;
	if (r != 0)
		return r;
	while (i < m->n_processes && !same_process(&m->processes[i], p))
		i++;
	if (is_no_more(m, p)) {
		if (i < m->n_processes)
			minter_forget_process(m, i);
		return 0;
	}
	if (i == m->n_processes) {
		if (i == MINTER_PROCESSES_MAX)
			return 0; /* shown only: the table is full */
		struct process_row *t =
		    reallocarray(m->processes, i + 1, sizeof(m->processes[0]));
		if (t == NULL)
			return 0;
		m->processes = t;
		m->n_processes++;
	}
	struct process_row *row = &m->processes[i];
	if (i < known && p->restarts > row->restarts)
		metrics_restarted(&m->metrics, (enum link_role)p->role);
	*row = (struct process_row){.role = p->role,
	    .state = p->state,
	    .pid = p->pid,
	    .restarts = p->restarts};
	return span_copy(p->session, row->session, sizeof(row->session));
}

static int
on_bounds(void *ctx, struct link *l, const void *msg, int fd)
{
	struct minter *m = ctx;
	const struct bounds *b = msg;

	(void)l;
	(void)fd;
	if (!bounds_good(b))
		return ERR_FORMAT;
	audit_segment(m->audit, b->audit_segment_bytes);
	m->bounds = *b;
	m->retain = true;
	return 0;
}

static int
on_stop(void *ctx, struct link *l, const void *msg, int fd)
{
	struct minter *m = ctx;

	(void)l;
	(void)msg;
	(void)fd;
	m->stopping = true;
	ev_break(m->loop, EVBREAK_ALL);
	return 0;
}

static const struct link_rule supervisor_rules[] = {
    {&msg_peer, on_peer},
    {&msg_done, on_done},
    {&msg_session_lost, on_lost},
    {&msg_process, on_process},
    {&msg_refused, on_refused},
    {&msg_bounds, on_bounds},
    {&msg_stop, on_stop},
};

static void
on_supervisor_break(void *ctx, struct link *l, int err)
{
	struct minter *m = ctx;

	(void)l;
	if (err != ERR_UNAVAILABLE)
		log_fatal("supervisor_broke_protocol", err_text(err));
	m->stopping = true; /* it is gone, so we go */
	ev_break(m->loop, EVBREAK_ALL);
}

int
links_open(struct minter *m, int control_fd)
{
	struct link_options o = {.self = LINK_MINTER,
	    .peer = LINK_SUPERVISOR,
	    .rules = supervisor_rules,
	    .n_rules = sizeof(supervisor_rules) / sizeof(supervisor_rules[0]),
	    .ctx = m,
	    .on_break = on_supervisor_break,
	    .queue_max = 16 * 1024 * 1024}; /* every session at a restart */

	return link_new(m->loop, control_fd, &o, &m->supervisor);
}

int
links_ready(struct minter *m)
{
	return link_send(m->supervisor, &msg_ready, NULL, -1);
}

void
links_keys_ready(struct minter *m)
{
	/* What the clock says only decides which old ones are named too: one
	 * that is behind is no reason to fail for good. */
	if (audit_use_key(m->audit, m->audit_keys, clock_wall_ms() / 1000) !=
	    0) {
		minter_fail(m, "keys.json");
		return;
	}
	for (struct session *s = m->sessions; s != NULL; s = s->next)
		pair_brief_gate(m, s);
}

/* Told nobody: the caller is told by the deadline. */
static uint32_t
ask(struct minter *m, rpc_done *done, void *ctx)
{
	return done == NULL ? 0
			    : rpc_add(m->rpcs, LINK_SUPERVISOR,
				  clock_boot_ms() + MINTER_RPC_MS, done, ctx);
}

static void
sent(const struct session *s, const char *what, int r)
{
	if (r != 0)
		log_event(LOG_ERROR, "supervisor_not_told",
		    LOG_STR("what", what), LOG_STR("session", s->id),
		    LOG_ERR(r));
}

void
links_start(struct minter *m, struct session *s, rpc_done *done, void *ctx)
{
	char *vault = document_for_vault(&s->grants),
	     *dialer = document_for_dialer(&s->grants);
	struct ctl_session_start c = {.rid = ask(m, done, ctx),
	    .session = span_str(s->id),
	    .guest = span_str(s->guest),
	    .channel_uid = s->channel_uid,
	    .pid = s->process.pid,
	    .pid_started = s->process.started,
	    .for_vault = span_str(vault),
	    .for_dialer = span_str(dialer)};
	int r = ERR_NOMEM;

	if (!s->channel_ours)
		c.channel = span_str(s->channel_dir);
	if (vault != NULL && dialer != NULL)
		r = link_send(m->supervisor, &msg_session_start, &c, -1);
	sent(s, "start", r);
	free(vault);
	free(dialer);
}

void
links_describe(struct minter *m, struct session *s, rpc_done *done, void *ctx)
{
	char *vault = document_for_vault(&s->grants),
	     *dialer = document_for_dialer(&s->grants);
	struct ctl_session_update c = {.rid = ask(m, done, ctx),
	    .session = span_str(s->id),
	    .for_vault = span_str(vault),
	    .for_dialer = span_str(dialer)};
	int r = ERR_NOMEM;

	if (vault != NULL && dialer != NULL)
		r = link_send(m->supervisor, &msg_session_update, &c, -1);
	sent(s, "update", r);
	free(vault);
	free(dialer);
}

void
links_end(struct minter *m, struct session *s, rpc_done *done, void *ctx)
{
	struct ctl_session_end c = {.rid = ask(m, done, ctx),
	    .kind = CTL_END,
	    .session = span_str(s->id)};

	sent(s, "end", link_send(m->supervisor, &msg_session_end, &c, -1));
}
