/* SPDX-License-Identifier: ISC */
/*
 * One exchange from the inside, for the files that move it on and for
 * nobody else:
 *
 *	exchange.c	 the gate's frames, and what others change
 *	exchange_start.c decided, launched, the head written
 *	exchange_up.c	 bodies from the gate to the upstream
 *	exchange_down.c	 answers from the upstream to the gate
 *	exchange_doubt.c answers that reject what we put in
 *	exchange_end.c	 refused, reset, finished; audit lines
 *
 * A function that can end the exchange says whether it lives on; after
 * exchange_stop(), _give_up() and _finish() it is gone.
 */
#ifndef COURIER_EXCHANGE_INSIDE_H
#define COURIER_EXCHANGE_INSIDE_H

#include "egress/courier/body.h"
#include "egress/courier/call.h"
#include "egress/courier/decision.h"
#include "egress/courier/exchange.h"
#include "egress/courier/ws_open.h"
#include "egress/http/ws.h"

/* What may begin a secret waits this long in an idle stream. */
#define TAIL_S 0.001
/* An answer that rejects what we put in waits this long for the vault. */
#define DOUBT_S 5.0

enum state { WAITING, DIALING, OPEN, DRAINING };

struct exchange {
	struct exchange *next, *before;
	struct exchange *same; /* of the same bucket of ids */
	struct courier *c;
	enum state state;
	uint32_t id, conn;
	uint64_t began_ms;

	/* What the gate asked for; the spans of m lie in store. */
	struct buf *store;
	struct traffic_request m;
	struct buf *clean; /* the target without carriers */

	/* What was decided. */
	char jti[65], grant[GRANT_NAME_MAX], credential[GRANT_NAME_MAX];
	uint32_t version;
	int rule;
	struct host host;
	uint16_t port;
	uint8_t trust[ANCHORS_DIGEST];
	bool hide_query, dropped, logged;
	bool inspect;	     /* the answer is to be looked into */
	bool no_ranges;	     /* nor may it be asked for in parts */
	struct usage *usage; /* NULL: not counted in */
	bool budget;	     /* it waits, or did, for requests to be leased */

	/* What was put in. */
	bool injected;
	bool doubt; /* the answer rejects it, and waits in due */
	enum slot_type slot_type;
	uint8_t used[VERDICT_DIGEST];

	struct call *call; /* NULL: none, or none any more */
	unsigned tries;	   /* calls that came to nothing */
	struct body *body; /* the answer's, once it has begun */
	struct ev_timer timer, tail;

	/* A WebSocket: after the 101 both ways carry frames. */
	char ws_key[WS_KEY_MAX];
	bool ws_open;
	struct ws ws_up; /* the guest's frames */

	/* Gate to upstream. */
	struct buf *pending;
	struct buf *up_trailers; /* packed; NULL: none */
	uint64_t body_left; /* BODY_LENGTH: what the gate has yet to send */
	uint32_t up_credit; /* the gate's */
	bool up_ended;	    /* the gate has sent its end */
	bool up_sent;	    /* and all of it is written */

	/* Upstream to gate. */
	uint32_t down_credit; /* ours */
	bool answered;	      /* the head was passed on */
	/* A coded answer's head waits for its first bytes: until they are
	 * known to be clean it can still be refused; any head, while doubt.
	 * NULL: none waits. */
	struct buf *due;
	struct traffic_response due_head; /* its headers lie in due */
	struct buf *late;     /* more than the credit, of a coded body */
	struct buf *trailers; /* NULL until the end has come, */
	bool down_ended;      /* and was passed on */
	unsigned status;
	uint64_t bytes_up, bytes_down; /* of bodies */
	char address[65];
};

/* exchange_end.c */
void exchange_free(struct exchange *e);
void exchange_arm(struct exchange *e, double seconds);
void exchange_progress(struct exchange *e); /* a byte has moved */
struct audit_line
exchange_audit_line(const struct exchange *e, const char *event);
MUST_USE int exchange_audit_end(
    struct exchange *e, const char *event, const char *how, enum reason reason);
void exchange_tell(
    const struct exchange *e, const struct msg_type *t, const void *m);
void exchange_keep_address(struct exchange *e);
/* Nothing of it is written after this. detail may be NULL. */
void exchange_give_up(struct exchange *e, enum reason reason, const char *event,
    const char *detail, uint32_t retry_after);
/* Before its request line: refused; after: done, with a reason. */
void exchange_stop(struct exchange *e, enum reason reason);
void exchange_finish(struct exchange *e, const char *how);

/* exchange_start.c */
void exchange_judge(struct exchange *e, struct decision *d);
void exchange_decide(struct exchange *e); /* a WAITING one */
/* The connection stands: decide once more, then the first byte goes out. */
void exchange_send(struct exchange *e);

/* Decide anew, and ask another connection: what was sent came to nothing. */
void exchange_again(struct exchange *e);

/* exchange_doubt.c */
void exchange_used(struct exchange *e, const struct decision *d);
/* A final answer has come. True: it waits, for the vault is asked. */
bool exchange_doubts(struct exchange *e, const struct head *answer);
/* The vault has answered, maybe. False: the exchange is gone, or asks anew. */
bool exchange_resolve(struct exchange *e);
/* There is nobody to ask, or no time: the answer is passed on. */
void exchange_believe(struct exchange *e);

/* exchange_up.c */
void exchange_give_credit(struct exchange *e, size_t n);
/* What the gate sent goes on as far as the upstream takes it. False: the
 * exchange is gone. */
bool exchange_pump_up(struct exchange *e);

/* exchange_down.c */
/* The head that is due may go: at once, or with its first bytes. */
void exchange_tell_head(struct exchange *e);
/* What the upstream sent goes on as far as the gate gave credit. False:
 * the exchange is gone, or has no call any more. */
bool exchange_pump_down(struct exchange *e);
void exchange_on_tail(struct ev_loop *loop, struct ev_timer *w, int events);

#endif
