/* SPDX-License-Identifier: ISC */
/*
 * One HTTP/2 connection, either role: bytes in, events and bytes out. No
 * fd, no clock. nghttp2 frames; h2_head.h judges heads.
 *
 *	r = h2_recv(c, in);	events are called from within
 *	r = h2_send(c, out);	after every call that may have caused bytes
 *
 * Events may call everything here but h2_recv(), h2_send() and h2_free().
 * Body comes only as h2_credit() allows (H2_WINDOW to begin with), and
 * h2_body() takes at most H2_WINDOW bytes that are not sent yet. Memory that
 * nghttp2 gives back is wiped.
 *
 * The connection's window is that of all streams together, so one that
 * stalls holds up no other. h2_flood.h bounds cheap frames; a connection
 * that crosses a limit gets GOAWAY with ENHANCE_YOUR_CALM. Pushes end the
 * connection. Cookie fields of a request come joined (RFC 9113, 8.2.3).
 * A server that has ended its answer before the request has ended resets the
 * stream with NO_ERROR (8.1).
 */
#ifndef EGRESS_HTTP_H2_H
#define EGRESS_HTTP_H2_H

#include "egress/http/h2_head.h"
#include "messages/bounds.h"

#define H2_WINDOW (128 * 1024)
#define H2_STREAMS_MAX 100 /* at once, either end's */

enum h2_role { H2_SERVER, H2_CLIENT };

struct h2;

/* A head is the callee's to change, until it returns. Interim responses
 * are heads with a status below 200. After reset (one's own h2_reset() as
 * well: it comes from h2_send()), or after end and the own end, the id is
 * gone. code may be NO_ERROR. trailers: only n_fields and fields count,
 * with or without forbidden ones as h1_trailers(). */
struct h2_events {
	void (*head)(void *arg, int32_t id, struct head *h);
	void (*body)(void *arg, int32_t id, struct span bytes);
	void (*end)(void *arg, int32_t id, struct head *trailers);
	void (*reset)(void *arg, int32_t id, uint32_t code);
	/* A head that is refused, and its stream reset; no other event tells
	 * of it. NULL: never mind. */
	void (*malformed)(void *arg, int32_t id, const char *why);
};

MUST_USE int h2_new(
    enum h2_role role, const struct h2_events *on, void *arg, struct h2 **out);
/* Of a guest, in place of the table's defaults; before the first h2_recv(). */
MUST_USE int h2_bound(struct h2 *c, const struct bounds *b);
/* No events; NULL is fine. */
void h2_free(struct h2 *c);

/* ERR_FORMAT: the connection is over once h2_send() has its GOAWAY. */
MUST_USE int h2_recv(struct h2 *c, struct span in);
/* Why h2_recv() failed, a constant phrase; "": it did not. */
const char *h2_why(const struct h2 *c);
/* It failed because of a flood (h2_flood.h). */
bool h2_flooded(const struct h2 *c);
/* Not 0: a head is under way, the n-th that came. */
uint64_t h2_open_head(const struct h2 *c);
/* Appends while out has room; a locked out keeps credentials locked. */
MUST_USE int h2_send(struct h2 *c, struct buf *out);
/* Neither reading nor writing is wanted any more: close. */
bool h2_done(const struct h2 *c);

/* How many requests may be under way at once: by the far end's
 * MAX_CONCURRENT_STREAMS, at most H2_STREAMS_MAX; 1 until it is known; 0
 * after a GOAWAY. */
size_t h2_limit(struct h2 *c);
bool h2_settled(const struct h2 *c); /* the far end's SETTINGS have come */
bool h2_closing(struct h2 *c);	     /* no request may begin, ever more */
/* May the far end know of that request? False until h2_send() had it. */
bool h2_begun(struct h2 *c, int32_t id);
/* Within the event reset: what came on that stream was malformed. */
bool h2_malformed(const struct h2 *c);
/* Framing and pseudo-headers are written from h's members and its field
 * host. Fields from the never-th on are never indexed by HPACK (n_fields:
 * none). end: no body. ERR_UNAVAILABLE: no stream is to be had, by the far
 * end's MAX_CONCURRENT_STREAMS (of which at most H2_STREAMS_MAX are used)
 * or after a GOAWAY. */
/* A path is never indexed either. */
MUST_USE int h2_request(
    struct h2 *c, const struct head *h, size_t never, bool end, int32_t *id);
/* Interim ones (status below 200, end false) come before the final one. */
MUST_USE int
h2_response(struct h2 *c, int32_t id, const struct head *h, bool end);
/* ERR_TOO_BIG: more than h2_room(). ERR_NOT_FOUND: the stream is gone. */
MUST_USE int h2_body(struct h2 *c, int32_t id, struct span bytes);
size_t h2_room(struct h2 *c, int32_t id);

/* Something of an answer waits: for the far end's window, or for h2_send(). */
bool h2_holds(struct h2 *c, int32_t id);
/* trailers may be NULL. */
MUST_USE int h2_end(struct h2 *c, int32_t id, const struct head *trailers);
/* n bytes of body were passed on; more than came: ERR_ARGUMENT. What a
 * stream that is gone still owed was given back when it went. */
MUST_USE int h2_credit(struct h2 *c, int32_t id, size_t n);
MUST_USE int h2_reset(struct h2 *c, int32_t id, uint32_t code);
/* GOAWAY; streams under way may end. */
MUST_USE int h2_shutdown(struct h2 *c);
/* The same, and every stream is reset: of what was put by for it no body
 * goes out any more. */
MUST_USE int h2_abandon(struct h2 *c, uint32_t code);

#endif
