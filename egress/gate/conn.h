/* SPDX-License-Identifier: ISC */
/*
 * A guest's connection, from accept to its end.
 *
 *	FIRST -> HTTP <-> CONNECTING -> HELLO -> SHAKING -> HTTP (intercepted)
 *	           `-> TUNNEL (WebSocket)     `-> TUNNEL      `-> TUNNEL
 *
 * and ENDING from anywhere. Functions that may end the connection say so;
 * after that c must not be touched.
 */
#ifndef EGRESS_GATE_CONN_H
#define EGRESS_GATE_CONN_H

#include "egress/gate/exchange.h"
#include "egress/gate/gate.h"
#include "egress/gate/h2c.h"
#include "egress/http/h1_parse.h"
#include "egress/http/stream.h"
#include "lib/log.h"

enum conn_state {
	CONN_FIRST,	 /* an attach line, or HTTP? */
	CONN_HTTP,	 /* requests, plain or intercepted */
	CONN_CONNECTING, /* the courier is asked about a CONNECT */
	CONN_HELLO,	 /* 200 is out; a ClientHello must come */
	CONN_SHAKING,	 /* our TLS handshake with the guest */
	CONN_TUNNEL,
	CONN_ENDING /* the last bytes are going out */
};

struct conn {
	struct gate *g;
	size_t slot;
	struct stream *s;
	const struct front *front; /* what is spoken on it */
	struct h1 *h1;
	struct mux *mux; /* HTTP/2's (front_h2.c), or NULL */
	struct buf *out; /* what is written next */
	bool failed;	 /* to write: the next flush ends it */
	struct ev_timer turn; /* only ever fed: writes it when a turn ends */
	enum conn_state state;
	bool eof;  /* the guest sends no more */
	uid_t uid; /* of the peer, as the kernel says */

	char family[FAMILY_SIZE]; /* what was last used; empty: none yet */
	bool attached;		  /* by its first line */
	bool bound;		  /* to family, for good */
	enum reason attach_failed;

	uint32_t id; /* CONNECT: as the courier knows it; or 0 */
	struct host host;
	uint16_t port;
	bool tunnel;	  /* the courier said so */
	bool intercepted; /* HTTP within our TLS */

	struct exchange x; /* the one of HTTP/1.1 */
	struct ev_timer deadline;
};

/* Take over an accepted socket. It is closed at once when the peer's uid
 * is not the session's, and refused when there are too many. */
void conn_accept(struct gate *g, int fd);
/* The same for one that the supervisor brings: its peer has no uid, and is
 * closed at once when the session's has one. */
void conn_take(struct gate *g, int fd);

/* Do what can be done with the input there is. May end it. */
void conn_process(struct conn *c);

/* End it now: reset, the courier told, freed. */
void conn_free(struct conn *c);
/* End it in order: what is queued goes out first. */
void conn_finish(struct conn *c);
/* Its token has ended, or we do: nothing under it goes out any more. */
void conn_retire(struct conn *c);
void conn_deadline(struct conn *c, double seconds);

/* Write what is in c->out. False: it ended. */
bool conn_write_out(struct conn *c);
/* Write bytes behind what is in c->out, without a copy there. */
void conn_write_long(struct conn *c, struct span bytes);
/* conn_write_out() when this turn ends, so that a head and a short body are one TLS
 * record; at once when it is a record's worth. */
bool conn_write_soon(struct conn *c);
/* A request's head: decide what it is, and begin. May end c (not within
 * HTTP/2, where x may end). */
void conn_request(struct exchange *x, struct head *h);
/* Refuse the request h (NULL: there is none that could be read): answer,
 * close unless the next request can follow. May end c. */
void
conn_refuse(struct exchange *x, const struct problem *p, const struct head *h);
/* Refuse HTTP/2 without TLS: note it, say so, close. */
void conn_refuse_h2c(struct conn *c);
void conn_note(struct conn *c, unsigned reason, const struct head *h,
    const struct host *host, uint16_t port);

/* connect.c: CONNECT, and what comes between its 200 and TLS. */
enum reason connect_start(struct conn *c, const struct way *w);
MUST_USE int connect_done(struct conn *c, uint8_t way);
void connect_refused(struct conn *c, const struct traffic_refused *m);
/* True: there may be more to do. */
bool connect_hello(struct conn *c);

/* intercept.c: is there a leaf for c's host? */
MUST_USE int intercept_check(struct conn *c);
bool intercept_start(struct conn *c);
void intercept_open(struct conn *c);

/* tunnel.c */
bool tunnel_start(struct conn *c, const struct host *sni);
bool tunnel_step(struct conn *c);
MUST_USE int tunnel_bytes(struct conn *c, struct span bytes);
void tunnel_ended(struct conn *c);

#endif
