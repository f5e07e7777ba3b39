/* SPDX-License-Identifier: ISC */
/*
 * The rest of the house, played around the real hatcheck-minter: this test
 * is its supervisor, its vault, and the gate and courier of each session.
 * Everything runs on one loop; house_until() turns it.
 */
#ifndef TESTS_MINTER_DRIVER_H
#define TESTS_MINTER_DRIVER_H

#include "keys/json.h"
#include "keys/jwt.h"
#include "lib/link.h"
#include "lib/unixsock.h"
#include "messages/control.h"
#include "messages/guest.h"
#include "messages/keeper.h"
#include "messages/rules.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define PAIRS 80
#define MAYBE __attribute__((unused))

struct house;

/* A session's gate and courier. */
struct pair {
	struct house *h;
	char id[40];
	struct link *gate, *courier;
	bool mute_gate, mute_courier; /* do not confirm cuts */
	unsigned sessions, rules, families_gate, families_courier;
	unsigned cuts_gate, cuts_courier;
	char all_cuts[4096]; /* names that the courier was told, with spaces */
	/* The last family that the courier was told. */
	char told_family[40], told_parent[40], told_act[80];
	char told_details[65536];
	char last_cut[80], last_family[40];
	uint8_t last_kind;
	char grants[8192], environment[8192], routes[8192], placeholders[4096];
	char jwks[2048], channel[80], base_random[32];
	char for_vault[4096], for_dialer[4096];
	/* The last answer to a token request. */
	unsigned answers, status;
	char token[4097], error[65], family[33], why[257];
	uint32_t expires_in;
	bool courier_behind; /* it had frames to read at the answer */
};

struct house {
	struct ev_loop *loop;
	char dir[64], state[80], audit[80], sock[80];
	pid_t pid;
	struct link *supervisor, *vault;
	struct pair pairs[PAIRS];
	unsigned n_pairs;
	bool ready, locked, no_gates;
	bool mute_all;
	bool slow_vault; /* one question about a credential waits in asked */
	struct {
		uint32_t rid;
		char name[65];
	} asked;
	unsigned starts, updates, ends, kills, puts, shutdowns;
	struct {
		char name[65];
		uint8_t bytes[1024];
		size_t n;
	} keys[2];
	char place[4097]; /* of the last session started */
	char order[4096]; /* what happened, in order: "cut " "end " … */
	int fsize;	  /* the child ignores SIGXFSZ */
};

static MAYBE int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
on_wake(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)w;
	(void)events;
}

/* Turn the loop until cond(arg), for at most ten seconds. */
static MAYBE bool
house_until(struct house *h, bool (*cond)(void *), void *arg)
{
	int64_t end = now_ms() + 10000;
	ev_timer wake;
	bool met;

	ev_timer_init(&wake, on_wake, 0.01, 0.01);
	ev_timer_start(h->loop, &wake);
	while (!(met = cond(arg)) && now_ms() < end)
		ev_run(h->loop, EVRUN_ONCE);
	ev_timer_stop(h->loop, &wake);
	return met;
}

static bool
is_true(void *flag)
{
	return *(bool *)flag;
}

static bool
is_never(void *arg)
{
	(void)arg;
	return false;
}

/* Some turns, so that what is under way arrives. */
static MAYBE void
house_turn(struct house *h)
{
	ev_timer wake;

	(void)is_never;
	ev_timer_init(&wake, on_wake, 0.005, 0.005);
	ev_timer_start(h->loop, &wake);
	for (int i = 0; i < 20; i++)
		ev_run(h->loop, EVRUN_ONCE);
	ev_timer_stop(h->loop, &wake);
}

static void
note(struct house *h, const char *what)
{
	size_t n = strlen(h->order);

	(void)snprintf(h->order + n, sizeof(h->order) - n, "%s ", what);
}

static void
keep_text(struct span s, char *out, size_t size)
{
	assert_int_equal(span_copy(s, out, size), 0);
}

/* ---- gate ---- */

static int
gate_session(void *ctx, struct link *l, const void *msg, int fd)
{
	struct pair *p = ctx;
	const struct guest_session *g = msg;

	(void)l;
	(void)fd;
	p->sessions++;
	keep_text(g->environment, p->environment, sizeof(p->environment));
	keep_text(g->routes, p->routes, sizeof(p->routes));
	keep_text(g->jwks, p->jwks, sizeof(p->jwks));
	keep_text(g->channel, p->channel, sizeof(p->channel));
	keep_text(g->base_random, p->base_random, sizeof(p->base_random));
	return 0;
}

static int
gate_family(void *ctx, struct link *l, const void *msg, int fd)
{
	struct pair *p = ctx;
	const struct guest_family *f = msg;

	(void)l;
	(void)fd;
	p->families_gate++;
	keep_text(f->family, p->last_family, sizeof(p->last_family));
	return 0;
}

static int
gate_cut(void *ctx, struct link *l, const void *msg, int fd)
{
	struct pair *p = ctx;
	const struct guest_cut *c = msg;
	struct guest_cut_done d = {.serial = c->serial};

	(void)fd;
	p->cuts_gate++;
	note(p->h, "gate-cut");
	return p->mute_gate || p->h->mute_all
		   ? 0
		   : link_send(l, &msg_guest_cut_done, &d, -1);
}

static int
gate_given(void *ctx, struct link *l, const void *msg, int fd)
{
	struct pair *p = ctx;
	const struct guest_token_given *g = msg;

	(void)l;
	(void)fd;
	p->answers++;
	p->status = g->status;
	p->expires_in = g->expires_in;
	keep_text(g->token, p->token, sizeof(p->token));
	keep_text(g->error, p->error, sizeof(p->error));
	keep_text(g->description, p->why, sizeof(p->why));
	keep_text(g->family, p->family, sizeof(p->family));
	/* What this courier got, it has at hand by now. */
	struct pollfd at = {.fd = p->courier == NULL ? -1 : link_fd(p->courier),
	    .events = POLLIN};
	p->courier_behind = poll(&at, 1, 0) == 1;
	note(p->h, "given");
	return 0;
}

static const struct link_rule gate_rules[] = {
    {&msg_guest_session, gate_session},
    {&msg_guest_family, gate_family},
    {&msg_guest_cut, gate_cut},
    {&msg_guest_token_given, gate_given},
};

/* ---- courier ---- */

static int
courier_rules(void *ctx, struct link *l, const void *msg, int fd)
{
	struct pair *p = ctx;
	const struct rules_session *g = msg;

	(void)l;
	(void)fd;
	p->rules++;
	keep_text(g->grants, p->grants, sizeof(p->grants));
	keep_text(g->placeholders, p->placeholders, sizeof(p->placeholders));
	note(p->h, "rules");
	return 0;
}

static int
courier_family(void *ctx, struct link *l, const void *msg, int fd)
{
	struct pair *p = ctx;

	const struct rules_family *f = msg;

	(void)l;
	(void)fd;
	p->families_courier++;
	keep_text(f->family, p->told_family, sizeof(p->told_family));
	keep_text(f->parent, p->told_parent, sizeof(p->told_parent));
	keep_text(f->act, p->told_act, sizeof(p->told_act));
	keep_text(f->details, p->told_details, sizeof(p->told_details));
	note(p->h, "family");
	return 0;
}

static int
courier_cut(void *ctx, struct link *l, const void *msg, int fd)
{
	struct pair *p = ctx;
	const struct rules_cut *c = msg;
	struct rules_cut_done d = {.serial = c->serial};

	(void)fd;
	/* These the gate hears of from the courier. */
	if (c->kind != RULES_CUT_SESSION && c->kind != RULES_CUT_FAMILY &&
	    !p->mute_gate && !p->mute_courier && !p->h->mute_all &&
	    p->gate != NULL) {
		struct guest_cut_done gd = {.serial = c->serial};
		int r = link_send(p->gate, &msg_guest_cut_done, &gd, -1);
		if (r != 0)
			return r;
	}
	if (c->kind == RULES_CUT_NOTHING)
		return p->mute_courier
			   ? 0
			   : link_send(l, &msg_rules_cut_done, &d, -1);
	p->cuts_courier++;
	p->last_kind = c->kind;
	keep_text(c->name, p->last_cut, sizeof(p->last_cut));
	if (strlen(p->all_cuts) + sizeof(p->last_cut) < sizeof(p->all_cuts))
		strcat(strcat(p->all_cuts, p->last_cut), " ");
	note(p->h, "cut");
	return p->mute_courier || p->h->mute_all
		   ? 0
		   : link_send(l, &msg_rules_cut_done, &d, -1);
}

static const struct link_rule courier_table[] = {
    {&msg_rules_session, courier_rules},
    {&msg_rules_family, courier_family},
    {&msg_rules_cut, courier_cut},
};

/* ---- supervisor ---- */

static void
pair_broke(void *ctx, struct link *l, int err)
{
	struct pair *p = ctx;

	(void)err;
	if (p->gate == l)
		p->gate = NULL;
	if (p->courier == l)
		p->courier = NULL;
	link_free(l);
}

static struct link *
wire(struct house *h, enum link_role role, struct span session,
    const struct link_rule *rules, size_t n, void *ctx,
    void (*on_break)(void *, struct link *, int))
{
	struct link_options o = {.self = role,
	    .peer = LINK_MINTER,
	    .rules = rules,
	    .n_rules = n,
	    .ctx = ctx,
	    .on_break = on_break,
	    .secret = role == LINK_VAULT};
	struct ctl_peer peer = {.role = (uint8_t)role, .session = session};
	struct link *l;
	int fds[2];

	assert_int_equal(link_pair(fds), 0);
	assert_int_equal(link_new(h->loop, fds[0], &o, &l), 0);
	assert_int_equal(link_send(h->supervisor, &msg_peer, &peer, fds[1]), 0);
	return l;
}

static void
wire_pair(struct house *h, struct pair *p)
{
	struct span id = span_str(p->id);

	p->gate = wire(h, LINK_GATE, id, gate_rules, 4, p, pair_broke);
	p->courier = wire(h, LINK_COURIER, id, courier_table, 3, p, pair_broke);
}

static void
unwire_pair(struct pair *p)
{
	link_free(p->gate);
	link_free(p->courier);
	p->gate = p->courier = NULL;
}

static struct pair *
house_pair(struct house *h, struct span id)
{
	for (unsigned i = 0; i < h->n_pairs; i++) {
		if (span_is(id, h->pairs[i].id))
			return &h->pairs[i];
	}
	assert_true(h->n_pairs < PAIRS);
	struct pair *p = &h->pairs[h->n_pairs++];
	p->h = h;
	keep_text(id, p->id, sizeof(p->id));
	return p;
}

static int
answer(struct house *h, uint32_t rid, struct span session, const char *dir)
{
	struct ctl_done d = {
	    .rid = rid, .session = session, .channel_dir = span_str(dir)};

	return link_send(h->supervisor, &msg_done, &d, -1);
}

static int
on_start(void *ctx, struct link *l, const void *msg, int fd)
{
	struct house *h = ctx;
	const struct ctl_session_start *s = msg;
	struct pair *p = house_pair(h, s->session);

	(void)l;
	(void)fd;
	h->starts++;
	keep_text(s->channel, h->place, sizeof(h->place));
	keep_text(s->for_vault, p->for_vault, sizeof(p->for_vault));
	keep_text(s->for_dialer, p->for_dialer, sizeof(p->for_dialer));
	if (!h->no_gates && p->gate == NULL)
		wire_pair(h, p);
	return answer(h, s->rid, s->session, "/run/here");
}

static int
on_update(void *ctx, struct link *l, const void *msg, int fd)
{
	struct house *h = ctx;
	const struct ctl_session_update *s = msg;
	struct pair *p = house_pair(h, s->session);

	(void)l;
	(void)fd;
	h->updates++;
	note(h, "update");
	keep_text(s->for_vault, p->for_vault, sizeof(p->for_vault));
	keep_text(s->for_dialer, p->for_dialer, sizeof(p->for_dialer));
	return answer(h, s->rid, s->session, "");
}

static int
on_end(void *ctx, struct link *l, const void *msg, int fd)
{
	struct house *h = ctx;
	const struct ctl_session_end *s = msg;
	struct pair *p = house_pair(h, s->session);

	(void)l;
	(void)fd;
	unwire_pair(p);
	if (s->kind == CTL_KILL) {
		h->kills++;
		note(h, "kill");
		wire_pair(h, p);
	} else {
		h->ends++;
		note(h, "end");
	}
	return answer(h, s->rid, s->session, "");
}

static int
on_ready(void *ctx, struct link *l, const void *msg, int fd)
{
	struct house *h = ctx;

	(void)l;
	(void)msg;
	(void)fd;
	h->ready = true;
	return 0;
}

static int
on_shutdown(void *ctx, struct link *l, const void *msg, int fd)
{
	struct house *h = ctx;

	(void)msg;
	(void)fd;
	h->shutdowns++;
	return link_send(l, &msg_stop, NULL, -1);
}

static const struct link_rule supervisor_rules[] = {
    {&msg_ready, on_ready},
    {&msg_session_start, on_start},
    {&msg_session_update, on_update},
    {&msg_session_end, on_end},
    {&msg_shutdown, on_shutdown},
};

/* ---- vault ---- */

static int
on_get(void *ctx, struct link *l, const void *msg, int fd)
{
	struct house *h = ctx;
	const struct keeper_get *k = msg;
	struct keeper_got g = {.rid = k->rid, .err = ERR_NOT_FOUND};

	(void)fd;
	for (int i = 0; i < 2; i++) {
		if (span_is(k->name, h->keys[i].name)) {
			g.err = 0;
			g.bytes = span_of(h->keys[i].bytes, h->keys[i].n);
		}
	}
	return link_send(l, &msg_keeper_got, &g, -1);
}

static int
on_put(void *ctx, struct link *l, const void *msg, int fd)
{
	struct house *h = ctx;
	const struct keeper_put *k = msg;
	struct keeper_got g = {.rid = k->rid};
	int i = h->keys[0].n == 0 ? 0 : 1;

	(void)fd;
	h->puts++;
	keep_text(k->name, h->keys[i].name, sizeof(h->keys[i].name));
	memcpy(h->keys[i].bytes, k->bytes.p, k->bytes.n);
	h->keys[i].n = k->bytes.n;
	return link_send(l, &msg_keeper_got, &g, -1);
}

/* demo is bound to api.demo.test, other to other.test. */
static int
tell_credential(struct link *l, uint32_t rid, struct span name)
{
	struct keeper_credential_info i = {.rid = rid, .err = ERR_NOT_FOUND};

	if (span_is(name, "demo"))
		i.json = span_str(
		    "{\"name\":\"demo\",\"kind\":\"bearer\",\"version\":1,"
		    "\"bindings\":[{\"hosts\":[\"api.demo.test\","
		    "\"*.wild.test\"],\"slot\":{\"type\":\"bearer\"}}],"
		    "\"placeholder\":{\"prefix\":\"dmo_\",\"length\":40,"
		    "\"alphabet\":\"base62\"},\"env\":[\"DEMO_KEY\"]}");
	if (span_is(name, "other"))
		i.json = span_str(
		    "{\"name\":\"other\",\"kind\":\"bearer\",\"version\":1,"
		    "\"bindings\":[{\"hosts\":[\"other.test\"],"
		    "\"slot\":{\"type\":\"bearer\"}}]}");
	i.err = i.json.n > 0 ? 0 : ERR_NOT_FOUND;
	return link_send(l, &msg_keeper_credential_info, &i, -1);
}

static int
on_credential(void *ctx, struct link *l, const void *msg, int fd)
{
	struct house *h = ctx;
	const struct keeper_credential *k = msg;

	(void)fd;
	if (!h->slow_vault || h->asked.rid != 0)
		return tell_credential(l, k->rid, k->name);
	h->asked.rid = k->rid;
	keep_text(k->name, h->asked.name, sizeof(h->asked.name));
	return 0;
}

/* What the slow vault was asked first, it answers now. */
static MAYBE void
house_told(struct house *h)
{
	assert_int_not_equal(h->asked.rid, 0);
	assert_int_equal(tell_credential(h->vault, h->asked.rid,
			     span_str(h->asked.name)),
	    0);
	h->asked.rid = 0;
	h->slow_vault = false;
}

static const struct link_rule vault_rules[] = {
    {&msg_keeper_get, on_get},
    {&msg_keeper_put, on_put},
    {&msg_keeper_credential, on_credential},
};

static void
vault_broke(void *ctx, struct link *l, int err)
{
	struct house *h = ctx;

	(void)err;
	link_free(l);
	h->vault = NULL;
}

static MAYBE void
house_vault(struct house *h, uint8_t state)
{
	struct keeper_state s = {.state = state, .why = span_str("a test")};

	if (h->vault == NULL)
		h->vault = wire(h, LINK_VAULT, (struct span){0}, vault_rules, 3,
		    h, vault_broke);
	assert_int_equal(link_send(h->vault, &msg_keeper_state, &s, -1), 0);
}

/* ---- the program ---- */

static void
supervisor_broke(void *ctx, struct link *l, int err)
{
	struct house *h = ctx;

	(void)err;
	link_free(l);
	h->supervisor = NULL;
}

static _Noreturn void
become_minter(struct house *h, int control, int listener)
{
	const char *out = getenv("HATCHECK_OUT");
	char program[4096];

	/* Out of each other's way first. */
	control = fcntl(control, F_DUPFD, 20);
	listener = fcntl(listener, F_DUPFD, 20);
	dup2(control, CONTROL_FD);
	dup2(listener, LISTEN_FD);
	if (h->fsize)
		signal(SIGXFSZ, SIG_IGN);
	(void)snprintf(program, sizeof(program), "%s/bin/hatcheck-minter",
	    out == NULL ? "out/release" : out);
	execl(program, "hatcheck-minter", "--state", h->state, "--audit",
	    h->audit, (char *)NULL);
	_exit(127);
}

static MAYBE void
house_start(struct house *h)
{
	struct link_options o = {.self = LINK_SUPERVISOR,
	    .peer = LINK_MINTER,
	    .rules = supervisor_rules,
	    .n_rules = 5,
	    .ctx = h,
	    .on_break = supervisor_broke};
	int fds[2], listener,
	    dirfd = open(h->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(link_pair(fds), 0);
	assert_int_equal(unixsock_listen(dirfd, "a.sock", 0666, &listener), 0);
	close(dirfd);
	h->ready = false;
	h->pid = fork();
	assert_true(h->pid >= 0);
	if (h->pid == 0)
		become_minter(h, fds[1], listener);
	close(fds[1]);
	close(listener);
	assert_int_equal(link_new(h->loop, fds[0], &o, &h->supervisor), 0);
	assert_true(house_until(h, is_true, &h->ready));
}

/* sig 0: ask it to stop. Returns the wait status. */
static MAYBE int
house_stop(struct house *h, int sig)
{
	int status = 0;

	if (sig != 0)
		kill(h->pid, sig);
	else if (h->supervisor != NULL) {
		assert_int_equal(
		    link_send(h->supervisor, &msg_stop, NULL, -1), 0);
		assert_int_equal(link_flush(h->supervisor, 1000), 0);
	}
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	link_free(h->supervisor);
	link_free(h->vault);
	h->supervisor = h->vault = NULL;
	for (unsigned i = 0; i < h->n_pairs; i++)
		unwire_pair(&h->pairs[i]);
	return status;
}

static MAYBE void
house_restart(struct house *h, int sig)
{
	(void)house_stop(h, sig);
	house_start(h);
	house_vault(h, VAULT_OPEN);
	house_turn(h);
}

static bool
has_keys(void *arg)
{
	return ((struct house *)arg)->puts >= 2;
}

static MAYBE struct house *
house_new(void)
{
	struct house *h = calloc(1, sizeof(*h));

	assert_true(sodium_init() >= 0);
	h->loop = ev_loop_new(EVFLAG_AUTO);
	(void)snprintf(h->dir, sizeof(h->dir), "/tmp/hatcheck-minter-XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	assert_int_equal(chmod(h->dir, 0711), 0);
	(void)snprintf(h->state, sizeof(h->state), "%s/state", h->dir);
	(void)snprintf(h->audit, sizeof(h->audit), "%s/audit", h->dir);
	(void)snprintf(h->sock, sizeof(h->sock), "%s/a.sock", h->dir);
	return h;
}

static MAYBE void
house_free(struct house *h)
{
	char command[128];

	ev_loop_destroy(h->loop);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", h->dir);
	assert_int_equal(system(command), 0);
	free(h);
}

/* Started, with an open vault and its keys made. */
static MAYBE int
house_setup(void **state)
{
	struct house *h = house_new();

	house_start(h);
	house_vault(h, VAULT_OPEN);
	assert_true(house_until(h, has_keys, h));
	house_turn(h);
	*state = h;
	return 0;
}

static MAYBE int
house_teardown(void **state)
{
	struct house *h = *state;
	int status = house_stop(h, 0);

	if (h->fsize == 0)
		assert_int_equal(status, 0);
	house_free(h);
	return 0;
}

/* ---- the admin API's caller ---- */

static MAYBE int
house_connect(struct house *h)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", h->sock);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

struct http {
	int fd;
	ev_io io;
	char text[65536];
	size_t n;
	bool over;
};

static void
http_readable(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct http *c = w->data;
	ssize_t n = read(c->fd, c->text + c->n, sizeof(c->text) - 1 - c->n);

	(void)events;
	if (n > 0)
		c->n += (size_t)n;
	c->text[c->n] = '\0';
	if (n <= 0) {
		c->over = true;
		ev_io_stop(loop, w);
	}
}

/* Raw bytes out; what came back until the connection's end is in c. */
static MAYBE void
http_begin(struct house *h, struct http *c, const char *bytes, size_t n)
{
	memset(c, 0, sizeof(*c));
	c->fd = house_connect(h);
	/* Refused connections may be reset while we still write. */
	if (send(c->fd, bytes, n, MSG_NOSIGNAL) < 0)
		c->n = 0;
	ev_io_init(&c->io, http_readable, c->fd, EV_READ);
	c->io.data = c;
	ev_io_start(h->loop, &c->io);
}

static MAYBE unsigned
http_end(struct house *h, struct http *c)
{
	unsigned status = 0;

	(void)house_until(h, is_true, &c->over);
	ev_io_stop(h->loop, &c->io);
	close(c->fd);
	if (sscanf(c->text, "HTTP/1.1 %u", &status) != 1)
		return 0;
	return status;
}

static MAYBE void
call_begin(struct house *h, struct http *c, const char *name, const char *json)
{
	size_t n = strlen(json) + 512;
	char *bytes = malloc(n);
	int len = snprintf(bytes, n,
	    "POST /v1/%s HTTP/1.1\r\nHost: hatcheck\r\nConnection: close\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	    name, strlen(json), json);

	http_begin(h, c, bytes, (size_t)len);
	free(bytes);
}

static MAYBE json_t *
call_json(const struct http *c)
{
	const char *body = strstr(c->text, "\r\n\r\n");

	return body == NULL ? NULL : json_strict(span_str(body + 4));
}

static MAYBE unsigned
call_end(struct house *h, struct http *c, json_t **out)
{
	unsigned status = http_end(h, c);

	*out = call_json(c);
	return status;
}

/* One whole call; a new reference in *out. */
static MAYBE unsigned
call(struct house *h, const char *name, const char *json, json_t **out)
{
	struct http *c = malloc(sizeof(*c));

	call_begin(h, c, name, json);
	unsigned status = call_end(h, c, out);
	free(c);
	return status;
}

static MAYBE unsigned
call_quiet(struct house *h, const char *name, const char *json)
{
	json_t *o = NULL;
	unsigned status = call(h, name, json, &o);

	json_decref(o);
	return status;
}

#define DEMO_GRANT                                         \
	"{\"name\":\"demo-read\",\"credential\":\"demo\"," \
	"\"hosts\":[\"api.demo.test\"],"                   \
	"\"allow\":[{\"methods\":[\"GET\"],\"paths\":[\"/v1/**\"]}]}"
#define OTHER_GRANT                                     \
	"{\"name\":\"other\",\"credential\":\"other\"," \
	"\"hosts\":[\"other.test\"],"                   \
	"\"allow\":[{\"methods\":[\"GET\"],\"paths\":[\"/**\"]}]}"

/* A session of that guest with both grants; its pair. */
static MAYBE struct pair *
house_session(struct house *h, const char *guest)
{
	char json[1024];
	json_t *o = NULL;

	(void)snprintf(json, sizeof(json),
	    "{\"guest\":\"%s\",\"details\":[" DEMO_GRANT "," OTHER_GRANT "]}",
	    guest);
	unsigned status = call(h, "session.create", json, &o);
	if (status != 200)
		print_message("%s\n", json_dumps(o, 0));
	assert_int_equal(status, 200);
	struct pair *p = house_pair(h, span_str(json_text(o, "id")));
	json_decref(o);
	return p;
}

static bool
has_answer(void *arg)
{
	struct pair *p = arg;

	return p->answers > 0;
}

static MAYBE unsigned
ask_token(struct house *h, struct pair *p, const struct guest_token_ask *q)
{
	p->answers = 0;
	assert_int_equal(link_send(p->gate, &msg_guest_token_ask, q, -1), 0);
	assert_true(house_until(h, has_answer, p));
	return p->status;
}

static MAYBE unsigned
first_token(struct house *h, struct pair *p)
{
	struct guest_token_ask q = {
	    .rid = 1, .grant_type = span_str("client_credentials")};

	return ask_token(h, p, &q);
}

static MAYBE unsigned
renew_token(struct house *h, struct pair *p, const char *token)
{
	struct guest_token_ask q = {.rid = 2,
	    .grant_type =
		span_str("urn:ietf:params:oauth:grant-type:token-exchange"),
	    .subject_token = span_str(token),
	    .subject_token_type =
		span_str("urn:ietf:params:oauth:token-type:access_token")};

	return ask_token(h, p, &q);
}

/* Is the token active in the minter's books? */
static MAYBE bool
is_active_token(struct house *h, const char *token)
{
	char json[5000];
	json_t *o = NULL;

	(void)snprintf(json, sizeof(json), "{\"token\":\"%s\"}", token);
	assert_int_equal(call(h, "token.inspect", json, &o), 200);
	bool active = json_is_true(json_object_get(o, "active"));
	if (!active)
		assert_int_equal(json_object_size(o), 1);
	json_decref(o);
	return active;
}

#endif
