/* SPDX-License-Identifier: ISC */
/* What for: who of a session may have what: leases for its courier, an
 * intermediate for its gate. Trusts: the socket for the session, the
 * supervisor's descriptor for what it may have; never a message of theirs.
 * At a bound: drops that courier's or gate's link. */
#include "vault/session_in.h"

#include "keys/ca.h"
#include "keys/json.h"
#include "lib/log.h"
#include "messages/ca.h"
#include "scope/host.h"

#include <stdlib.h>
#include <stdio.h>
#include <unistd.h>

/* --- descriptors ----------------------------------------------------- */

static void
names_free(struct names *n)
{
	for (size_t i = 0; i < n->n; i++)
		free(n->name[i]);
	free(n->name);
	*n = (struct names){0};
}

bool
names_has(const struct names *n, const char *name)
{
	for (size_t i = 0; i < n->n; i++) {
		if (strcmp(n->name[i], name) == 0)
			return true;
	}
	return false;
}

static int
names_room(struct names *n, size_t room)
{
	n->name = calloc(room + 1, sizeof(char *));
	return n->name == NULL ? ERR_NOMEM : 0;
}

/* There is room. */
static int
names_add(struct names *n, const char *text)
{
	n->name[n->n] = strdup(text);
	if (n->name[n->n] == NULL)
		return ERR_NOMEM;
	n->n++;
	return 0;
}

static int
names_parse(const json_t *list, size_t max, struct names *out)
{
	size_t n = json_array_size(list);
	int r;

	if (!json_is_array(list) || n > max)
		return ERR_FORMAT;
	r = names_room(out, n);
	for (size_t i = 0; i < n && r == 0; i++) {
		const char *text = json_string_value(json_array_get(list, i));
		r = text == NULL || strlen(text) >= HOST_MAX
			? ERR_FORMAT
			: names_add(out, text);
	}
	return r;
}

static int
descriptor_parse(
    struct span text, struct names *credentials, struct names *hosts)
{
	static const char *const members[] = {"credentials", "hosts", NULL};
	json_t *json = json_strict(text);
	int r = ERR_FORMAT;

	if (json_is_object(json) && json_only(json, members, NULL) &&
	    (r = names_parse(
		 json_object_get(json, "credentials"), 256, credentials)) == 0)
		r = names_parse(
		    json_object_get(json, "hosts"), CA_NAMES_MAX, hosts);
	json_decref(json);
	return r;
}

/* --- the table ------------------------------------------------------- */

struct session *
session_find(struct service *s, const char *id)
{
	for (struct session *x = s->sessions; x != NULL; x = x->next) {
		if (strcmp(x->id, id) == 0)
			return x;
	}
	return NULL;
}

static struct session *
find_span(struct service *s, struct span id)
{
	char text[SESSION_ID_MAX + 1];

	return span_copy(id, text, sizeof(text)) == 0 ? session_find(s, text)
						      : NULL;
}

static void
on_reap(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct session *x = t->data;

	(void)loop;
	(void)events;
	if (x->courier != NULL && link_broken(x->courier)) {
		link_free(x->courier);
		x->courier = NULL;
	}
	if (x->gate != NULL && link_broken(x->gate)) {
		link_free(x->gate);
		x->gate = NULL;
	}
}

static int
make(struct service *s, struct span id, struct session **out)
{
	struct session *x;
	int r;

	if (s->n_sessions >= SESSIONS_MAX || id.n == 0)
		return ERR_TOO_BIG;
	if ((x = calloc(1, sizeof(*x))) == NULL)
		return ERR_NOMEM;
	if ((r = span_copy(id, x->id, sizeof(x->id))) != 0) {
		free(x);
		return r;
	}
	x->s = s;
	settle_init(x);
	ev_timer_init(&x->reap, on_reap, 0., 0.);
	x->reap.data = x;
	x->next = s->sessions;
	s->sessions = x;
	s->n_sessions++;
	*out = x;
	return 0;
}

static void
session_free(struct session *x)
{
	ev_timer_stop(x->s->loop, &x->reap);
	link_free(x->courier);
	link_free(x->gate);
	names_free(&x->credentials);
	names_free(&x->hosts);
	leases_forget(x);
	ev_timer_stop(x->s->loop, &x->late);
	free(x);
}

void
session_free_all(struct service *s)
{
	while (s->sessions != NULL) {
		struct session *x = s->sessions;
		s->sessions = x->next;
		session_free(x);
	}
	s->n_sessions = 0;
}

void
session_drop(struct session *x, const char *who, int err)
{
	if (err != ERR_UNAVAILABLE)
		log_event(LOG_ERROR, "vault_peer_dropped", LOG_STR("who", who),
		    LOG_STR("session", x->id), LOG_ERR(err));
	ev_timer_stop(x->s->loop, &x->reap);
	ev_timer_set(&x->reap, 0., 0.);
	ev_timer_start(x->s->loop, &x->reap);
}

/* --- the session's CA ------------------------------------------------ */

struct ca {
	struct job job;
	struct service *s;
	char session[SESSION_ID_MAX + 1];
	uint64_t serial;
	uint32_t rid;
	uint8_t spki[256];
	size_t spki_n;
	struct names hosts;
	struct buf *intermediate, *root;
	int err;
};

static void
ca_free(struct job *j)
{
	struct ca *q = (struct ca *)j;

	names_free(&q->hosts);
	buf_free(q->intermediate);
	buf_free(q->root);
	free(q);
}

static void
ca_run(struct job *j, struct house *h)
{
	struct ca *q = (struct ca *)j;

	q->err = house_ca(h, q->session, span_of(q->spki, q->spki_n),
	    (const char *const *)q->hosts.name, q->hosts.n, q->intermediate,
	    q->root);
}

static void
ca_done(struct job *j)
{
	struct ca *q = (struct ca *)j;
	struct session *x = session_find(q->s, q->session);
	struct ca_given m = {.rid = q->rid, .err = q->err};

	if (q->err == 0) {
		m.intermediate = buf_span(q->intermediate);
		m.root = buf_span(q->root);
	}
	if (x != NULL && x->gate != NULL && !link_broken(x->gate) &&
	    x->gate_serial == q->serial) {
		x->gate_asks--;
		if (link_send(x->gate, &msg_ca_given, &m, -1) != 0) {
			link_free(x->gate);
			x->gate = NULL;
		}
	}
}

static int
names_copy(const struct names *from, struct names *to)
{
	int r = names_room(to, from->n);

	for (size_t i = 0; i < from->n && r == 0; i++)
		r = names_add(to, from->name[i]);
	return r;
}

static int
push_ca(struct session *x, const struct ca_ask *m)
{
	struct ca *q = calloc(1, sizeof(*q));
	int r = ERR_NOMEM;

	if (q == NULL)
		return r;
	q->job.guests = true;
	q->job.run = ca_run;
	q->job.done = ca_done;
	q->job.free = ca_free;
	q->s = x->s;
	q->serial = x->gate_serial;
	q->rid = m->rid;
	snprintf(q->session, sizeof(q->session), "%s", x->id);
	memcpy(q->spki, m->spki.p, m->spki.n);
	q->spki_n = m->spki.n;
	q->intermediate = buf_new(CA_DER_MAX * 4);
	q->root = buf_new(8192);
	if (q->intermediate == NULL || q->root == NULL ||
	    (r = names_copy(&x->hosts, &q->hosts)) != 0 ||
	    (r = worker_push(x->s->worker, &q->job)) != 0)
		ca_free(&q->job);
	else
		x->gate_asks++;
	return r;
}

static int
on_ca_ask(void *ctx, struct link *l, const void *msg, int fd)
{
	struct session *x = ctx;
	const struct ca_ask *m = msg;
	struct ca_given no = {.rid = m->rid};

	(void)fd;
	if (x->gate_asks >= ASKS_MAX)
		return ERR_TOO_BIG;
	if (m->spki.n == 0 || m->spki.n > sizeof(((struct ca *)0)->spki))
		return ERR_FORMAT;
	if ((no.err = push_ca(x, m)) == 0)
		return 0;
	return link_send(l, &msg_ca_given, &no, -1);
}

static const struct link_rule gate_rules[] = {
    {&msg_ca_ask, on_ca_ask},
};

static void
on_gate_break(void *ctx, struct link *l, int err)
{
	struct session *x = ctx;

	(void)l;
	session_drop(x, "gate", err);
}

/* --- what the supervisor says ---------------------------------------- */

static bool
names_same(const struct names *a, const struct names *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (strcmp(a->name[i], b->name[i]) != 0)
			return false;
	}
	return true;
}

/* What the courier leased and may no longer have. */
static void
take_back(struct session *x)
{
	bool again = true;

	while (again) {
		again = false;
		for (struct leased *l = x->leased; l != NULL; l = l->next) {
			if (names_has(&x->credentials, l->name))
				continue;
			char name[GRANT_NAME_MAX];
			memcpy(name, l->name, sizeof(name));
			leases_take_back(x, name, 0);
			again = true;
			break;
		}
	}
}

static void
describe(struct session *x, struct names *credentials, struct names *hosts)
{
	bool hosts_changed = !names_same(&x->hosts, hosts);

	names_free(&x->credentials);
	names_free(&x->hosts);
	x->credentials = *credentials;
	x->hosts = *hosts;
	take_back(x);
	if (hosts_changed && x->gate != NULL && !link_broken(x->gate) &&
	    link_send(x->gate, &msg_ca_stale, NULL, -1) != 0) {
		link_free(x->gate);
		x->gate = NULL;
	}
}

static void
not_served(struct span id, int err)
{
	log_event(LOG_ERROR, "session_not_served", LOG_SPAN("session", id),
	    LOG_ERR(err));
}

/* On an error it may have nothing at all. */
static int
describe_text(struct session *x, struct span descriptor)
{
	struct names credentials = {0}, hosts = {0};
	int r = descriptor_parse(descriptor, &credentials, &hosts);

	if (r != 0) {
		names_free(&credentials);
		names_free(&hosts);
		not_served(span_str(x->id), r);
	}
	describe(x, &credentials, &hosts);
	return r;
}

void
session_describe(struct service *s, struct span id, struct span descriptor)
{
	struct session *x = find_span(s, id);

	if (x != NULL) /* else it ended meanwhile */
		(void)describe_text(x, descriptor);
}

static void
on_courier_break(void *ctx, struct link *l, int err)
{
	struct session *x = ctx;

	(void)l;
	session_drop(x, "courier", err);
	if (err == ERR_UNAVAILABLE)
		settle_gone(x);
	else
		settle_kill(x);
}

static int
take_courier(struct session *x, int fd)
{
	struct link_options o = {.self = LINK_VAULT,
	    .peer = LINK_COURIER,
	    .rules = lease_rules,
	    .n_rules = lease_rules_n,
	    .ctx = x,
	    .on_break = on_courier_break,
	    .queue_max = LEASES_QUEUED_MAX,
	    .secret = true};

	link_free(x->courier);
	x->courier = NULL;
	x->courier_serial++;
	x->courier_asks = 0;
	leases_forget(x);
	settle_gone(x); /* the one before is dead */
	return link_new(x->s->loop, fd, &o, &x->courier);
}

static int
take_gate(struct session *x, int fd)
{
	struct link_options o = {.self = LINK_VAULT,
	    .peer = LINK_GATE,
	    .rules = gate_rules,
	    .n_rules = sizeof(gate_rules) / sizeof(gate_rules[0]),
	    .ctx = x,
	    .on_break = on_gate_break};

	link_free(x->gate);
	x->gate = NULL;
	x->gate_serial++;
	x->gate_asks = 0;
	return link_new(x->s->loop, fd, &o, &x->gate);
}

void
session_peer(struct service *s, const struct ctl_peer *p, int fd)
{
	struct session *x = find_span(s, p->session);
	int r = x == NULL ? make(s, p->session, &x) : 0;

	if (r != 0)
		not_served(p->session, r);
	if (r != 0 || describe_text(x, p->descriptor) != 0) {
		close(fd);
		return;
	}
	r = p->role == LINK_COURIER ? take_courier(x, fd) : take_gate(x, fd);
	if (r != 0)
		not_served(p->session, r);
}

struct forget {
	struct job job;
	char session[SESSION_ID_MAX + 1];
	int err;
};

static void
forget_run(struct job *j, struct house *h)
{
	struct forget *f = (struct forget *)j;

	f->err = house_forget_session(h, f->session);
}

static void
forget_done(struct job *j)
{
	struct forget *f = (struct forget *)j;

	if (f->err != 0)
		log_event(LOG_WARN, "vault_root_remains",
		    LOG_STR("session", f->session), LOG_ERR(f->err));
}

static void
forget_free(struct job *j)
{
	free(j);
}

void
session_gone(struct service *s, struct span id)
{
	struct forget *f = calloc(1, sizeof(*f));

	for (struct session **at = &s->sessions; *at != NULL;
	     at = &(*at)->next) {
		struct session *x = *at;
		if (!span_is(id, x->id))
			continue;
		*at = x->next;
		s->n_sessions--;
		session_free(x);
		door_settled(s->door);
		break;
	}
	if (f == NULL || span_copy(id, f->session, sizeof(f->session)) != 0) {
		free(f);
		return;
	}
	f->job.run = forget_run;
	f->job.done = forget_done;
	f->job.free = forget_free;
	if (worker_push(s->worker, &f->job) != 0)
		free(f);
}

/* --- roots that nobody has any more ---------------------------------- */

struct sweep {
	struct job job;
	struct buf *live; /* the ids, a NUL after each */
};

static bool
is_live(void *ctx, const char *session)
{
	struct span ids = buf_span(((struct sweep *)ctx)->live);

	while (ids.n != 0) {
		if (strcmp((const char *)ids.p, session) == 0)
			return true;
		ids = span_from(ids, strlen((const char *)ids.p) + 1);
	}
	return false;
}

static void
sweep_run(struct job *j, struct house *h)
{
	struct sweep *w = (struct sweep *)j;
	int r = house_sweep_roots(h, is_live, w);

	if (r != 0)
		log_event(LOG_WARN, "vault_roots_remain", LOG_ERR(r));
}

static void
sweep_done(struct job *j)
{
	(void)j;
}

static void
sweep_drop(struct sweep *w)
{
	buf_free(w->live);
	free(w);
}

static void
sweep_free(struct job *j)
{
	sweep_drop((struct sweep *)j);
}

static int
list_live(const struct service *s, struct buf *out)
{
	int r = out == NULL ? ERR_NOMEM : 0;

	for (struct session *x = s->sessions; x != NULL && r == 0; x = x->next)
		r = buf_put(out, x->id, strlen(x->id) + 1);
	return r;
}

void
session_sweep_roots(struct service *s)
{
	struct sweep *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return;
	w->job.run = sweep_run;
	w->job.done = sweep_done;
	w->job.free = sweep_free;
	w->live = buf_new(SESSIONS_MAX * sizeof(((struct session *)0)->id));
	if (list_live(s, w->live) != 0 || worker_push(s->worker, &w->job) != 0)
		sweep_drop(w);
}
