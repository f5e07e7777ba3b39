/* SPDX-License-Identifier: ISC */
/*
 * One request and its answer at an upstream, or one tunnel, whatever
 * protocol is spoken there: one table of functions per protocol
 * (call_inside.h). Over HTTP/2 calls of one upstream_key share a
 * connection.
 *
 *	r = call_new(pool, &key, ca_pem, on_event, e, &k);
 *	CALL_OPEN:	call_send() once, but on a tunnel; call_body() while
 *			call_room() is not 0; call_end() once
 *	CALL_INPUT:	while ((r = call_next(k, room, &p)) == 0 &&
 *			    p.kind != CALL_NOTHING) ...
 *	CALL_DRAINED:	call_room() is not 0 any more
 *	CALL_UNUSED:	the upstream says that it did nothing with it, and
 *			nothing of an answer has come; free it
 *	CALL_BROKEN:	nothing follows, but call_next() may still have some
 *	in the end:	call_finish() or call_free()
 *
 * Backpressure: out, by call_room(); in, by what call_next() is asked for
 * and by call_took(): the upstream is not read while nothing is taken.
 * Nothing is ever sent twice from here.
 */
#ifndef COURIER_CALL_H
#define COURIER_CALL_H

#include "egress/courier/upstream.h"
#include "egress/http/head.h"

enum call_event {
	CALL_OPEN,
	CALL_INPUT,
	CALL_DRAINED,
	CALL_UNUSED,
	CALL_BROKEN
};

/* reason: of CALL_UNUSED and CALL_BROKEN. The owner may call anything from
 * within, and free the call. */
typedef void call_handler(void *ctx, enum call_event event, enum reason reason);

enum call_kind { CALL_NOTHING, CALL_HEAD, CALL_BYTES, CALL_END };

struct call_piece {
	enum call_kind kind;
	/* CALL_HEAD: interim ones (status below 200) too; the owner's to
	 * change. CALL_END: trailers, of which only the fields count, or
	 * NULL. Both until the next call_next(). */
	struct head *head;
	struct span bytes; /* until call_took() */
};

struct call;

/* CALL_OPEN comes later from the loop, unless call_is_open() already.
 * Errors as of upstream_get(). */
MUST_USE int call_new(struct pool *p, const struct upstream_key *key,
    const char *ca_pem, call_handler *handler, void *ctx, struct call **out);
bool call_is_open(const struct call *k);
struct span call_address(const struct call *k); /* as dialled, or empty */

/* The head. Its fields from the never-th on, and its target, hold a
 * credential: no table keeps them. ERR_UNAVAILABLE: the connection takes no
 * more, and nothing was sent. ERR_ARGUMENT: it cannot be written.
 * h->upgrade (the key must say http1): after a CALL_HEAD of 101 the call
 * is like a tunnel's. */
MUST_USE int call_send(struct call *k, const struct head *h, size_t never);
/* How many bytes may be given now; 0: CALL_DRAINED comes. */
size_t call_room(struct call *k);
MUST_USE int call_body(struct call *k, struct span bytes);
/* trailers: NULL, or fields that go behind the body if there is a place for
 * them there (HTTP/2; HTTP/1.1 with a body of unknown length). */
MUST_USE int call_end(struct call *k, const struct head *trailers);

/* What came next: of body at most room bytes, which are to be taken before
 * the next piece. ERR_UNAVAILABLE: the upstream went within an answer;
 * ERR_FORMAT: what it says is no answer (both are logged here). */
MUST_USE int call_next(struct call *k, size_t room, struct call_piece *out);
void call_took(struct call *k);

/* Both sides are done: others may use what it ran on. Frees. */
void call_finish(struct call *k);
/* Reset and free. NULL is fine. */
void call_free(struct call *k);
/* The same, and when it returns nothing of it is written any more, even if
 * others lose their connection by that. */
void call_cut(struct call *k);

#endif
