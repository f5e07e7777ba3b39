/* SPDX-License-Identifier: ISC */
/* What for: hatcheck-minter, from birth to the loop. Trusts: its argv and
 * its first fds, which the supervisor made. At a bound: does not start. */
#include "lib/jail.h"
#include "lib/log.h"
#include "lib/safefile.h"
#include "lib/unixsock.h"
#include "messages/channel.h"
#include "minter/api.h"
#include "minter/broken.h"
#include "minter/change.h"
#include "minter/finish.h"
#include "minter/keyring.h"
#include "minter/links.h"
#include "minter/open.h"
#include "minter/pair.h"
#include "minter/retain.h"

#include <fcntl.h>
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_S 1.0
#define SYNC_S 0.05 /* audit lines that nobody waits for */
#define PRUNE_TICKS 3600
#define MARK_TICKS 60
#define USED_TICKS 5
#define PRUNE_AFTER_S (24 * 3600)

struct words {
	const char *state, *audit;
	uint64_t vsock_port;
	gid_t group;
	unsigned child_depth;
};

static bool
read_depth(const char *text, unsigned *out)
{
	if (text[0] < '0' || text[0] > '0' + SESSION_DEPTH_MAX ||
	    text[1] != '\0')
		return false;
	*out = (unsigned)(text[0] - '0');
	return true;
}

static struct words
read_words(int argc, char **argv)
{
	static const struct option options[] = {
	    {"state", required_argument, NULL, 's'},
	    {"audit", required_argument, NULL, 'a'},
	    {"admin-gid", required_argument, NULL, 'g'},
	    {"vsock-port", required_argument, NULL, 'p'},
	    {"child-depth", required_argument, NULL, 'd'},
	    {0},
	};
	struct words w = {.group = UNIXSOCK_NO_GROUP,
	    .vsock_port = CHANNEL_PORT,
	    .child_depth = 3};
	bool good = true;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's')
			w.state = optarg;
		else if (c == 'a')
			w.audit = optarg;
		else if (c == 'g')
			good = unixsock_group_parse(optarg, &w.group) == 0;
		else if (c == 'd')
			good = read_depth(optarg, &w.child_depth);
		else
			good = c == 'p' && span_u64(span_str(optarg),
					       UINT32_MAX, &w.vsock_port) == 0;
		if (!good)
			break;
	}
	if (!good || w.state == NULL || w.audit == NULL || optind != argc)
		log_fatal("usage", "--state DIR --audit DIR");
	return w;
}

/* On false why names the file. */
static bool
open_files(struct minter *m, const struct words *w, char why[BROKEN_WHY_MAX])
{
	char what[BROKEN_WHY_MAX / 2] = "";
	const char *dir = w->audit;
	int fd;

	if (safefile_dir(w->state, true, &fd, why, BROKEN_WHY_MAX) != 0)
		log_fatal("state_directory", why);
	close(fd);
	if (safefile_dir(w->audit, true, &fd, why, BROKEN_WHY_MAX) != 0)
		log_fatal("audit_directory", why);
	int r = audit_open(fd, &m->audit, what, sizeof(what));
	if (r == 0) {
		dir = w->state;
		r = state_open(w->state, &m->state, what, sizeof(what));
	}
	m->audit_dir = w->audit;
	m->child_depth = w->child_depth;
	if (r != 0)
		(void)snprintf(why, BROKEN_WHY_MAX, "%s%s%s.",
		    what[0] == '/' ? "" : dir, what[0] == '/' ? "" : "/", what);
	return r == 0;
}

static void
enter_jail(const struct words *w)
{
	const struct jail_path paths[] = {
	    {w->state, true},
	    {w->audit, true},
	};
	const struct jail_profile profile = {.role = "minter",
	    .calls = JAIL_ACCEPT | JAIL_FILES_READ | JAIL_FILES_WRITE |
		     JAIL_SYNC | JAIL_OPTIONS,
	    .paths = paths,
	    .n_paths = 2};

	jail_enter(&profile);
}

/* "BOOT_ID WALL_MS BOOT_MS AHEAD_MS" of the furthest time seen. In the same
 * boot it goes on from there. Where it cannot, for the clock is behind that,
 * or after a reboot into the past, where nobody can tell how old a session
 * is, all of them end, and the clock is believed: else one that was ahead
 * for a moment would refuse everything for as long as it was ahead. */
static bool
restore_clock(struct minter *m)
{
	char text[128], boot_id[CLOCK_BOOT_ID] = "";
	int64_t wall = clock_wall_ms(), boot = clock_boot_ms();
	long long mark_wall = 0, mark_boot = 0, ahead = 0;

	clock_start(&m->clock, wall, boot);
	if (state_meta_get(m->state, "clock", text, sizeof(text)) != 0 ||
	    sscanf(text, "%39s %lld %lld %lld", boot_id, &mark_wall, &mark_boot,
		&ahead) < 3)
		return true;
	if (strcmp(boot_id, m->boot_id) != 0)
		return wall >= mark_wall - CLOCK_BACK_MS;
	clock_start(&m->clock, mark_wall, mark_boot);
	m->clock.ahead_ms = ahead;
	if (clock_check(&m->clock, wall, boot) == 0)
		return true;
	clock_start(&m->clock, wall, boot);
	return false;
}

static int
put_clock(struct minter *m)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "%s %lld %lld %lld",
	    m->boot_id[0] == '\0' ? "-" : m->boot_id,
	    (long long)m->clock.wall_ms, (long long)m->clock.boot_ms,
	    (long long)m->clock.ahead_ms);
	return state_meta_put(m->state, "clock", text);
}

static void
save_clock(struct minter *m)
{
	if (put_clock(m) != 0)
		minter_fail(m, "state");
}

/* Over for good before the clock is believed for good: who dies in between
 * finds either both or none. The tick does the rest. */
static void
end_all(struct minter *m)
{
	int r = state_begin(m->state);

	for (struct session *s = m->sessions; s != NULL; s = s->next) {
		s->expires_ms = 0;
		if (r == 0)
			r = state_session_end(
			    m->state, s->id, SESSION_EXPIRED);
	}
	if (r != 0 || put_clock(m) != 0 || state_commit(m->state) != 0) {
		state_rollback(m->state);
		minter_fail(m, "state");
	}
	log_event(LOG_WARN, "clock_went_back",
	    LOG_STR("effect", "sessions of before are ended"));
}

static bool
restore(struct minter *m)
{
	bool known = restore_clock(m);

	if (open_restore(m) != 0)
		return false;
	if (!known)
		end_all(m);
	if (minter_act(m, "started",
		json_pack("{s:s, s:I}", "build", link_build_id(), "sessions",
		    (json_int_t)m->n_sessions)) != 0)
		log_event(LOG_ERROR, "audit_unwritable",
		    LOG_STR("effect", "nothing is forwarded"));
	return true;
}

static void
save_used(struct minter *m, struct session *s)
{
	const char *name;
	json_t *u;

	json_object_foreach(s->used, name, u)
	{
		struct used_row row = {.requests = json_integer_value(
					   json_object_get(u, "requests")),
		    .up = json_integer_value(json_object_get(u, "up")),
		    .down = json_integer_value(json_object_get(u, "down"))};
		if (state_used_put(m->state, s->id, name, &row) != 0)
			minter_fail(m, "state");
	}
	s->used_dirty = false;
}

/* Limits must not begin anew with the daemon. */
static void
save_all_used(struct minter *m)
{
	bool dirty = false;

	for (struct session *s = m->sessions; s != NULL; s = s->next)
		dirty |= s->used_dirty;
	if (!dirty || m->failed != NULL || state_begin(m->state) != 0)
		return;
	for (struct session *s = m->sessions; s != NULL; s = s->next) {
		if (s->used_dirty)
			save_used(m, s);
	}
	if (state_commit(m->state) != 0)
		minter_fail(m, "state");
}

static void
sweep_session(struct session *s, int64_t now_ms)
{
	session_families_sweep(s, now_ms);
	session_used_sweep(s);
}

static void
sweep_families(struct minter *m)
{
	int64_t now = clock_boot_ms();

	for (struct session *s = m->sessions; s != NULL; s = s->next)
		sweep_session(s, now);
}

/* What this chain itself has that no anchor of a session covers. */
static void
seal(struct minter *m)
{
	if (m->failed == NULL && m->audit_keys != NULL &&
	    audit_seal(m->audit) != 0)
		minter_fail(m, "audit");
}

static void
prune(struct minter *m)
{
	int64_t now = clock_wall_ms() / 1000;

	if (state_prune(m->state, now, now - PRUNE_AFTER_S) != 0)
		minter_fail(m, "state");
}

/* Those that came while the clock was behind, and could not be told. */
static void
brief_gates(struct minter *m)
{
	for (struct session *s = m->sessions; s != NULL; s = s->next) {
		if (!s->gate_told)
			pair_brief_gate(m, s);
	}
}

static void
on_tick(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct minter *m = w->data;
	int64_t now;

	(void)loop;
	(void)events;
	m->ticks++;
	rpc_sweep(m->rpcs, clock_boot_ms());
	open_tick(m);
	change_tick(m);
	finish_tick(m);
	sweep_families(m);
	keyring_vault_changed(m);
	keyring_tick(m);
	if (m->ticks % USED_TICKS == 0)
		save_all_used(m);
	for (struct session *s = m->sessions; s != NULL; s = s->next)
		finish_anchor(m, s);
	seal(m);
	if (m->failed == NULL && clock_now(&m->clock, &now) == 0) {
		brief_gates(m);
		if (m->ticks % MARK_TICKS == 0)
			save_clock(m);
	}
	if (m->ticks % PRUNE_TICKS == 0)
		m->retain = true;
	if (m->retain && m->audit_keys != NULL) {
		m->retain = false;
		retain_run(m);
	}
	if (m->failed == NULL && m->ticks % PRUNE_TICKS == 1)
		prune(m);
}

static void
on_sync(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct minter *m = w->data;

	(void)loop;
	(void)events;
	if (audit_unsynced(m->audit) && audit_sync(m->audit) != 0)
		minter_fail(m, "audit");
}

static void
start_timers(struct minter *m)
{
	ev_timer_init(&m->tick, on_tick, TICK_S, TICK_S);
	ev_timer_init(&m->sync, on_sync, SYNC_S, SYNC_S);
	m->tick.data = m;
	m->sync.data = m;
	ev_timer_start(m->loop, &m->tick);
	ev_timer_start(m->loop, &m->sync);
}

/* What was promised is on disk already; this is for comfort. */
static int
finish(struct minter *m)
{
	save_all_used(m);
	if (m->failed == NULL) {
		save_clock(m);
		if (minter_act(m, "stopped", NULL) != 0)
			log_event(LOG_ERROR, "audit_unwritable",
			    LOG_STR("effect", "stopping anyway"));
		seal(m);
		on_sync(m->loop, &m->sync, 0);
	}
	admin_drain(m->admin, 20);
	state_close(m->state);
	audit_free(m->audit);
	signing_free(m->token_keys);
	signing_free(m->audit_keys);
	return m->failed == NULL ? 0 : 1;
}

int
main(int argc, char **argv)
{
	static struct minter m;
	static char why[BROKEN_WHY_MAX];
	struct words w;
	bool good;

	log_open("minter");
	jail_begin("minter", LISTEN_FD);
	w = read_words(argc, argv);
	m.vsock_port = (uint32_t)w.vsock_port;
	if (sodium_init() < 0)
		log_fatal("sodium", "it cannot be used");
	clock_boot_id(m.boot_id);
	good = open_files(&m, &w, why);
	m.loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	m.rpcs = rpcs_new();
	if (m.loop == NULL || m.rpcs == NULL ||
	    admin_new(
		m.loop, LISTEN_FD, w.group, api_routes, api_n_routes, &m, &m.admin) != 0)
		log_fatal("start", "the loop or the admin API cannot be made");
	enter_jail(&w);
	if (good && !(good = restore(&m)))
		(void)snprintf(why, sizeof(why),
		    "%.200s/minter.db: its sessions cannot be read.", w.state);
	if (!good)
		broken_serve(&m, CONTROL_FD, why);
	if (links_open(&m, CONTROL_FD) != 0 || links_ready(&m) != 0)
		log_fatal("start", "no link to the supervisor");
	start_timers(&m);
	open_restart(&m);
	ev_run(m.loop, 0);
	return finish(&m);
}
