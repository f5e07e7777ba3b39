/* SPDX-License-Identifier: ISC */
/*
 * The gate of one session: everything it holds, and its links. Guest bytes
 * end here; nothing in this process is worth stealing but a 24-hour
 * intermediate that is good for this session's names alone.
 *
 *	links.c		who may say what to us, as tables
 *	conn.h		a guest's connection and its states
 *	exchange.h	one request and its answer
 */
#ifndef EGRESS_GATE_GATE_H
#define EGRESS_GATE_GATE_H

#include "egress/gate/leaf_cache.h"
#include "egress/gate/limits.h"
#include "egress/gate/session.h"
#include "egress/gate/tokens.h"
#include "lib/link.h"
#include "lib/uptime.h"
#include "messages/bounds.h"

#include <openssl/ssl.h>

struct conn;

struct gate {
	struct ev_loop *loop;
	struct link *control;
	struct link *courier, *minter, *vault; /* NULL or broken: not there */
	struct bounds bounds;

	struct session *session; /* NULL: the minter has not spoken yet */
	struct tokens *tokens;

	EVP_PKEY *key;
	SSL_CTX *tls;
	struct leaf_cache *leaves; /* NULL: the vault has not spoken yet */
	uint32_t ca_rid;	   /* of the newest question */
	bool ca_waiting;
	double ca_next; /* uptime(): ask (again) then */

	struct conn *conns[LIMIT_CONNS];
	size_t n_conns;
	size_t streams;	    /* that the courier may know of */
	uint32_t sequence;  /* of ids */
	double doubt_until; /* uptime(); 0: no family is in doubt */
	double patience;    /* uptime(): until then what is missing may come */

	int listen_fd; /* -1: none (tests) */
	struct ev_io listener;
	struct ev_timer tick;
};

/* Makes key and TLS context: all of OpenSSL that the jail must not see
 * opened later. */
MUST_USE int gate_new(struct ev_loop *loop, struct gate **out);
/* It has a session, whose guests come by listen_fd (-1: they are brought);
 * non-blocking, stays the caller's. */
void gate_begin(struct gate *g, int listen_fd);
void gate_free(struct gate *g);
/* Limits for what begins from now on. The first ones open the door: nobody
 * is heard before. */
void gate_bound(struct gate *g, const struct bounds *b);

/* The supervisor's link to a sibling; takes fd. It replaces an old one. */
MUST_USE int gate_adopt(struct gate *g, enum link_role role, int fd);

/* Session, CA and siblings are there. */
bool gate_ready(const struct gate *g);
/* Not ready, but it may well be in a moment: guests are kept waiting. */
bool gate_starting(const struct gate *g);
bool gate_link_lives(const struct link *l);
/* Send, if the far end is there; false: it is not (or its queue is full). */
bool gate_tell(struct link *l, const struct msg_type *t, const void *m);
/* The courier has too much to take in just now. */
bool gate_congested(const struct gate *g);
struct tokens_now gate_now(void);

/* An id for a conn, a stream or a question of the connection in slot:
 * unique while it lives, and it leads back to the slot. */
uint32_t gate_new_id(struct gate *g, size_t slot);
struct conn *gate_slot(const struct gate *g, uint32_t id);

/* Cut a family's connections (empty: all), now. */
void gate_cut(struct gate *g, struct span family);
/* We are to stop: who can be told is told. */
void gate_retire(struct gate *g);
/* The courier is gone, and with it all that hung on it. */
void gate_courier_lost(struct gate *g);
/* A session has come, perhaps another: whoever may not be here goes. */
void gate_check_peers(struct gate *g);
/* Something that a request needs is gone. */
void gate_be_patient(struct gate *g);
/* Let every connection go on as far as it can. */
void gate_resume(struct gate *g);
/* Ask the vault for an intermediate. */
void gate_ask_ca(struct gate *g);

#endif
