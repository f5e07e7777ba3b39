/* SPDX-License-Identifier: ISC */
/* What for: the edges between processes. Trusts: the table. At a bound: an
 * edge that cannot be made ends the process that asked for it. */
#include "supervisor/wiring.h"

#include "lib/log.h"
#include "messages/control.h"
#include "supervisor/daemon.h"

#include <unistd.h>

struct edge {
	enum link_role a, b;
};

/* The whole house. docs/ARCHITECTURE.md, "Wiring". */
static const struct edge edges[] = {
    {LINK_GATE, LINK_COURIER},
    {LINK_GATE, LINK_MINTER},
    {LINK_GATE, LINK_VAULT},
    {LINK_COURIER, LINK_VAULT},
    {LINK_COURIER, LINK_MINTER},
    {LINK_COURIER, LINK_DIALER},
    {LINK_MINTER, LINK_VAULT},
};
#define N_EDGES (sizeof(edges) / sizeof(edges[0]))

static void
introduce(struct process *to, const struct process *far, int fd)
{
	struct ctl_peer m = {.role = (uint8_t)far->role};

	if (far->session != NULL) {
		m.session = span_str(far->session->id);
		m.descriptor = session_descriptor(far->session, to->role);
	}
	process_send(to, &msg_peer, &m, fd);
}

static void
connect_pair(struct process *a, struct process *b)
{
	int pair[2];

	if (a->state != PROCESS_READY || b->state != PROCESS_READY)
		return;
	if (link_pair(pair) != 0) {
		log_event(LOG_ERROR, "wiring_failed",
		    LOG_STR("role", link_role_name(a->role)));
		process_kill(a->session != NULL ? a : b);
		return;
	}
	introduce(a, b, pair[0]);
	introduce(b, a, pair[1]);
}

static struct process *
of_session(struct session *s, enum link_role role)
{
	return role == LINK_GATE      ? s->gate
	       : role == LINK_COURIER ? s->courier
				      : NULL;
}

static struct process *
single(struct daemon *d, enum link_role role)
{
	return role == LINK_VAULT    ? &d->vault
	       : role == LINK_MINTER ? &d->minter
	       : role == LINK_DIALER ? &d->dialer
				     : NULL;
}

/* p to every process of role that it may know: of its own session if it
 * has one, else of all. */
static void
connect_role(struct process *p, enum link_role role)
{
	struct daemon *d = p->daemon;
	struct process *q = single(d, role);

	if (q != NULL) {
		connect_pair(p, q);
		return;
	}
	if (p->session != NULL) {
		connect_pair(p, of_session(p->session, role));
		return;
	}
	/* The minter knows only those sessions that it started: see
	 * wire_minter(). */
	if (p->role == LINK_MINTER)
		return;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): of q, not d */
	for (struct session *s = d->sessions; s != NULL; s = s->next)
		connect_pair(p, of_session(s, role));
}

void
wire_process(struct process *p)
{
	for (size_t i = 0; i < N_EDGES; i++) {
		if (edges[i].a == p->role)
			connect_role(p, edges[i].b);
		else if (edges[i].b == p->role)
			connect_role(p, edges[i].a);
	}
}

void
wire_minter(struct session *s)
{
	connect_pair(s->gate, &s->daemon->minter);
	connect_pair(s->courier, &s->daemon->minter);
}
