/* SPDX-License-Identifier: ISC */
/*
 * One request and its answer: forwarded to the courier, answered by the
 * guest API, or a tunnel's bytes. How it looks on the guest's connection is
 * front.h's.
 */
#ifndef EGRESS_GATE_EXCHANGE_H
#define EGRESS_GATE_EXCHANGE_H

#include "egress/gate/front.h"
#include "egress/gate/problem.h"
#include "egress/gate/way.h"
#include "messages/traffic.h"

struct api_endpoint;

enum exchange_kind {
	EXCHANGE_NONE,
	EXCHANGE_FORWARD,
	EXCHANGE_TUNNEL,
	EXCHANGE_API,
	EXCHANGE_ANSWERED /* refused; only the request's end is missing */
};

struct exchange {
	/* For good. */
	struct conn *c;
	int32_t h2;	       /* its stream on the guest's connection */
	struct exchange *next; /* of c */

	enum exchange_kind kind;
	uint32_t id;	     /* stream, or the minter's rid */
	bool counted;	     /* in gate.streams */
	bool to_head;	     /* the request is a HEAD */
	bool close;	     /* the guest asked for it */
	bool upgrade;	     /* to a WebSocket, until there is an answer */
	bool chunked;	     /* the request's length is not known */
	bool sent_all;	     /* the request is over */
	bool got_all;	     /* the answer is over */
	bool answered;	     /* the answer's head is out */
	bool lingers;	     /* front_h2.c: but waits for the window */
	enum head_body body; /* the answer's */
	uint64_t left;	     /* of HEAD_BODY_LENGTH */
	uint32_t credit;     /* what we may send to the courier */
	uint32_t granted;    /* what the courier may send us */
	uint32_t owed;	     /* passed on, not given back yet */
	double moved;	     /* uptime(): when a byte passed last */
	uint64_t put, gone;  /* front_h2.c: of the answer's bytes */
	uint64_t mark;
	const struct api_endpoint *api;
	struct buf *api_body;
};

/* As new: nothing is under way. */
void exchange_clear(struct exchange *x);
/* A byte passed, or should now. */
void exchange_moved(struct exchange *x);

/* Send a request to the courier. h is stripped for it. REASON_NONE, or why
 * it is refused. */
enum reason
exchange_start(struct exchange *x, struct head *h, const struct way *w);
/* The same for a tunnel's first bytes; false: no courier. */
bool exchange_start_tunnel(struct exchange *x, const struct host *sni);
/* A piece of its body, within the credit; its end. False: it was broken
 * off, and with HTTP/1.1 its connection is gone. */
bool exchange_body(struct exchange *x, struct span bytes);
bool exchange_end(struct exchange *x, const struct head *trailers);

/* Bytes passed on to the guest: give the courier credit for them, once the
 * guest has taken enough. */
void exchange_settle(struct exchange *x);
/* Forget it; tell the courier if it does not know. */
void exchange_drop(struct exchange *x);

/* A whole answer of our own: h with body (none to HEAD). An err: no memory.
 * The caller flushes and ends. */
MUST_USE int
exchange_put_answer(struct exchange *x, struct head *h, struct span body);
/* The same of a problem, to its end. close: an HTTP/1.1 connection ends with
 * it. May end the connection. */
void exchange_answer(struct exchange *x, const struct problem *p, bool close);

/* From the courier. An err: it misbehaved. */
MUST_USE int
exchange_interim(struct exchange *x, const struct traffic_response *m);
MUST_USE int
exchange_response(struct exchange *x, const struct traffic_response *m);
MUST_USE int exchange_bytes(struct exchange *x, struct span bytes);
MUST_USE int exchange_ended(struct exchange *x, struct span trailers);
MUST_USE int exchange_window(struct exchange *x, uint32_t credit);
void exchange_refused(struct exchange *x, const struct traffic_refused *m);
void exchange_reset(struct exchange *x, unsigned reason);

#endif
