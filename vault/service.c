/* SPDX-License-Identifier: ISC */
/* What for: the vault's links to supervisor and minter, and its state told
 * to both worlds. Trusts: the supervisor for who is who. At a bound: a
 * garbled sibling ends the process. */
#include "vault/service_in.h"

#include "lib/log.h"
#include "messages/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PROBE_S 2.    /* how soon a keychain that came back is seen */
#define SWEEP_S 3600. /* by then every living session has a gate */

/* --- state ----------------------------------------------------------- */

static void
tell_minter(struct service *s)
{
	struct keeper_state m = {
	    .state = (uint8_t)s->state, .why = span_str(s->why)};

	/* Not known yet: the first opening tells. */
	if (s->state == 0)
		return;
	if (s->minter != NULL && !link_broken(s->minter) &&
	    link_send(s->minter, &msg_keeper_state, &m, -1) != 0)
		log_fatal("vault_minter_queue", "the minter does not read");
}

static void
on_state(void *ctx, const struct job *j)
{
	struct service *s = ctx;

	if (j->outgrown)
		s->on_end(s->loop);
	if (j->state == s->state && strcmp(j->why, s->why) == 0)
		return;
	if (j->state != s->state)
		log_event(LOG_INFO, "vault_state", LOG_INT("state", j->state),
		    LOG_STR("why", j->why));
	if (j->state == VAULT_LOCKED && s->state != VAULT_LOCKED)
		session_tell_changed(s, NULL, 0);
	s->state = j->state;
	memcpy(s->why, j->why, sizeof(s->why));
	tell_minter(s);
}

struct probe {
	struct job job;
	struct service *s;
};

static void
probe_run(struct job *j, struct house *h)
{
	(void)j;
	house_probe(h);
}

static void
probe_done(struct job *j)
{
	((struct probe *)j)->s->probing = false;
}

static void
probe_free(struct job *j)
{
	free(j);
}

static void
probe(struct service *s)
{
	struct probe *p;

	if (s->probing || (p = calloc(1, sizeof(*p))) == NULL)
		return;
	p->job.run = probe_run;
	p->job.done = probe_done;
	p->job.free = probe_free;
	p->s = s;
	s->probing = true;
	if (worker_push(s->worker, &p->job) != 0) {
		s->probing = false;
		free(p);
	}
}

/* A keychain comes, goes and is locked without telling us. */
static void
on_probe(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct service *s = t->data;

	(void)loop;
	(void)events;
	if (s->state != VAULT_OPEN)
		probe(s);
}

static void
on_sweep(struct ev_loop *loop, struct ev_timer *t, int events)
{
	(void)loop;
	(void)events;
	session_sweep_roots(t->data);
}

/* --- the minter ------------------------------------------------------ */

struct keeper {
	struct job job;
	struct service *s;
	uint64_t serial;
	uint32_t rid;
	char name[KEY_NAME_MAX + 1];
	struct keep *bytes;
	char *json;
	int err;
};

static void
keeper_free(struct job *j)
{
	struct keeper *k = (struct keeper *)j;

	keep_free(k->bytes);
	free(k->json);
	free(k);
}

static struct link *
minter_of(struct keeper *k)
{
	struct service *s = k->s;

	if (k->serial != s->minter_serial || s->minter == NULL ||
	    link_broken(s->minter))
		return NULL;
	return s->minter;
}

static void
keeper_done(struct job *j)
{
	struct keeper *k = (struct keeper *)j;
	struct keeper_got m = {.rid = k->rid, .err = k->err};
	struct link *l = minter_of(k);

	if (k->err == 0 && k->bytes != NULL)
		m.bytes = keep_reveal(k->bytes);
	if (l != NULL && link_send(l, &msg_keeper_got, &m, -1) != 0)
		log_fatal("vault_minter_queue", "the minter does not read");
}

static void
info_done(struct job *j)
{
	struct keeper *k = (struct keeper *)j;
	struct keeper_credential_info m = {
	    .rid = k->rid, .err = k->err, .json = span_str(k->json)};
	struct link *l = minter_of(k);

	if (l != NULL && link_send(l, &msg_keeper_credential_info, &m, -1) != 0)
		log_fatal("vault_minter_queue", "the minter does not read");
}

static void
get_run(struct job *j, struct house *h)
{
	struct keeper *k = (struct keeper *)j;

	k->err = house_key_get(h, k->name, &k->bytes);
	if (k->err == 0 && keep_len(k->bytes) > KEY_BYTES_MAX)
		k->err = ERR_TOO_BIG;
}

static void
put_run(struct job *j, struct house *h)
{
	struct keeper *k = (struct keeper *)j;

	k->err = house_key_put(h, k->name, keep_reveal(k->bytes));
	keep_free(k->bytes);
	k->bytes = NULL;
}

static void
info_run(struct job *j, struct house *h)
{
	struct keeper *k = (struct keeper *)j;
	struct metadata m;
	json_t *json;

	if ((k->err = house_show(h, k->name, &m, NULL)) != 0)
		return;
	json = metadata_to_json(&m);
	k->json = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
	k->err = k->json == NULL ? ERR_NOMEM : 0;
	json_decref(json);
	metadata_free(&m);
}

static int
push_keeper(struct service *s, uint32_t rid, struct span name,
    struct span bytes, void (*run)(struct job *, struct house *),
    void (*done)(struct job *))
{
	struct keeper *k = calloc(1, sizeof(*k));
	int r = k == NULL ? ERR_NOMEM : 0;

	if (r == 0 && (r = span_copy(name, k->name, sizeof(k->name))) == 0 &&
	    bytes.n != 0)
		r = keep_new(bytes.p, bytes.n, &k->bytes);
	if (r == 0) {
		k->job.run = run;
		k->job.done = done;
		k->job.free = keeper_free;
		k->s = s;
		k->serial = s->minter_serial;
		k->rid = rid;
		r = worker_push(s->worker, &k->job);
	}
	if (r != 0 && k != NULL)
		keeper_free(&k->job);
	return r;
}

/* More is asked at once than can wait: the minter may ask again. */
static int
not_now(struct link *l, uint32_t rid, int err)
{
	struct keeper_got no = {.rid = rid, .err = err};

	return err == 0 ? 0 : link_send(l, &msg_keeper_got, &no, -1);
}

static int
on_get(void *ctx, struct link *l, const void *m, int fd)
{
	const struct keeper_get *q = m;

	(void)fd;
	return not_now(l, q->rid,
	    push_keeper(ctx, q->rid, q->name, (struct span){0}, get_run,
		keeper_done));
}

static int
on_put(void *ctx, struct link *l, const void *m, int fd)
{
	const struct keeper_put *q = m;

	(void)fd;
	if (q->bytes.n == 0)
		return ERR_FORMAT;
	return not_now(l, q->rid,
	    push_keeper(
		ctx, q->rid, q->name, q->bytes, put_run, keeper_done));
}

static int
on_credential(void *ctx, struct link *l, const void *m, int fd)
{
	const struct keeper_credential *q = m;
	struct keeper_credential_info no = {.rid = q->rid};

	(void)fd;
	no.err = push_keeper(
	    ctx, q->rid, q->name, (struct span){0}, info_run, info_done);
	return no.err == 0
		   ? 0
		   : link_send(l, &msg_keeper_credential_info, &no, -1);
}

static const struct link_rule minter_rules[] = {
    {&msg_keeper_get, on_get},
    {&msg_keeper_put, on_put},
    {&msg_keeper_credential, on_credential},
};

static void
on_minter_break(void *ctx, struct link *l, int err)
{
	(void)ctx;
	(void)l;
	if (err != ERR_UNAVAILABLE)
		log_fatal("vault_minter_broken", err_text(err));
}

static int
take_minter(struct service *s, int fd)
{
	struct link_options o = {.self = LINK_VAULT,
	    .peer = LINK_MINTER,
	    .rules = minter_rules,
	    .n_rules = sizeof(minter_rules) / sizeof(minter_rules[0]),
	    .ctx = s,
	    .on_break = on_minter_break,
	    .secret = true};
	int r;

	link_free(s->minter);
	s->minter = NULL;
	s->minter_serial++;
	if ((r = link_new(s->loop, fd, &o, &s->minter)) == 0)
		tell_minter(s);
	return r;
}

/* --- the supervisor -------------------------------------------------- */

static int
on_peer(void *ctx, struct link *l, const void *m, int fd)
{
	struct service *s = ctx;
	const struct ctl_peer *p = m;

	(void)l;
	if (p->role == LINK_MINTER)
		return take_minter(s, fd);
	if (p->role == LINK_COURIER || p->role == LINK_GATE) {
		session_peer(s, p, fd);
		return 0;
	}
	close(fd);
	return ERR_FORMAT;
}

static int
on_descriptor(void *ctx, struct link *l, const void *m, int fd)
{
	const struct ctl_descriptor *d = m;

	(void)l;
	(void)fd;
	session_describe(ctx, d->session, d->descriptor);
	return 0;
}

static int
on_session_gone(void *ctx, struct link *l, const void *m, int fd)
{
	const struct ctl_session_gone *g = m;

	(void)l;
	(void)fd;
	session_gone(ctx, g->session);
	return 0;
}

static int
on_stop(void *ctx, struct link *l, const void *m, int fd)
{
	struct service *s = ctx;

	(void)l;
	(void)m;
	(void)fd;
	s->on_end(s->loop);
	return 0;
}

static const struct link_rule control_rules[] = {
    {&msg_peer, on_peer},
    {&msg_descriptor, on_descriptor},
    {&msg_session_gone, on_session_gone},
    {&msg_stop, on_stop},
};

static void
on_control_break(void *ctx, struct link *l, int err)
{
	struct service *s = ctx;

	(void)l;
	if (err != ERR_UNAVAILABLE)
		log_fatal("vault_supervisor_broken", err_text(err));
	s->on_end(s->loop);
}

static int
take_control(struct service *s, int fd)
{
	struct link_options o = {.self = LINK_VAULT,
	    .peer = LINK_SUPERVISOR,
	    .rules = control_rules,
	    .n_rules = sizeof(control_rules) / sizeof(control_rules[0]),
	    .ctx = s,
	    .on_break = on_control_break};

	return link_new(s->loop, fd, &o, &s->control);
}

/* --- life ------------------------------------------------------------ */

static void
init_timers(struct service *s)
{
	ev_timer_init(&s->probe, on_probe, PROBE_S, PROBE_S);
	ev_timer_init(&s->sweep, on_sweep, SWEEP_S, SWEEP_S);
	s->probe.data = s;
	s->sweep.data = s;
}

int
service_new(struct ev_loop *loop, struct house *h,
    const struct service_fds *fds, void (*on_end)(struct ev_loop *loop),
    struct service **out)
{
	struct service *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL) {
		close(fds->control);
		return ERR_NOMEM;
	}
	s->loop = loop;
	s->on_end = on_end;
	s->state = house_state(h);
	snprintf(s->why, sizeof(s->why), "%s", house_why(h));
	init_timers(s);
	if ((r = take_control(s, fds->control)) != 0 ||
	    (r = transfer_new(&s->transfer)) != 0 ||
	    (r = worker_new(loop, h, on_state, s, &s->worker)) != 0 ||
	    (fds->listen >= 0 &&
		(r = door_new(s, fds->listen, fds->group, &s->door)) != 0)) {
		service_free(s);
		return r;
	}
	*out = s;
	return 0;
}

int
service_start(struct service *s)
{
	ev_timer_start(s->loop, &s->probe);
	ev_timer_start(s->loop, &s->sweep);
	probe(s);
	return link_send(s->control, &msg_ready, NULL, -1);
}

void
service_free(struct service *s)
{
	if (s == NULL)
		return;
	ev_timer_stop(s->loop, &s->probe);
	ev_timer_stop(s->loop, &s->sweep);
	worker_free(s->worker);
	door_free(s->door);
	session_free_all(s);
	link_free(s->minter);
	link_free(s->control);
	transfer_free(s->transfer);
	free(s);
}
