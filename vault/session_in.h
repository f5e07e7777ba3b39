/* SPDX-License-Identifier: ISC */
/*
 * One session as the vault sees it, shared by session.c (its life and its
 * CA), lease.c (what its courier holds) and settle.c (what it was told to
 * forget). Nobody else includes it.
 */
#ifndef VAULT_SESSION_IN_H
#define VAULT_SESSION_IN_H

#include "vault/service_in.h"

#define ASKS_MAX 64 /* unanswered, per link */
#define REJECTIONS_MAX 4096 /* told by one session's couriers */
/* Leases that a courier has not taken; a few of the largest. It is locked
 * memory, of which all couriers together have 8 MiB. */
#define LEASES_QUEUED_MAX (256 * 1024)

struct names {
	char **name;
	size_t n;
};

struct leased {
	char name[GRANT_NAME_MAX];
	struct leased *next;
};

struct session {
	struct service *s;
	struct session *next;
	char id[SESSION_ID_MAX + 1];
	struct names credentials, hosts;
	struct link *courier, *gate;
	/* A late answer must not meet a new link. */
	uint64_t courier_serial, gate_serial;
	/* Asked for and not answered; of a courier, rejections not noted too. */
	unsigned courier_asks, gate_asks;
	unsigned rejections;
	struct leased *leased;
	/* Changes: the last that the courier was told, and that it says is
	 * done (settle.c). Equal: nothing is open. */
	uint32_t told, settled;
	bool doomed; /* its courier is to be killed */
	struct ev_timer late;
	struct ev_timer reap; /* frees links outside their callbacks */
};

/* session.c */
struct session *session_find(struct service *s, const char *id);
bool names_has(const struct names *n, const char *name);
/* A link broke: free it once outside of its callbacks. */
void session_drop(struct session *x, const char *who, int err);

/* lease.c */
extern const struct link_rule lease_rules[];
extern const size_t lease_rules_n;
void leases_forget(struct session *x);
/* Take back what it leased and name matches (NULL: all). */
void leases_take_back(struct session *x, const char *name, uint32_t version);

/* settle.c */
void settle_init(struct session *x);
/* The courier is told that it must forget a credential. */
void settle_tell(struct session *x, const char *name, uint32_t version);
MUST_USE int settle_confirmed(struct session *x, uint32_t serial);
/* Its courier is no more: there is nobody who could use anything. */
void settle_gone(struct session *x);
/* Its courier cannot be talked to, and may still live: have it killed. */
void settle_kill(struct session *x);

#endif
