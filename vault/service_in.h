/* SPDX-License-Identifier: ISC */
/*
 * The inside of struct service, shared by service.c (supervisor, minter),
 * session.c (couriers, gates) and door.c (the CLI). Nobody else includes
 * it.
 */
#ifndef VAULT_SERVICE_IN_H
#define VAULT_SERVICE_IN_H

#include "lib/link.h"
#include "messages/control.h"
#include "vault/service.h"
#include "vault/verbs.h"
#include "vault/worker.h"

struct session;
struct door;

struct service {
	struct ev_loop *loop;
	struct worker *worker;
	struct link *control, *minter;
	uint64_t minter_serial; /* a late answer must not meet a new minter */
	struct session *sessions;
	size_t n_sessions;
	uint32_t changes; /* that couriers were told of: the last's number */
	struct door *door;
	struct transfer *transfer; /* the worker's */
	struct ev_timer probe, sweep;
	bool probing;
	enum vault_state state;
	char why[256];
	void (*on_end)(struct ev_loop *loop);
};

/* session.c */
#define SESSIONS_MAX 4096
/* A session that cannot be served, or whose descriptor is broken, is told
 * nothing and gets nothing: the others are not touched. */
void session_peer(struct service *s, const struct ctl_peer *p, int fd);
void
session_describe(struct service *s, struct span id, struct span descriptor);
void session_gone(struct service *s, struct span id);
void session_free_all(struct service *s);
/* Tell every courier that leased name; NULL: each its own. */
void
session_tell_changed(struct service *s, const char *name, uint32_t version);
/* All that was told up to serial (s->changes then) is done by those told,
 * or they are dead. */
bool session_settled(const struct service *s, uint32_t serial);
/* Delete roots that no session has any more. */
void session_sweep_roots(struct service *s);

/* door.c */
MUST_USE int
door_new(struct service *s, int listen_fd, gid_t group, struct door **out);
void door_free(struct door *d);
/* Answer those whose change is session_settled() now. NULL is fine. */
void door_settled(struct door *d);

#endif
