/* SPDX-License-Identifier: ISC */
/*
 * HTTP/1.1 messages out of bytes: incremental, pure, for both sides. No fd,
 * no clock.
 *
 * Two parsers must agree: our own strict scanner (RFC 9112 without any of
 * its leniences) and llhttp with its defaults. What either refuses, or
 * what they read differently, is ERR_FORMAT, and the connection is over:
 * answer 400 and close (requests), or drop the upstream (responses).
 *
 *	while ((r = h1_next(p, &in, &event, &body)) == 0 && event != H1_MORE)
 *		switch (event) {
 *		case H1_HEAD:	h1_head(p) ...
 *		case H1_BODY:	body is a piece of the body, within in
 *		case H1_END:	h1_trailers(p); later h1_start(p, false)
 *		}
 *
 * in is advanced past what was consumed, so the caller may stop after any
 * event (no credit, one request at a time) and come back with the rest.
 *
 * Accepted is only: HTTP/1.1 (a response may say HTTP/1.0: it closes, and
 * must not be chunked); lines that end in CRLF; one SP between the words
 * of the first line; a method that llhttp knows; a target of visible ASCII
 * without "#", at most 32 KiB; field names that are tokens directly before
 * the colon; values of VCHAR, obs-text, SP, HTAB; exactly one Host in a
 * request; at most one Content-Length of plain digits below 2^63, or one
 * Transfer-Encoding that is exactly "chunked", never both; Expect only as
 * 100-continue; chunk sizes of 1 to 16 hex digits below 2^63 without
 * extensions; trailers by the same grammar. Refused with the rest:
 * leading empty lines, obs-fold, bare CR and LF, NUL and controls, HTTP/0.9
 * and 1.0 requests (but CONNECT, which some clients say in HTTP/1.0 and
 * then may say without Host), a body on CONNECT, a chunked or CL-bearing
 * 1xx or 204, a 101 that was not asked for, status outside 100 to 599, the
 * 17th interim response, or more than HEAD_BYTES_MAX of all of them.
 */
#ifndef EGRESS_HTTP_H1_PARSE_H
#define EGRESS_HTTP_H1_PARSE_H

#include "egress/http/head.h"

#define H1_TRAILER_BYTES_MAX (8 * 1024)
#define H1_INTERIM_MAX 16

enum h1_role { H1_REQUEST, H1_RESPONSE };
enum h1_event { H1_MORE, H1_HEAD, H1_BODY, H1_END };

struct h1;

/* Ready for a first message (a response not to HEAD). */
MUST_USE int h1_new(enum h1_role role, struct h1 **out);
/* Lower limits on heads than HEAD_BYTES_MAX and HEAD_FIELDS_MAX. */
void h1_bound(struct h1 *p, size_t bytes, size_t fields);
/* Wipes; NULL is fine. */
void h1_free(struct h1 *p);

/* Ready for the next message: after H1_END only. to_head: the response
 * answers a HEAD request, so it has no body. Before the first byte of a
 * response it may also be called to say to_head. */
void h1_start(struct h1 *p, bool to_head);

/* Ready for the response to a request that asks for an upgrade: it may be
 * 101, in HTTP/1.1. After that H1_HEAD nothing is consumed any more. */
void h1_start_upgrade(struct h1 *p);

/* ERR_FORMAT (h1_why() says why), ERR_TOO_BIG (a head of 64 KiB, 128
 * fields, 8 KiB of trailers), ERR_NOMEM; the parser is dead then. An
 * interim response is H1_HEAD with a status below 200 and then the next
 * H1_HEAD, without an H1_END. After H1_END it consumes nothing and says
 * H1_MORE until h1_start(). */
MUST_USE int h1_next(struct h1 *p, struct span *in, enum h1_event *event,
    struct span *body);

/* The far end has closed. 0 and H1_END: it ended a close-delimited body;
 * 0 and H1_MORE: between messages. ERR_TRUNCATED: within one. */
MUST_USE int h1_eof(struct h1 *p, enum h1_event *event);

/* The last H1_HEAD's, until the next one. Parsed in place: the owner may
 * strip and add. */
struct head *h1_head(struct h1 *p);
/* Only n_fields and fields count. After H1_END, until h1_start(). Of an answer
 * those are dropped that head_forbidden_trailer() knows; of a request all are
 * there, for its reader to refuse. */
struct head *h1_trailers(struct h1 *p);
/* No byte of the current message has come. */
bool h1_idle(const struct h1 *p);
/* A constant phrase about the last failure: "bare LF". */
const char *h1_why(const struct h1 *p);

#endif
