/* SPDX-License-Identifier: ISC */
/*
 * One message head, request or response, HTTP/1.1 or (later) HTTP/2, as
 * typed values. Filled by h1_parse.h, or by hand with head_add(); written
 * by h1_write.h.
 *
 * Fields keep their order and their repeats. Names are in lower case.
 * Framing is no field: content-length, transfer-encoding and the close and
 * keep-alive options of connection live in the members below and are
 * written from them. All other fields, hop-by-hop ones included, are in
 * the list as they came; head_strip() removes the hop-by-hop ones.
 *
 *	struct head h;
 *	head_init(&h);
 *	h.method = span_str("GET");
 *	h.target = span_str("/");
 *	if ((r = head_add(&h, span_str("host"), host)) != 0) ...
 *	head_clear(&h);
 *
 * Spans borrow: from the parser for a parsed head (until its next head),
 * from the head's own memory for head_add(), from the caller for
 * head_add_borrowed() (the way for a credential: only h1_write.h copies
 * it, into the buffer given).
 */
#ifndef EGRESS_HTTP_HEAD_H
#define EGRESS_HTTP_HEAD_H

#include "lib/buf.h"

#define HEAD_FIELDS_MAX 128
/* Bytes of a head on the wire, and of what head_add() copies. */
#define HEAD_BYTES_MAX (64 * 1024)
#define HEAD_METHOD_MAX 32
#define HEAD_TARGET_MAX (32 * 1024)

/* The first three are enum traffic_body's. */
enum head_body {
	HEAD_BODY_NONE = 0,
	HEAD_BODY_LENGTH = 1,
	HEAD_BODY_CHUNKED = 2,
	HEAD_BODY_UNTIL_CLOSE = 3 /* responses only */
};

struct head_field {
	struct span name; /* lower case */
	struct span value; /* without surrounding blanks; may be empty */
};

struct head {
	/* Requests; method.n == 0 means a response. */
	struct span method; /* case kept */
	struct span target; /* exact bytes */
	/* Responses. */
	uint16_t status; /* 100 to 599 */

	enum head_body body;
	uint64_t length;     /* of HEAD_BODY_LENGTH */
	bool has_length;     /* a length was given though there is no body
				(HEAD, 304); it is in length */
	bool expect;	     /* request: Expect: 100-continue */
	bool te;	     /* request, HTTP/2 only: TE: trailers */
	bool close;	     /* Connection: close */
	bool upgrade;	     /* an Upgrade or HTTP2-Settings field is there */

	size_t n_fields;
	struct head_field fields[HEAD_FIELDS_MAX];

	struct head_block *blocks; /* head_add()'s memory */
	size_t block_bytes;
};

void head_init(struct head *h);
/* Wipes and frees what head_add() copied; h is as after head_init(). */
void head_clear(struct head *h);

/* Append a field. The name must be lower case and the value without
 * control bytes but HTAB (ERR_ARGUMENT); ERR_TOO_BIG at 128 fields or
 * 64 KiB. */
MUST_USE int head_add(struct head *h, struct span name, struct span value);
MUST_USE int head_add_borrowed(
    struct head *h, struct span name, struct span value);
/* A copy of s that lives as long as h, for method and target. */
MUST_USE int head_copy(struct head *h, struct span s, struct span *out);

/* How many fields have this name. */
size_t head_count(const struct head *h, const char *name);
/* The first one's value; false when there is none. value may be NULL. */
bool head_get(const struct head *h, const char *name, struct span *value);
/* Remove all of that name; how many there were. */
size_t head_remove(struct head *h, struct span name);

/* Remove every hop-by-hop field: Connection and what it names, Keep-Alive,
 * Proxy-*, TE, Trailer, Upgrade, HTTP2-Settings. ERR_FORMAT when
 * Connection names a field that must not be stripped (host, content-*,
 * authorization, cookie and the like: request smuggling by Connection). */
MUST_USE int head_strip(struct head *h);

/* Do Upgrade and Connection say WebSocket, and nothing else? Before
 * head_strip(). */
bool head_upgrades_to_websocket(const struct head *h);

/* Is this a field that trailers must not carry (framing, routing,
 * authentication, cookies, content coding)? */
bool head_forbidden_trailer(struct span name);

/* All fields to and from the packed list of messages/traffic.h. unpack
 * copies, checks names and values as head_add() does, and refuses framing
 * and hop-by-hop names (ERR_FORMAT: a sibling misbehaves). */
MUST_USE int head_pack(const struct head *h, struct buf *out);
MUST_USE int head_unpack(struct head *h, struct span packed);

/* Grammar, for everyone: RFC 9110 token; token in lower case; field value
 * (VCHAR, obs-text, SP, HTAB; no surrounding blanks). */
bool head_is_token(struct span s);
bool head_is_name(struct span s);
bool head_is_value(struct span s);

/* Take the next member off a comma-separated list, blanks trimmed; false
 * at the end. Empty members are skipped. */
bool head_list_next(struct span *list, struct span *member);

#endif
