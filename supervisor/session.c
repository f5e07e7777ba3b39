/* SPDX-License-Identifier: ISC */
/* What for: a session's channel, audit file and pair. Trusts: the
 * minter for which sessions there are, not for what their names look like.
 * At a bound: too many deaths end the session. */
#include "supervisor/session.h"

#include "lib/log.h"
#include "lib/safefile.h"
#include "lib/unixsock.h"
#include "lib/uptime.h"
#include "supervisor/daemon.h"
#include "supervisor/door.h"
#include "supervisor/spare.h"
#include "supervisor/spawn.h"
#include "supervisor/wiring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE 0.2 /* seconds between `stop` and SIGKILL */

/* s- and then letters, digits, - or _: it becomes a file name. */
static bool
id_is_good(struct span id)
{
	if (id.n < 3 || id.n > SESSION_ID_MAX || id.p[0] != 's' ||
	    id.p[1] != '-')
		return false;
	for (size_t i = 2; i < id.n; i++) {
		uint8_t c = id.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
	}
	return true;
}

struct session *
session_find(struct daemon *d, struct span id)
{
	for (struct session *s = d->sessions; s != NULL; s = s->next) {
		if (span_is(id, s->id))
			return s;
	}
	return NULL;
}

struct span
session_descriptor(const struct session *s, enum link_role role)
{
	return role == LINK_VAULT    ? span_str(s->for_vault)
	       : role == LINK_DIALER ? span_str(s->for_dialer)
				     : (struct span){0};
}

static void
reply(struct daemon *d, uint32_t rid, struct span id, int err, const char *dir,
    const char *detail)
{
	struct ctl_done m = {.rid = rid,
	    .err = err,
	    .session = id,
	    .channel_dir = span_str(dir),
	    .detail = span_str(detail)};

	process_send(&d->minter, &msg_done, &m, -1);
}

struct owed {
	struct owed *next;
	uint32_t rid;
};

static void
answer_owed(struct session *s, const char *dir)
{
	for (struct owed *o = s->owed, *next; o != NULL; o = next) {
		next = o->next;
		reply(s->daemon, o->rid, span_str(s->id), 0, dir, "");
		free(o);
	}
	s->owed = NULL;
}

static void
forget(struct daemon *d, struct span id)
{
	struct ctl_session_gone m = {.session = id};

	if (d->vault.state == PROCESS_READY)
		process_send(&d->vault, &msg_session_gone, &m, -1);
	if (d->dialer.state == PROCESS_READY)
		process_send(&d->dialer, &msg_session_gone, &m, -1);
}

/* A directory of ours, run/s/ID. As a system service the guest's user may
 * come through, but not list or write. */
static int
own_dir(struct session *s, const char **why)
{
	const struct home *h = &s->daemon->home;
	char part[PATH_MAX];
	struct stat st;

	*why = "its socket directory cannot be made";
	(void)snprintf(part, sizeof(part), "s/%s", s->id); /* fits */
	int r = paths_join(h->paths.run, part, s->channel.dir);
	if (r != 0)
		return r;
	if (mkdirat(h->sessions_dir, s->id, 0700) != 0 && errno != EEXIST)
		return ERR_IO;
	s->dir_fd = openat(h->sessions_dir, s->id,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->dir_fd < 0 || fstat(s->dir_fd, &st) != 0)
		return ERR_IO;
	if (st.st_uid != geteuid())
		return ERR_DENIED;
	s->dir_ours = true;
	return !s->daemon->ids.apart || fchmod(s->dir_fd, 0711) == 0 ? 0
								     : ERR_IO;
}

static int
given_dir(struct session *s, const char **why)
{
	static char text[512]; /* lives until the reply */

	*why = text;
	text[0] = '\0';
	return safefile_dir(
	    s->channel.dir, false, &s->dir_fd, text, sizeof(text));
}

/* Whoever may connect: the gate asks the kernel for the peer's uid, the
 * file's mode only keeps the others from knocking. */
static int
open_socket(struct session *s, uid_t uid, const char **why)
{
	bool same = uid == geteuid(), apart = s->daemon->ids.apart;
	mode_t mode = same || apart ? 0600 : 0666;
	int r = unixsock_listen(s->dir_fd, s->channel.name, mode, &s->listen);

	*why = r == ERR_EXISTS	  ? "something is in its socket's place"
	       : r == ERR_TOO_BIG ? "its socket's name is too long"
				  : "its socket cannot be made: may the daemon "
				    "write to that directory?";
	if (r == 0 && apart &&
	    fchownat(
		s->dir_fd, s->channel.name, uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) != 0)
		r = ERR_IO;
	return r;
}

static void
unlist(struct session *s)
{
	struct session **at = &s->daemon->sessions;

	while (*at != NULL && *at != s)
		at = &(*at)->next;
	if (*at == s)
		*at = s->next;
}

static void
session_free(struct session *s)
{
	unlist(s);
	ev_timer_stop(s->daemon->loop, &s->patience);
	process_free(s->gate);
	process_free(s->courier);
	watch_end(s);
	door_leave(s);
	if (s->listen >= 0)
		spawn_unlisten(s->listen);
	trail_close(&s->trail);
	if (s->dir_fd >= 0)
		close(s->dir_fd);
	free(s->for_vault);
	free(s->for_dialer);
	free(s);
}

static void
remove_dir(const struct session *s)
{
	if (s->listen >= 0) /* gone already: fine */
		(void)unlinkat(s->dir_fd, s->channel.name, 0);
	if (s->dir_ours &&
	    unlinkat(s->daemon->home.sessions_dir, s->id, AT_REMOVEDIR) != 0)
		log_event(LOG_WARN, "session_dir_stays",
		    LOG_STR("session", s->id), LOG_INT("errno", errno));
}

/* Both are dead and shall stay so. */
static void
bury(struct session *s)
{
	struct daemon *d = s->daemon;
	struct span id = span_str(s->id);
	struct ctl_session_lost lost = {
	    .session = id, .why = span_str("its processes died too often")};

	remove_dir(s);
	forget(d, id);
	if (s->end == SESSION_LOST)
		process_send(&d->minter, &msg_session_lost, &lost, -1);
	answer_owed(s, "");
	log_event(LOG_INFO, "session_ended", LOG_STR("session", s->id));
	session_free(s);
}

static void
kill_both(struct session *s)
{
	process_kill(s->gate);
	process_kill(s->courier);
}

static void
on_patience(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	kill_both(w->data);
}

/* Both are dead: go on as wished. */
static void
both_dead(struct session *s)
{
	if (s->end != SESSION_KILLED) {
		bury(s);
		return;
	}
	s->end = SESSION_RUNS;
	answer_owed(s, s->channel.dir);
	process_start(s->gate);
	process_start(s->courier);
}

static bool
died_too_often(struct session *s)
{
	const struct config *c = &s->daemon->config;
	double now = uptime();
	size_t n = sizeof(s->deaths) / sizeof(s->deaths[0]), recent = 0;

	s->deaths[s->n_deaths++ % n] = now;
	for (size_t i = 0; i < n && i < s->n_deaths; i++)
		recent += now - s->deaths[i] <= c->seconds;
	return recent > c->crashes;
}

void
session_process_died(struct session *s, struct process *p)
{
	if (p == s->gate)
		door_gate_dead(s);
	if (s->daemon->stopping)
		return;
	if (s->end == SESSION_RUNS && died_too_often(s)) {
		log_event(LOG_ERROR, "session_lost", LOG_STR("session", s->id));
		s->end = SESSION_LOST;
		kill_both(s);
	}
	if (s->end == SESSION_RUNS)
		process_start(p);
	else if (!process_lives(s->gate) && !process_lives(s->courier))
		both_dead(s);
}

static int
open_channel(
    struct session *s, const struct ctl_session_start *m, const char **why)
{
	int r = channel_parse(m->channel, &s->channel);

	*why = "its channel is malformed";
	if (r != 0)
		return r;
	if (s->channel.kind == CHANNEL_VSOCK)
		return door_admit(s, why);
	r = s->channel.dir[0] == '\0' ? own_dir(s, why) : given_dir(s, why);
	return r != 0 ? r : open_socket(s, m->channel_uid, why);
}

static int
open_all(struct session *s, const struct ctl_session_start *m, const char **why)
{
	int r;

	*why = "out of memory";
	s->for_vault = span_dup(m->for_vault);
	s->for_dialer = span_dup(m->for_dialer);
	s->gate = process_new(s->daemon, s, LINK_GATE);
	s->courier = process_new(s->daemon, s, LINK_COURIER);
	if (s->for_vault == NULL || s->for_dialer == NULL || s->gate == NULL ||
	    s->courier == NULL)
		return ERR_NOMEM;
	r = open_channel(s, m, why);
	if (r == 0)
		r = watch_begin(s, &(struct procid){m->pid, m->pid_started}, why);
	if (r != 0)
		return r;
	*why = "its audit file cannot be opened";
	return trail_open(s->daemon, s->id, &s->trail);
}

static struct session *
session_new(struct daemon *d, struct span id)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->daemon = d;
	s->dir_fd = s->listen = s->trail.fd = s->trail.before = -1;
	memcpy(s->id, id.p, id.n);
	watch_init(s);
	ev_init(&s->patience, on_patience);
	s->patience.data = s;
	s->next = d->sessions;
	d->sessions = s;
	return s;
}

static void
start_new(struct daemon *d, const struct ctl_session_start *m)
{
	struct session *s = session_new(d, m->session);
	const char *why = "out of memory";
	int r = s == NULL ? ERR_NOMEM : open_all(s, m, &why);

	if (r != 0) {
		log_event(LOG_ERROR, "session_not_started",
		    LOG_SPAN("session", m->session), LOG_ERR(r),
		    LOG_STR("why", why));
		reply(d, m->rid, m->session, r, "", why);
		if (s != NULL)
			session_free(s);
		return;
	}
	log_event(LOG_INFO, "session_started", LOG_STR("session", s->id),
	    LOG_SPAN("guest", m->guest));
	reply(d, m->rid, m->session, 0, s->channel.dir, "");
	spare_or_start(s, &s->gate);
	spare_or_start(s, &s->courier);
	spare_soon(d);
}

/* New words for vault and dialer, if they are new. */
static int
tell(struct session *s, struct process *who, char **now, struct span text)
{
	struct ctl_descriptor m = {
	    .session = span_str(s->id), .descriptor = text};
	char *copy;

	if (span_is(text, *now))
		return 0;
	if ((copy = span_dup(text)) == NULL)
		return memchr(text.p, 0, text.n) != NULL ? ERR_FORMAT
							 : ERR_NOMEM;
	free(*now);
	*now = copy;
	if (who->state == PROCESS_READY)
		process_send(who, &msg_descriptor, &m, -1);
	return 0;
}

static int
update(struct session *s, struct span for_vault, struct span for_dialer)
{
	int r = tell(s, &s->daemon->vault, &s->for_vault, for_vault);

	return r != 0 ? r
		      : tell(s, &s->daemon->dialer, &s->for_dialer, for_dialer);
}

int
session_start(struct daemon *d, const struct ctl_session_start *m)
{
	struct session *s = session_find(d, m->session);
	int r = 0;

	if (!id_is_good(m->session))
		return ERR_FORMAT;
	if (d->stopping || (s != NULL && s->end > SESSION_KILLED)) {
		reply(d, m->rid, m->session, ERR_SEQUENCE, "", "it is ending");
	} else if (s == NULL) {
		start_new(d, m);
	} else if ((r = update(s, m->for_vault, m->for_dialer)) == 0) {
		reply(d, m->rid, m->session, 0, s->channel.dir, "");
		wire_minter(s);
	}
	return r;
}

int
session_update(struct daemon *d, const struct ctl_session_update *m)
{
	struct session *s = session_find(d, m->session);
	int r = 0;

	if (!id_is_good(m->session))
		return ERR_FORMAT;
	if (s == NULL) {
		reply(d, m->rid, m->session, ERR_NOT_FOUND, "", "not running");
		return 0;
	}
	if ((r = update(s, m->for_vault, m->for_dialer)) == 0)
		reply(d, m->rid, m->session, 0, s->channel.dir, "");
	return r;
}

/* Each wish is answered, and only when it is true. */
static void
owe_answer(struct session *s, uint32_t rid)
{
	struct owed *o = malloc(sizeof(*o));

	if (o == NULL) /* all die with us, which is what was wished */
		log_fatal("out_of_memory", "cannot end a session");
	*o = (struct owed){.next = s->owed, .rid = rid};
	s->owed = o;
}

static void
end_session(struct session *s)
{
	s->end = SESSION_ENDS;
	process_ask_stop(s->gate);
	process_ask_stop(s->courier);
	ev_timer_set(&s->patience, PATIENCE, 0.);
	ev_timer_start(s->daemon->loop, &s->patience);
}

static void
kill_session(struct session *s)
{
	if (s->end == SESSION_RUNS)
		s->end = SESSION_KILLED;
	kill_both(s);
	if (!process_lives(s->gate) && !process_lives(s->courier))
		both_dead(s);
}

int
session_kill(struct daemon *d, const struct ctl_session_kill *m)
{
	struct session *s = session_find(d, m->session);

	if (!id_is_good(m->session))
		return ERR_FORMAT;
	if (s != NULL)
		kill_session(s);
	return 0;
}

int
session_finish(struct daemon *d, const struct ctl_session_end *m)
{
	struct session *s = session_find(d, m->session);

	if (!id_is_good(m->session) ||
	    (m->kind != CTL_END && m->kind != CTL_KILL))
		return ERR_FORMAT;
	if (s == NULL) {
		if (m->kind == CTL_END)
			forget(d, m->session); /* the root of an old one */
		reply(d, m->rid, m->session, 0, "", "");
		return 0;
	}
	owe_answer(s, m->rid);
	if (m->kind == CTL_KILL) {
		kill_session(s);
		return 0;
	}
	if (s->end <= SESSION_KILLED)
		end_session(s);
	if (!process_lives(s->gate) && !process_lives(s->courier))
		both_dead(s);
	return 0;
}
