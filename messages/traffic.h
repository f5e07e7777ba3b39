/* SPDX-License-Identifier: ISC */
/*
 * Gate and courier: requests as typed values, and bodies. Ids 0x09xx. One
 * model for HTTP/1.1 and HTTP/2.
 *
 * Two kinds of id, both chosen by the gate, never 0, never used again
 * while it lives: a `conn` is an intercepted connection or tunnel of the
 * guest's; a `stream` is one exchange (a tunnel is one stream too).
 *
 * Flow control: each direction of a stream starts with TRAFFIC_WINDOW bytes
 * of credit; the receiver gives more with `window` as it passes bytes on.
 * A sender without credit waits. More than the credit is misbehaviour.
 *
 * Life of a stream: request (gate), then body frames, then end (gate), and
 * interim, response, body frames, end (courier), or refused (courier), or
 * reset (either). Either side may finish first; it is over when both have,
 * or at refused or reset. After a reset, frames of that stream that were
 * under way are dropped silently.
 */
#ifndef MESSAGES_TRAFFIC_H
#define MESSAGES_TRAFFIC_H

#include "lib/msg.h"

#define TRAFFIC_WINDOW (128 * 1024)
#define TRAFFIC_BODY_MAX (32 * 1024)
#define TRAFFIC_HEAD_MAX (128 * 1024)
#define TRAFFIC_TRAILERS_MAX (16 * 1024)
#define TRAFFIC_STREAMS_MAX 512 /* at once, per session */

/* How the guest named its destination (docs/ARCHITECTURE.md). */
enum traffic_way {
	WAY_INTERCEPT = 1, /* CONNECT, then TLS that the gate terminated */
	WAY_ABSOLUTE = 2,  /* absolute-form http://host/path */
	WAY_BASE = 3,	   /* http://127.0.0.1/RANDOM/NAME/path */
	WAY_TUNNEL = 4	   /* CONNECT to a tunnelled host */
};

enum traffic_body { BODY_NONE = 0, BODY_LENGTH = 1, BODY_CHUNKED = 2 };

/* gate -> courier: CONNECT was asked for. Answered by connect_done, or by
 * refused with stream = conn. */
struct traffic_connect {
	uint32_t conn;
	struct span family;
	struct span host; /* canonical */
	uint16_t port;
};
extern const struct msg_type msg_traffic_connect;
struct traffic_connect_done {
	uint32_t conn;
	uint8_t way; /* WAY_INTERCEPT or WAY_TUNNEL */
};
extern const struct msg_type msg_traffic_connect_done;
/* gate -> courier: the guest's connection ended; nothing of it is left. */
struct traffic_conn_end {
	uint32_t conn;
};
extern const struct msg_type msg_traffic_conn_end;

/* gate -> courier: open the tunnel of conn; sni as the ClientHello says.
 * Then body frames both ways carry its bytes, the ClientHello first. */
struct traffic_tunnel {
	uint32_t stream;
	uint32_t conn;
	struct span family;
	struct span sni; /* canonical host */
};
extern const struct msg_type msg_traffic_tunnel;

/* gate -> courier. Everything here is canonical or verbatim as said; the
 * courier checks all of it again. */
struct traffic_request {
	uint32_t stream;
	uint32_t conn; /* WAY_INTERCEPT: its connection; else 0 */
	uint8_t way;
	uint8_t body;	 /* enum traffic_body */
	uint8_t expect;	 /* 1: the guest waits for 100-continue */
	uint8_t upgrade; /* 1: a WebSocket handshake (RFC 6455), body none:
			    after a response of 101 body frames pass both
			    ways until each side's end */
	uint8_t te;	 /* 1: TE: trailers was said */
	uint64_t length; /* BODY_LENGTH */
	struct span family;
	struct span sni;  /* WAY_INTERCEPT: what TLS named; canonical */
	struct span host; /* canonical: CONNECT authority, target, grant */
	uint16_t port;
	struct span grant; /* WAY_BASE: the grant called NAME; else empty */
	struct span header_host; /* the Host header as it came */
	struct span method;	 /* token, case kept */
	struct span target;	 /* path and query, exact bytes */
	/* All end-to-end header fields in order, without Host, framing and
	 * hop-by-hop ones, packed (headers_put). Names in lower case. */
	struct span headers;
};
extern const struct msg_type msg_traffic_request;

/* courier -> gate. */
struct traffic_response {
	uint32_t stream;
	uint16_t status;    /* 200-599, or 101 to an upgrade; interim: 100-199
			       but 101 */
	uint8_t body;	    /* BODY_NONE also for HEAD, 204, 304 */
	uint64_t length;    /* BODY_LENGTH; for HEAD what would have been */
	uint8_t has_length; /* HEAD/304: length is to be shown */
	struct span headers;
};
extern const struct msg_type msg_traffic_interim;
extern const struct msg_type msg_traffic_response;

/* both ways */
struct traffic_bytes {
	uint32_t stream;
	struct span bytes; /* 1 to TRAFFIC_BODY_MAX */
};
extern const struct msg_type msg_traffic_bytes;
struct traffic_end {
	uint32_t stream;
	struct span trailers; /* packed headers, or empty */
};
extern const struct msg_type msg_traffic_end;
struct traffic_window {
	uint32_t stream;
	uint32_t credit;
};
extern const struct msg_type msg_traffic_window;
struct traffic_reset {
	uint32_t stream;
	uint16_t reason; /* enum reason (scope/reason.h) */
};
extern const struct msg_type msg_traffic_reset;

/* courier -> gate, after the resets of a cut: when the gate has read this
 * it has read all that was sent before, and tells the minter so with
 * guest_cut_done of that serial. */
struct traffic_cut {
	uint32_t serial;
};
extern const struct msg_type msg_traffic_cut;

/* courier -> gate: an answer of our own (RFC 9457) instead of upstream's.
 * The gate writes the body from the reason's row and these words. */
struct traffic_refused {
	uint32_t stream;
	uint16_t reason;      /* enum reason */
	struct span grant;    /* which rule, if one */
	struct span detail;   /* a sentence without foreign text */
	uint32_t retry_after; /* seconds, 0: none */
};
extern const struct msg_type msg_traffic_refused;

/* gate -> courier: the gate refused something itself: put it in the audit
 * log. Foreign text; cut by the gate. */
struct traffic_note {
	uint16_t reason;
	struct span family;
	struct span method, host, target; /* as far as known */
	uint16_t port;
};
extern const struct msg_type msg_traffic_note;

/* Packed header lists: name and value each u16-length-prefixed (a value up
 * to 65,535 bytes). */
MUST_USE int headers_put(struct buf *b, struct span name, struct span value);
/* Take the first pair off *list. ERR_NOT_FOUND at the end, ERR_FORMAT. */
MUST_USE int
headers_next(struct span *list, struct span *name, struct span *value);

#endif
