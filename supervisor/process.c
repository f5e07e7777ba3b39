/* SPDX-License-Identifier: ISC */
/* What for: the life of a child. Trusts: nothing a child says beyond its
 * table of messages. At a bound: a child that misbehaves is killed, and
 * started again like one that died. */
#include "supervisor/process.h"

#include "lib/log.h"
#include "lib/uptime.h"
#include "messages/control.h"
#include "supervisor/birth.h"
#include "supervisor/daemon.h"
#include "supervisor/door.h"
#include "supervisor/spare.h"
#include "supervisor/spawn.h"
#include "supervisor/wiring.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_FIRST 0.1
#define BACKOFF_LAST 5.0
#define SETTLED 10.0  /* having lived this long, backoff starts anew */
#define LINGER 1.0    /* a child that closed its link is about to exit */
#define FLUSH_MS 1000 /* a child that reads nothing for so long is ill */
#define QUEUE_MAX (8 * 1024 * 1024)
#define FILE_SLACK (1024 * 1024) /* the line that says that it is full */

/* Of a log that lies in one file, or in several. */
static uint64_t
longest_file(const struct bounds *b)
{
	return b->audit_bytes > b->audit_segment_bytes ? b->audit_bytes
						       : b->audit_segment_bytes;
}

void
process_bounds(const struct process *p, struct bounds *out)
{
	*out = p->daemon->config.limits;
	/* Raised since; and the next file takes a moment to come. */
	if (p->session != NULL && out->audit_segment_bytes > p->file_max)
		out->audit_segment_bytes = p->file_max / 2;
}

void
process_configure(struct process *p)
{
	struct bounds bounds;
	struct ctl_proxy proxy = proxy_message(&p->daemon->config.proxy);

	if (p->state != PROCESS_READY)
		return;
	process_bounds(p, &bounds);
	if (p->session != NULL || p->role == LINK_MINTER)
		process_send(p, &msg_bounds, &bounds, -1);
	else if (p->role == LINK_DIALER)
		process_send(p, &msg_proxy, &proxy, -1);
}

void
process_serve(struct process *p)
{
	p->state = PROCESS_READY;
	log_event(LOG_INFO, "ready", LOG_STR("role", link_role_name(p->role)),
	    LOG_INT("pid", p->pid),
	    LOG_STR("session", p->session == NULL ? "" : p->session->id));
	process_report(p);
	process_configure(p);
	wire_process(p);
	if (p->role == LINK_GATE)
		door_gate_ready(p->session);
}

static int
on_ready(void *ctx, struct link *l, const void *m, int fd)
{
	struct process *p = ctx;

	(void)l;
	(void)m;
	(void)fd;
	if (p->state != PROCESS_STARTING)
		return ERR_FORMAT;
	if (p->session == NULL && roles[p->role].per_session) {
		spare_ready(p);
		return 0;
	}
	process_serve(p);
	daemon_child_ready(p->daemon);
	return 0;
}

static int
on_start(void *ctx, struct link *l, const void *m, int fd)
{
	(void)l;
	(void)fd;
	return session_start(((struct process *)ctx)->daemon, m);
}

static int
on_update(void *ctx, struct link *l, const void *m, int fd)
{
	(void)l;
	(void)fd;
	return session_update(((struct process *)ctx)->daemon, m);
}

static int
on_end(void *ctx, struct link *l, const void *m, int fd)
{
	(void)l;
	(void)fd;
	return session_finish(((struct process *)ctx)->daemon, m);
}

static int
on_taken(void *ctx, struct link *l, const void *m, int fd)
{
	struct session *s = ((struct process *)ctx)->session;

	(void)l;
	(void)m;
	(void)fd;
	return s == NULL ? ERR_SEQUENCE : door_taken(s);
}

static int
on_audit_long(void *ctx, struct link *l, const void *m, int fd)
{
	struct session *s = ((struct process *)ctx)->session;

	(void)l;
	(void)m;
	(void)fd;
	if (s == NULL)
		return ERR_SEQUENCE; /* it waits for one */
	trail_next(s);
	return 0;
}

static int
on_shutdown(void *ctx, struct link *l, const void *m, int fd)
{
	(void)l;
	(void)m;
	(void)fd;
	daemon_stop(((struct process *)ctx)->daemon);
	return 0;
}

static int
on_kill(void *ctx, struct link *l, const void *m, int fd)
{
	(void)l;
	(void)fd;
	return session_kill(((struct process *)ctx)->daemon, m);
}

/* What a child may say. Only the minter may wish for anything, and the
 * vault for the end of who keeps what it must not. */
static const struct link_rule plain_rules[] = {{&msg_ready, on_ready}};
static const struct link_rule gate_rules[] = {
    {&msg_ready, on_ready},
    {&msg_taken, on_taken},
};
static const struct link_rule courier_rules[] = {
    {&msg_ready, on_ready},
    {&msg_audit_long, on_audit_long},
};
static const struct link_rule vault_rules[] = {
    {&msg_ready, on_ready},
    {&msg_session_kill, on_kill},
};
static const struct link_rule minter_rules[] = {
    {&msg_ready, on_ready},
    {&msg_session_start, on_start},
    {&msg_session_update, on_update},
    {&msg_session_end, on_end},
    {&msg_shutdown, on_shutdown},
};

static void
rules_of(enum link_role role, struct link_options *o)
{
#define RULES(r) {(r), sizeof(r) / sizeof((r)[0])}
	static const struct {
		const struct link_rule *rules;
		size_t n;
	} plain = RULES(plain_rules), of[] = {
		[LINK_MINTER] = RULES(minter_rules),
		[LINK_GATE] = RULES(gate_rules),
		[LINK_COURIER] = RULES(courier_rules),
		[LINK_VAULT] = RULES(vault_rules),
	};
#undef RULES
	bool own = role < sizeof(of) / sizeof(of[0]) && of[role].rules != NULL;

	o->rules = own ? of[role].rules : plain.rules;
	o->n_rules = own ? of[role].n : plain.n;
}

static void
on_break(void *ctx, struct link *l, int err)
{
	struct process *p = ctx;

	(void)l;
	if (err == ERR_UNAVAILABLE) {
		ev_timer_set(&p->again, LINGER, 0.);
		ev_timer_start(p->daemon->loop, &p->again);
		return;
	}
	log_event(LOG_ERROR, "child_misbehaved",
	    LOG_STR("role", link_role_name(p->role)), LOG_INT("pid", p->pid),
	    LOG_ERR(err));
	process_kill(p); /* freed once it is reaped */
}

static void
log_death(const struct process *p, int status)
{
	bool killed = WIFSIGNALED(status);
	bool expected = p->daemon->stopping || p->retired ||
			(p->session != NULL && p->session->end != SESSION_RUNS);

	log_event(expected ? LOG_INFO : LOG_WARN, "child_died",
	    LOG_STR("role", link_role_name(p->role)), LOG_INT("pid", p->pid),
	    LOG_STR("session", p->session == NULL ? "" : p->session->id),
	    LOG_INT(killed ? "signal" : "status",
		killed ? WTERMSIG(status) : WEXITSTATUS(status)));
}

static void
back_off(struct process *p)
{
	double now = uptime();

	p->state = PROCESS_BACKING_OFF;
	process_report(p);
	if (now - p->born >= SETTLED)
		p->delay = BACKOFF_FIRST;
	ev_timer_set(&p->again, p->delay, 0.);
	ev_timer_start(p->daemon->loop, &p->again);
	p->delay *= 2;
	if (p->delay > BACKOFF_LAST)
		p->delay = BACKOFF_LAST;
}

/* It is reaped: nothing of it is left but our end of the link. */
static void
buried(struct process *p)
{
	ev_timer_stop(p->daemon->loop, &p->again);
	p->pid = 0;
	p->state = PROCESS_DEAD;
	link_free(p->control);
	p->control = NULL;
	process_report(p);
	if (p->session != NULL)
		session_process_died(p->session, p);
	else if (p->retired && !p->daemon->stopping)
		process_start(p);
	else if (!p->daemon->stopping)
		back_off(p);
}

static void
on_reaped(struct ev_loop *loop, struct ev_child *w, int events)
{
	struct process *p = w->data;
	struct daemon *d = p->daemon;

	(void)events;
	if (!WIFEXITED(w->rstatus) && !WIFSIGNALED(w->rstatus))
		return;
	ev_child_stop(loop, w);
	log_death(p, w->rstatus);
	buried(p); /* p may be gone now, with its session */
	daemon_child_gone(d);
}

static void
on_again(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct process *p = w->data;

	(void)loop;
	(void)events;
	if (process_lives(p))
		process_kill(p); /* it lingers without a link */
	else if (!p->daemon->stopping)
		process_start(p);
}

void
process_init(
    struct process *p, struct daemon *d, struct session *s, enum link_role role)
{
	*p = (struct process){.daemon = d,
	    .session = s,
	    .role = role,
	    .state = PROCESS_DEAD,
	    .delay = BACKOFF_FIRST};
	ev_init(&p->again, on_again);
	p->again.data = p;
}

struct process *
process_new(struct daemon *d, struct session *s, enum link_role role)
{
	struct process *p = malloc(sizeof(*p));

	if (p != NULL)
		process_init(p, d, s, role);
	return p;
}

void
process_free(struct process *p)
{
	if (p == NULL)
		return;
	process_close(p);
	free(p);
}

static int
listening_fd(const struct process *p)
{
	if (roles[p->role].per_session && p->session == NULL)
		return -1;
	switch (p->role) {
	case LINK_VAULT:
		return p->daemon->home.vault_socket;
	case LINK_MINTER:
		return p->daemon->home.admin_socket;
	case LINK_GATE:
		return p->session->listen;
	default:
		return -1;
	}
}

static int
open_control(struct process *p, int *childs_end)
{
	struct link_options o = {.self = LINK_SUPERVISOR,
	    .peer = p->role,
	    .ctx = p,
	    .on_break = on_break,
	    .queue_max = QUEUE_MAX};
	int pair[2], r = link_pair(pair);

	if (r != 0)
		return r;
	rules_of(p->role, &o);
	if ((r = link_new(p->daemon->loop, pair[0], &o, &p->control)) != 0) {
		close(pair[1]);
		return r;
	}
	*childs_end = pair[1];
	return 0;
}

static int
try_start(struct process *p)
{
	const struct daemon *d = p->daemon;
	bool courier = p->role == LINK_COURIER && p->session != NULL;
	struct birth birth;
	int childs = -1, credential = -1, r;

	if (p->role == LINK_VAULT)
		home_hand_over(&d->home, &d->ids);
	birth_fill(p, &birth);
	if ((r = open_control(p, &childs)) != 0)
		return r;
	if (p->role == LINK_VAULT && d->ids.apart)
		credential = birth_credential();
	p->file_max = longest_file(&d->config.limits);
	struct spawn s = {.program = d->helpers.fd[p->role],
	    .file_max =
		roles[p->role].per_session ? p->file_max + FILE_SLACK : 0,
	    .control = childs,
	    .listen = listening_fd(p),
	    .file = courier ? p->session->trail.fd : credential,
	    .before = courier ? p->session->trail.before : -1,
	    .apart = d->ids.apart,
	    .uid = d->ids.uid[p->role],
	    .gid = d->ids.gid[p->role],
	    .argv = birth.argv,
	    .envp = birth.envp};
	r = spawn_child(&s, &p->pid);
	close(childs);
	if (credential >= 0)
		close(credential);
	return r;
}

void
process_start(struct process *p)
{
	int r;

	if (p->session == NULL && roles[p->role].per_session)
		spare_born(p);
	r = try_start(p);
	p->born = uptime();
	p->restarts++;
	p->retired = false;
	if (r != 0) {
		log_event(LOG_ERROR, "spawn_failed",
		    LOG_STR("role", link_role_name(p->role)), LOG_ERR(r),
		    LOG_INT("errno", errno));
		link_free(p->control);
		p->control = NULL;
		p->pid = 0;
		back_off(p);
		return;
	}
	p->state = PROCESS_STARTING;
	ev_child_init(&p->reaper, on_reaped, p->pid, 0);
	p->reaper.data = p;
	ev_child_start(p->daemon->loop, &p->reaper);
	process_report(p);
}

void
process_kill(struct process *p)
{
	if (p->pid > 0 && kill(p->pid, SIGKILL) != 0)
		log_event(LOG_ERROR, "kill_failed", LOG_INT("pid", p->pid),
		    LOG_INT("errno", errno));
}

void
process_ask_stop(struct process *p)
{
	if (process_lives(p))
		process_send(p, &msg_stop, NULL, -1);
}

bool
process_lives(const struct process *p)
{
	return p->pid > 0;
}

void
process_close(struct process *p)
{
	if (process_lives(p))
		abort();
	ev_timer_stop(p->daemon->loop, &p->again);
	link_free(p->control);
	p->control = NULL;
}

/* The singles get very many descriptors at a restart, and few may wait in
 * one link: those are sent as they come. A session's process gets few, and
 * one that reads none of them must not stop us for the others. */
static bool
sent_as_they_come(const struct process *p, int fd)
{
	return fd >= 0 && p->session == NULL && link_queued(p->control) != 0;
}

void
process_send(struct process *p, const struct msg_type *t, const void *m, int fd)
{
	int r = ERR_UNAVAILABLE;

	if (p->control == NULL || link_broken(p->control)) {
		if (fd >= 0)
			close(fd);
		return; /* it is dying */
	}
	if (!sent_as_they_come(p, fd) ||
	    (r = link_flush(p->control, FLUSH_MS)) == 0)
		r = link_send(p->control, t, m, fd);
	else
		close(fd);
	if (r == 0)
		return;
	log_event(LOG_ERROR, "child_does_not_listen",
	    LOG_STR("role", link_role_name(p->role)), LOG_INT("pid", p->pid),
	    LOG_ERR(r));
	process_kill(p);
}

static void
report_to(struct process *minter, const struct process *p)
{
	struct ctl_process m = {.role = (uint8_t)p->role,
	    .state = (uint8_t)p->state,
	    .pid = (uint32_t)p->pid,
	    .restarts = p->restarts > 0 ? p->restarts - 1 : 0};

	if (p->session != NULL)
		m.session = span_str(p->session->id);
	process_send(minter, &msg_process, &m, -1);
}

void
process_report(struct process *p)
{
	struct daemon *d = p->daemon;

	if (d->minter.state != PROCESS_READY || d->stopping)
		return;
	if (p != &d->minter) {
		report_to(&d->minter, p);
		return;
	}
	/* The minter came (back): it knows nothing. */
	report_to(&d->minter, &d->vault);
	report_to(&d->minter, &d->minter);
	report_to(&d->minter, &d->dialer);
	for (size_t i = 0; i < SPARES; i++) {
		if (d->spare.of[i].p != NULL)
			report_to(&d->minter, d->spare.of[i].p);
	}
	for (struct session *s = d->sessions; s != NULL; s = s->next) {
		report_to(&d->minter, s->gate);
		report_to(&d->minter, s->courier);
	}
}
