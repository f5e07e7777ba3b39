/* SPDX-License-Identifier: ISC */
/* What for: hatcheck-courier: one session's requests, its credentials, and
 * the way out. Trusts: the supervisor for who is at which link. At a
 * bound: a broken sibling ends the process. */
#include "egress/courier/clock.h"
#include "egress/courier/conn.h"
#include "egress/courier/exchange.h"
#include "egress/http/tls.h"
#include "lib/jail.h"
#include "lib/log.h"
#include "messages/control.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#define TICK_S 1.0
#define FLUSH_MS 200
/* Heads of all streams at once, and then some: bodies have credit. */
#define GATE_QUEUE_MAX (96 * 1024 * 1024)
#define GATE_LOW (256 * 1024)

struct app {
	struct courier c;
	char session[SESSION_ID_MAX + 1]; /* "": none yet */
	struct audit_files files;
	struct link *control, *vault, *minter, *dialer;
	struct link *dead[LINK_CLI]; /* broken, by role: freed when replaced */
	struct ev_timer tick, failing;
	struct chainlog_head head;
	bool head_is_news;
	uint64_t head_sent_ms;
};

/* ---- audit ---- */

static void
send_head(struct app *a)
{
	struct rules_audit_head m = {
	    .seq = a->head.seq, .hash = span_of(a->head.hash, CHAINLOG_HASH)};

	if (!a->head_is_news || a->minter == NULL)
		return;
	a->head_is_news = false;
	a->head_sent_ms = clock_ms();
	if (link_send(a->minter, &msg_rules_audit_head, &m, -1) != 0)
		log_event(LOG_WARN, "audit_head_lost");
}

static void
on_head(void *ctx, const struct chainlog_head *head)
{
	struct app *a = ctx;

	a->head = *head;
	a->head_is_news = true;
	if (clock_ms() - a->head_sent_ms >= 1000)
		send_head(a);
}

static void
on_audit_long(void *ctx)
{
	struct app *a = ctx;

	if (link_send(a->control, &msg_audit_long, NULL, -1) != 0)
		log_event(LOG_WARN, "audit_not_asked_for");
}

static int
on_audit_next(void *ctx, struct link *l, const void *message, int fd)
{
	const struct ctl_audit_next *m = message;
	struct app *a = ctx;

	(void)l;
	if (a->c.audit == NULL) {
		close(fd);
		return ERR_SEQUENCE;
	}
	audit_next(a->c.audit, fd, m->closed);
	return 0;
}

/* From within anything: what is in flight ends at the loop's next turn. */
static void
on_audit_fail(void *ctx)
{
	struct app *a = ctx;

	ev_timer_start(a->c.loop, &a->failing);
}

static void
on_failing(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct app *a = w->data;

	(void)loop;
	(void)events;
	exchange_end_all(&a->c, REASON_AUDIT_FAILED);
	pool_drop(a->c.pool);
}

static int
before_send(void *ctx)
{
	return audit_flush(ctx);
}

/* ---- the second's round ---- */

static void
report_usage(void *ctx, const struct rules_used *m)
{
	struct app *a = ctx;

	/* Without a minter the tick asks again. */
	if (a->minter != NULL &&
	    link_send(a->minter, &msg_rules_used, m, -1) != 0)
		log_event(LOG_WARN, "usage_lost");
}

static void
send_counts(struct app *a)
{
	struct counts m;

	if (a->minter != NULL && audit_take_counts(a->c.audit, &m) &&
	    link_send(a->minter, &msg_counts, &m, -1) != 0)
		log_event(LOG_WARN, "counts_lost");
}

static bool
is_known(void *ctx, struct span family)
{
	return rules_knows(ctx, family);
}

static void
on_tick(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct app *a = w->data;
	uint64_t now = clock_ms();

	(void)loop;
	(void)events;
	leases_sweep(a->c.leases, now);
	pool_rest(a->c.pool);
	exchange_enforce(&a->c);
	conn_retry(&a->c);
	rules_sweep(a->c.rules, now);
	limits_sweep(a->c.limits, is_known, a->c.rules);
	if (a->minter != NULL)
		limits_report(a->c.limits, false, report_usage, a);
	audit_tick(a->c.audit);
	send_counts(a);
	send_head(a);
}

/* ---- the gate ---- */

#define HANDLER(name, type, call)                                         \
	static int name(void *ctx, struct link *l, const void *m, int fd) \
	{                                                                 \
		struct app *a = ctx;                                      \
		const struct type *message = m;                           \
                                                                          \
		(void)l;                                                  \
		(void)fd;                                                 \
		return call(&a->c, message);                              \
	}

HANDLER(on_connect, traffic_connect, conn_connect)
HANDLER(on_tunnel, traffic_tunnel, exchange_tunnel)
HANDLER(on_request, traffic_request, exchange_request)
HANDLER(on_bytes, traffic_bytes, exchange_bytes)
HANDLER(on_end, traffic_end, exchange_end)
HANDLER(on_window, traffic_window, exchange_window)

static int
end_conn(struct courier *c, const struct traffic_conn_end *m)
{
	conn_end(c, m);
	return 0;
}
HANDLER(on_conn_end, traffic_conn_end, end_conn)

static int
reset_exchange(struct courier *c, const struct traffic_reset *m)
{
	exchange_reset(c, m);
	return 0;
}
HANDLER(on_reset, traffic_reset, reset_exchange)

static int
put_note(struct courier *c, const struct traffic_note *m)
{
	if (m->reason == REASON_NONE || m->reason >= REASON_COUNT)
		return ERR_FORMAT;
	struct audit_line l = {.event = "refused",
	    .family = m->family,
	    .method = m->method,
	    .host = m->host,
	    .target = m->target,
	    .hide_query = true,
	    .port = m->port,
	    .rule = -1,
	    .reason = m->reason};
	const char *jti = NULL;
	if (rules_check_family(c->rules, m->family, clock_ms(), &jti) ==
	    REASON_NONE)
		l.jti = span_str(jti);
	if (audit_put(c->audit, &l) != 0)
		log_event(LOG_WARN, "note_not_logged");
	return 0;
}
HANDLER(on_note, traffic_note, put_note)

static const struct link_rule gate_rules[] = {
    {&msg_traffic_connect, on_connect},
    {&msg_traffic_conn_end, on_conn_end},
    {&msg_traffic_tunnel, on_tunnel},
    {&msg_traffic_request, on_request},
    {&msg_traffic_bytes, on_bytes},
    {&msg_traffic_end, on_end},
    {&msg_traffic_window, on_window},
    {&msg_traffic_reset, on_reset},
    {&msg_traffic_note, on_note},
};

static void
gate_gone(struct app *a)
{
	a->c.gate = NULL;
	exchange_end_all(&a->c, REASON_RETIRED_CONNECTION);
	conn_end_all(&a->c);
}

static void
on_gate_drain(void *ctx, struct link *l)
{
	struct app *a = ctx;

	(void)l;
	exchange_gate_drained(&a->c);
}

/* ---- the vault ---- */

static int
on_given(void *ctx, struct link *l, const void *m, int fd)
{
	struct app *a = ctx;
	int r = leases_given(a->c.leases, m);

	(void)l;
	(void)fd;
	if (r != 0)
		return r;
	exchange_retry(&a->c);
	conn_retry(&a->c);
	leases_settle(a->c.leases);
	return 0;
}

static int
on_changed(void *ctx, struct link *l, const void *message, int fd)
{
	const struct lease_changed *m = message;
	struct lease_settled done = {.serial = m->serial};
	struct app *a = ctx;

	(void)fd;
	leases_changed(a->c.leases, m->credential);
	exchange_credential_changed(&a->c, m->credential,
	    m->version == 0 ? REASON_REVOKED : REASON_RETIRED_CONNECTION);
	pool_drop(a->c.pool);
	return link_send(l, &msg_lease_settled, &done, -1);
}

static const struct link_rule vault_rules[] = {
    {&msg_lease_given, on_given},
    {&msg_lease_changed, on_changed},
};

/* Those that wait for it are answered: it cannot be had now. */
static void
vault_gone(struct app *a)
{
	a->vault = NULL;
	leases_use(a->c.leases, NULL);
	exchange_retry(&a->c);
	conn_retry(&a->c);
}

/* ---- the minter ---- */

static int
on_session(void *ctx, struct link *l, const void *message, int fd)
{
	const struct rules_session *m = message;
	struct app *a = ctx;
	int r;

	(void)l;
	(void)fd;
	if (!span_is(m->session, a->session))
		return ERR_FORMAT;
	if ((r = limits_seed(a->c.limits, m->used)) != 0 ||
	    (r = rules_load(a->c.rules, m)) != 0)
		return r;
	pool_drop(a->c.pool);
	exchange_enforce(&a->c);
	conn_retry(&a->c);
	return 0;
}

static int
on_family(void *ctx, struct link *l, const void *m, int fd)
{
	struct app *a = ctx;

	(void)l;
	(void)fd;
	return rules_put_family(a->c.rules, m);
}

static int
on_leased(void *ctx, struct link *l, const void *m, int fd)
{
	struct app *a = ctx;
	int r = limits_leased(a->c.limits, m);

	(void)l;
	(void)fd;
	if (r == 0)
		exchange_retry(&a->c);
	return r;
}

/* What the gate has of ours in hand, or will read, is cut there by resets:
 * it says when it has read them. Told of a session or family by the minter
 * itself, it needs no word of ours. */
static void
pass_cut(struct app *a, const struct rules_cut *m)
{
	struct traffic_cut t = {.serial = m->serial};

	if (m->kind == RULES_CUT_SESSION || m->kind == RULES_CUT_FAMILY ||
	    a->c.gate == NULL)
		return;
	/* Not told, it does not confirm, and is killed for that. */
	if (link_send(a->c.gate, &msg_traffic_cut, &t, -1) != 0)
		log_event(LOG_WARN, "cut_not_passed");
}

/* When this returns no socket is written under it any more. */
static int
on_cut(void *ctx, struct link *l, const void *message, int fd)
{
	const struct rules_cut *m = message;
	struct app *a = ctx;
	int r = rules_cut(a->c.rules, m);

	(void)fd;
	if (r != 0)
		return r;
	if (m->kind == RULES_CUT_CREDENTIAL)
		leases_changed(a->c.leases, m->name);
	exchange_enforce(&a->c);
	pool_drop(a->c.pool);
	pass_cut(a, m);
	return link_send(l, &msg_rules_cut_done,
	    &(struct rules_cut_done){.serial = m->serial}, -1);
}

static const struct link_rule minter_rules[] = {
    {&msg_rules_session, on_session},
    {&msg_rules_family, on_family},
    {&msg_rules_cut, on_cut},
    {&msg_rules_leased, on_leased},
};

static void
minter_gone(struct app *a)
{
	a->minter = NULL;
	rules_suspend(a->c.rules);
}

/* ---- the dialer ---- */

static int
on_dialed(void *ctx, struct link *l, const void *m, int fd)
{
	struct app *a = ctx;

	(void)l;
	return pool_dialed(a->c.pool, m, fd);
}

static const struct link_rule dialer_rules[] = {
    {&msg_dial_done, on_dialed},
};

static void
dialer_gone(struct app *a)
{
	a->dialer = NULL;
	pool_use(a->c.pool, NULL);
}

/* ---- siblings and the supervisor ---- */

struct sibling {
	const struct link_rule *rules;
	size_t n_rules;
	size_t at; /* of its link in struct app */
	void (*gone)(struct app *a);
	size_t queue_max, low_water;
	enum link_role role;
	bool secret;
};

#define RULES(t) (t), sizeof(t) / sizeof((t)[0])
static const struct sibling siblings[] = {
    {RULES(gate_rules), offsetof(struct app, c.gate), gate_gone, GATE_QUEUE_MAX,
	GATE_LOW, LINK_GATE, false},
    {RULES(vault_rules), offsetof(struct app, vault), vault_gone, 0, 0,
	LINK_VAULT, true},
    {RULES(minter_rules), offsetof(struct app, minter), minter_gone, 0, 0,
	LINK_MINTER, false},
    {RULES(dialer_rules), offsetof(struct app, dialer), dialer_gone, 0, 0,
	LINK_DIALER, false},
};

static struct link **
link_of(struct app *a, const struct sibling *s)
{
	return (struct link **)(void *)((char *)a + s->at);
}

static void
on_sibling_break(void *ctx, struct link *l, int err)
{
	struct app *a = ctx;

	for (size_t i = 0; i < sizeof(siblings) / sizeof(siblings[0]); i++) {
		const struct sibling *s = &siblings[i];
		if (*link_of(a, s) != l)
			continue;
		if (err != ERR_UNAVAILABLE)
			log_fatal("sibling_link", link_role_name(s->role));
		a->dead[s->role] = l;
		s->gone(a);
	}
}

static const struct sibling *
find_sibling(uint8_t role)
{
	for (size_t i = 0; i < sizeof(siblings) / sizeof(siblings[0]); i++) {
		if (siblings[i].role == role)
			return &siblings[i];
	}
	return NULL;
}

static void
use(struct app *a, const struct sibling *s)
{
	if (s->role == LINK_VAULT)
		leases_use(a->c.leases, a->vault);
	else if (s->role == LINK_DIALER)
		pool_use(a->c.pool, a->dialer);
}

static int
on_peer(void *ctx, struct link *l, const void *message, int fd)
{
	const struct ctl_peer *m = message;
	const struct sibling *s = find_sibling(m->role);
	struct app *a = ctx;
	struct link *fresh = NULL;
	int r;

	(void)l;
	if (s == NULL || a->c.audit == NULL) {
		close(fd);
		return ERR_FORMAT;
	}
	struct link_options o = {.self = LINK_COURIER,
	    .peer = s->role,
	    .rules = s->rules,
	    .n_rules = s->n_rules,
	    .ctx = a,
	    .on_break = on_sibling_break,
	    .on_drain = s->role == LINK_GATE ? on_gate_drain : NULL,
	    .low_water = s->low_water,
	    .queue_max = s->queue_max,
	    .secret = s->secret};
	if ((r = link_new(a->c.loop, fd, &o, &fresh)) != 0)
		return r;
	struct link *old = *link_of(a, s);
	if (old != NULL)
		s->gone(a);
	link_free(old);
	link_free(a->dead[s->role]);
	a->dead[s->role] = NULL;
	*link_of(a, s) = fresh;
	use(a, s);
	return 0;
}

static int
on_bounds(void *ctx, struct link *l, const void *m, int fd)
{
	struct app *a = ctx;

	(void)l;
	(void)fd;
	if (a->c.audit == NULL || !bounds_good(m))
		return ERR_FORMAT;
	a->c.bounds = *(const struct bounds *)m;
	a->c.decoding.ratio = a->c.bounds.decompression_ratio;
	audit_bound(a->c.audit, m);
	pool_bound(a->c.pool, m);
	pool_drop(a->c.pool); /* the way out may be another now */
	return 0;
}

/* The last lines reach the disk, and the minter hears of them. */
static int
on_stop(void *ctx, struct link *l, const void *message, int fd)
{
	struct app *a = ctx;

	(void)l;
	(void)message;
	(void)fd;
	if (a->c.audit == NULL)
		exit(0); /* it waited for a session */
	exchange_end_all(&a->c, REASON_RETIRED_CONNECTION);
	send_counts(a);
	audit_close(a->c.audit);
	if (a->minter != NULL) {
		limits_report(a->c.limits, true, report_usage, a);
		send_head(a);
		if (link_flush(a->minter, FLUSH_MS) != 0)
			log_event(LOG_WARN, "last_words_lost");
	}
	exit(0);
}

/* From now on it has a session, and a place for what it does. */
static void
begin(struct app *a)
{
	struct audit_handlers h = {
	    .ctx = a,
	    .on_fail = on_audit_fail,
	    .on_long = on_audit_long,
	    .on_head = on_head};
	struct courier *c = &a->c;

	if (audit_open(c->loop, &a->files, a->session, &h, &c->audit) != 0)
		log_fatal("start", "the audit file is not a whole chain");
	if (a->files.before >= 0)
		(void)close(a->files.before); /* read */
	/* No byte goes to an upstream before the lines that say why. */
	pool_before_send(c->pool, before_send, c->audit);
	audit_know(c->audit, c->rules);
	ev_timer_start(c->loop, &a->tick);
}

static int
on_session_given(void *ctx, struct link *l, const void *message, int fd)
{
	const struct ctl_given *m = message;
	struct app *a = ctx;

	(void)l;
	if (a->c.audit != NULL || m->session.n == 0 ||
	    span_copy(m->session, a->session, sizeof(a->session)) != 0) {
		close(fd);
		return ERR_SEQUENCE;
	}
	a->files.fd = fd;
	begin(a);
	return 0;
}

static const struct link_rule control_rules[] = {
    {&msg_audit_next, on_audit_next},
    {&msg_bounds, on_bounds},
    {&msg_given, on_session_given},
    {&msg_peer, on_peer},
    {&msg_stop, on_stop},
};

static void
on_control_break(void *ctx, struct link *l, int err)
{
	struct app *a = ctx;

	(void)l;
	audit_close(a->c.audit);
	if (err == ERR_UNAVAILABLE)
		exit(0); /* the supervisor is gone */
	log_fatal("supervisor_link", err_text(err));
}

/* Where trust anchors lie, and where the links there point. */
static const struct jail_path paths[] = {
    {"/etc/ssl/certs", false},
    {"/usr/share/ca-certificates", false},
    {"/usr/local/share/ca-certificates", false},
};
static const struct jail_profile profile = {
    .role = "courier",
    .calls = JAIL_FILES_READ | JAIL_SYNC,
    .paths = paths,
    .n_paths = sizeof(paths) / sizeof(paths[0]),
};

static void
read_arguments(int argc, char **argv, struct app *a)
{
	if (argc == 1)
		return; /* it waits to be told */
	if ((argc != 3 && argc != 5) || strcmp(argv[1], "--session") != 0 ||
	    argv[2][0] == '\0' ||
	    span_copy(span_str(argv[2]), a->session, sizeof(a->session)) !=
		0 ||
	    (argc == 5 &&
		(strcmp(argv[3], "--closed") != 0 ||
		    span_u64(span_str(argv[4]), INT64_MAX, &a->files.closed) !=
			0)))
		log_fatal("usage", "hatcheck-courier [--session ID "
				   "[--closed BYTES]]");
}

static void
open_parts(struct app *a)
{
	struct courier *c = &a->c;

	c->loop = ev_default_loop(EVBACKEND_EPOLL);
	c->bounds = bounds_default();
	ev_timer_init(&a->failing, on_failing, 0., 0.);
	ev_timer_init(&a->tick, on_tick, TICK_S, TICK_S);
	a->failing.data = a;
	a->tick.data = a;
	if (c->loop == NULL || sodium_init() < 0 || tls_init() != 0 ||
	    rules_new(&c->rules) != 0 || leases_new(&c->leases) != 0 ||
	    limits_new(&c->limits) != 0 || pool_new(c->loop, &c->pool) != 0)
		log_fatal("start", "no loop, TLS or memory");
}

int
main(int argc, char **argv)
{
	struct app a = {0};
	struct link_options o = {.self = LINK_COURIER,
	    .peer = LINK_SUPERVISOR,
	    .rules = control_rules,
	    .n_rules = sizeof(control_rules) / sizeof(control_rules[0]),
	    .ctx = &a,
	    .on_break = on_control_break};

	log_open("courier");
	read_arguments(argc, argv, &a);
	jail_begin("courier", AUDIT_BEFORE_FD);
	/* Before anything else is opened there. */
	a.files.fd = AUDIT_FD;
	a.files.before =
	    fcntl(AUDIT_BEFORE_FD, F_GETFD) < 0 ? -1 : AUDIT_BEFORE_FD;
	(void)close(LISTEN_FD); /* a courier has none */
	open_parts(&a);
	if (a.session[0] != '\0')
		begin(&a);
	jail_enter(&profile);
	if (link_new(a.c.loop, CONTROL_FD, &o, &a.control) != 0 ||
	    link_send(a.control, &msg_ready, NULL, -1) != 0)
		log_fatal("start", "no link to the supervisor");
	ev_run(a.c.loop, 0);
	return 0;
}
