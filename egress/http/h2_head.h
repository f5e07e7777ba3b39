/* SPDX-License-Identifier: ISC */
/*
 * RFC 9113, section 8: the decoded fields of one HTTP/2 head, in order,
 * into a struct head, or refused. Nothing is repaired. No I/O.
 *
 *	h2_head_start(&b, H2_REQUEST, &head);
 *	for each field: if ((r = h2_head_field(&b, name, value)) != 0) ...
 *	r = h2_head_end(&b, end_stream);
 *
 * Accepted is only: pseudo-headers first, each once, none unknown; in a
 * request :method, :scheme https, :authority and :path (starting with "/",
 * or "*" for OPTIONS, visible ASCII without "#"); in a response :status, of
 * 100 to 599 but 101; names in lower case; no connection-specific field;
 * TE in a request, once, as "trailers"; at most one content-length, plain
 * digits below 2^63. CONNECT, extended or not, is refused. A Host must be
 * :authority to the byte and is kept once, as the field host.
 *
 * Not here: DATA against content-length, trailers, and joining Cookie
 * fields before they go to HTTP/1.1 (RFC 9113, 8.2.3).
 */
#ifndef EGRESS_HTTP_H2_HEAD_H
#define EGRESS_HTTP_H2_HEAD_H

#include "egress/http/head.h"

enum h2_head_kind { H2_REQUEST, H2_RESPONSE };

struct h2_head {
	struct head *head; /* initialised by the caller, who clears it */
	enum h2_head_kind kind;
	bool to_head; /* response: set after start if it answers HEAD */
	bool regular; /* a field that is no pseudo-header has come */
	bool has_te;
	struct span scheme, authority;
	size_t bytes_max, fields_max; /* set after start if lower */
	size_t bytes;	 /* as RFC 9113, 6.5.2 counts: 32 more per field */
	const char *why; /* a constant phrase about the refusal */
};

void
h2_head_start(struct h2_head *b, enum h2_head_kind kind, struct head *head);
/* Copies. ERR_FORMAT; ERR_TOO_BIG at 64 KiB or 128 fields; ERR_NOMEM. After
 * a failure the head is of no use. */
MUST_USE int
h2_head_field(struct h2_head *b, struct span name, struct span value);
/* All fields have come; end_stream: no body follows. */
MUST_USE int h2_head_end(struct h2_head *b, bool end_stream);

#endif
