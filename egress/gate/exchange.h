/* SPDX-License-Identifier: ISC */
/*
 * One request and its answer: forwarded to the courier, answered by the
 * guest API, or a tunnel's bytes. A connection has at most one at a time.
 */
#ifndef EGRESS_GATE_EXCHANGE_H
#define EGRESS_GATE_EXCHANGE_H

#include "egress/gate/way.h"
#include "egress/http/head.h"
#include "messages/traffic.h"

struct conn;
struct api_endpoint;

enum exchange_kind {
	EXCHANGE_NONE,
	EXCHANGE_FORWARD,
	EXCHANGE_TUNNEL,
	EXCHANGE_API,
	EXCHANGE_ANSWERED /* refused; only the request's end is missing */
};

struct exchange {
	enum exchange_kind kind;
	uint32_t id;	     /* stream, or the minter's rid */
	bool to_head;	     /* the request is a HEAD */
	bool close;	     /* the guest asked for it */
	bool upgrade;	     /* to a WebSocket, until there is an answer */
	bool sent_all;	     /* the request is over */
	bool got_all;	     /* the answer is over */
	bool answered;	     /* the answer's head is out */
	enum head_body body; /* the answer's */
	uint64_t left;	     /* of HEAD_BODY_LENGTH */
	uint32_t credit;     /* what we may send to the courier */
	uint32_t granted;    /* what the courier may send us */
	uint32_t owed;	     /* passed on, not given back yet */
	const struct api_endpoint *api;
	struct buf *api_body;
};

/* Send a request to the courier. h is stripped for it. REASON_NONE, or why
 * it is refused. */
enum reason exchange_start(struct conn *c, struct head *h, const struct way *w);
/* A piece of its body, within the credit; its end. False: the connection
 * is gone. */
bool exchange_body(struct conn *c, struct span bytes);
bool exchange_end(struct conn *c, const struct head *trailers);

/* Bytes passed on to the guest: give the courier credit for them, once the
 * guest has taken enough. */
void exchange_settle(struct conn *c);
/* Forget it; tell the courier if it does not know. */
void exchange_drop(struct conn *c);
/* Both sides have ended: on to the next request, or close. */
void exchange_over(struct conn *c);

/* From the courier. An err: it misbehaved. */
MUST_USE int exchange_interim(struct conn *c, const struct traffic_response *m);
MUST_USE int
exchange_response(struct conn *c, const struct traffic_response *m);
MUST_USE int exchange_bytes(struct conn *c, struct span bytes);
MUST_USE int exchange_ended(struct conn *c, struct span trailers);
MUST_USE int exchange_window(struct conn *c, uint32_t credit);
void exchange_refused(struct conn *c, const struct traffic_refused *m);
void exchange_reset(struct conn *c, unsigned reason);

#endif
