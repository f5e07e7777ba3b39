/* SPDX-License-Identifier: ISC */
/*
 * Calls from the inside: a line is a connection and the calls on it; a
 * protocol is one call_type, chosen when the connection stands. For call*.c
 * and line.c, and for nobody else.
 *
 * A line that connects is waited for by all calls that may share it. Then
 * it belongs to one call (HTTP/1.1, a tunnel) and the others find or make
 * another, or all ride on it (HTTP/2) as far as the upstream allows; the
 * rest find or make another. Idle HTTP/2 lines are kept parked.
 *
 * What ends a line tells its calls from the loop, never from within what
 * an owner called: the end of one exchange ends no other behind its back.
 */
#ifndef COURIER_CALL_INSIDE_H
#define COURIER_CALL_INSIDE_H

#include "egress/courier/call.h"
#include "egress/http/h2.h"

struct line;

struct call_type {
	int (*send)(struct call *k, const struct head *h, size_t never);
	size_t (*room)(struct call *k);
	int (*body)(struct call *k, struct span bytes);
	int (*end)(struct call *k, const struct head *trailers);
	int (*next)(struct call *k, size_t room, struct call_piece *out);
	void (*took)(struct call *k);
	/* The owner is done with it. clean: both sides are. The call leaves
	 * its line, whose fate this decides. */
	void (*leave)(struct call *k, bool clean);
	/* What the connection says once it stands. */
	void (*event)(struct line *l, enum upstream_event event);
};

struct call {
	struct call *next; /* of the line */
	struct line *line; /* NULL: none any more */
	const struct call_type *type;
	struct pool *pool;
	struct upstream_key key;
	char *ca_pem; /* NULL: the system's; needed until it is open */
	call_handler *handler;
	void *ctx;
	char address[65];
	unsigned moves; /* from line to line */
	bool open;	/* its owner may send, and was told so */
	bool chunked;	/* the request's body is */
	bool ended;	/* call_end() was called, or there was no body */
	bool answered;	/* the final head has come */
	bool closing;	/* the upstream closes after this answer */
	bool over;	/* CALL_END was given out */
	size_t lent;	/* bytes in the owner's hands, until call_took() */

	/* HTTP/2 only. */
	int32_t id;	   /* 0: no stream, or none any more */
	bool blocked;	   /* it was told that there is no room */
	bool seen;	   /* a head has come */
	bool in_end;	   /* the answer is complete, in is the rest of it */
	int err;	   /* after in: how it broke */
	struct head *head; /* borrowed, while its handler runs */
	struct head *trailers;
	struct buf *in;
};

struct line {
	struct pool *pool;
	struct upstream *up;
	const struct call_type *type; /* NULL: connecting */
	struct call *calls;	      /* first come first */
	bool retired;		      /* nothing new begins on it */
	bool eof, eof_broken; /* the upstream sends no more (and did not say
				 so) */
	bool failed;	      /* and its calls are to be told */
	enum reason reason;

	/* HTTP/2 only. */
	struct h2 *h2;
	struct buf *out;
	struct call *at;      /* whose handler runs */
	struct ev_timer turn; /* only ever fed: runs when a turn ends */
	unsigned busy;	      /* within its own functions: freed later */
	bool gone;
};

extern const struct call_type call_h1, call_plain, call_h2;

/* A 101 has come: what follows are bytes, as in a tunnel. */
void call_upgraded(struct call *k);

/* Log why an answer is refused; returns err. */
int call_refuse(const struct call *k, int err, const char *why);
void call_tell(struct call *k, enum call_event event, enum reason reason);

/* line.c */
/* Put k on a line. Errors as of upstream_get(). */
MUST_USE int line_join(struct call *k);
void line_remove(struct call *k);
/* Of one that was not told to be open. */
void line_remove_waiting(struct call *k);
/* How many calls are on it. */
size_t line_load(const struct line *l);
/* At the end of this turn: what waits goes on, who is to be told is. */
void line_later(struct line *l);
/* Reset, now; its calls are told later. */
void line_fail(struct line *l, enum reason reason);
/* Reset and free. */
void line_free(struct line *l);

/* call_h2.c */
MUST_USE int call_h2_start(struct line *l);
/* Write what there is to write, as far as the connection takes it. */
void call_h2_flush(struct line *l);
/* When it returns nothing of what was given is written any more. */
void call_h2_cut(struct line *l);
/* k was on l, which has failed. */
void call_h2_orphan(struct line *l, struct call *k);

#endif
