/* SPDX-License-Identifier: ISC */
/*
 * What one guest may make its gate and courier hold, do and write: one
 * table. From it are made the keys below `limits:` of hatcheckd.yaml, the
 * message that hands them over, and their section of hatcheckd.yaml(5)
 * (tests/docs/test_man.py --write). A gate and a courier serve one guest
 * alone, so none of this touches another.
 *
 * Limits of one grant (requests, rate, bytes) are the grant's own:
 * scope/grant.h.
 *
 * To add one: a row, and the code that heeds it.
 */
#ifndef MESSAGES_BOUNDS_H
#define MESSAGES_BOUNDS_H

#include "lib/msg.h"

/*	X(name, default, least, most, unit, what it bounds, and why so much) */
#define BOUNDS(X)                                                              \
	X(connections, 256, 1, 512, "connections",                             \
	    "of the guest at once. A package manager opens 50 to 100; each "   \
	    "may take 160 KiB.")                                               \
	X(head_bytes, 65536, 1024, 65536, "bytes", "of one request's head.")   \
	X(head_fields, 128, 8, 128, "fields", "of one request's head.")        \
	X(head_seconds, 10, 1, 600, "seconds",                                 \
	    "for a whole head, attach line or TLS handshake. The channel is "  \
	    "local: longer is an attack, not a slow network.")                 \
	X(body_seconds, 900, 1, 86400, "seconds",                              \
	    "without a byte either way within a request or tunnel, for a "     \
	    "guest that stops sending or reading.")                            \
	X(idle_seconds, 300, 1, 86400, "seconds",                              \
	    "of a connection between two requests.")                           \
	X(streams, 100, 1, 100, "streams",                                     \
	    "of one HTTP/2 connection at once.")                               \
	X(h2_resets, 200, 1, 100000, "streams",                                \
	    "of one HTTP/2 connection reset, beyond those that ran to their "  \
	    "end (rapid reset).")                                              \
	X(h2_pings, 1000, 1, 100000, "PING frames",                            \
	    "of one HTTP/2 connection, beyond useful ones.")                   \
	X(h2_settings, 32, 8, 100000, "SETTINGS frames",                       \
	    "of one HTTP/2 connection, beyond useful ones.")                   \
	X(h2_empty, 100, 1, 100000, "frames",                                  \
	    "that are empty, beyond useful ones.")                             \
	X(h2_updates, 1000, 10, 100000, "WINDOW_UPDATE frames",                \
	    "of one HTTP/2 connection, beyond useful ones.")                   \
	X(h2_other, 200, 10, 100000, "frames",                                 \
	    "of other types: PRIORITY, GOAWAY, unknown ones.")                 \
	X(h2_continuations, 8, 1, 64, "CONTINUATION frames", "of one head.")   \
	X(upstream_idle, 256, 1, 512, "connections",                            \
	    "to upstream servers that are kept for the next request.")         \
	X(upstream_idle_seconds, 30, 1, 3600, "seconds",                       \
	    "that such a connection is kept.")                                 \
	X(upstream_answer_seconds, 120, 1, 86400, "seconds",                   \
	    "for the first byte of an upstream server's answer.")              \
	X(upstream_body_seconds, 300, 1, 86400, "seconds",                     \
	    "without a byte either way after it.")                             \
	X(decompression_ratio, 256, 1, 1024, "times",                          \
	    "what came in is what may come out of a coded answer, beyond 1 "   \
	    "MiB. More is a bomb, and breaks the answer.")                     \
	X(audit_bytes, 1073741824, 65536, 1099511627776, "bytes",              \
	    "of a session's audit log. When it is full, no request of that "   \
	    "session is forwarded any more.")                                  \
	X(audit_segment_bytes, 16777216, 16384, 1099511627776, "bytes",        \
	    "of one file of an audit log. One that is as long is closed, and " \
	    "the log goes on in the next: SESSION.2.jsonl and so on.")         \
	X(audit_keep_days, 400, 0, 36500, "days",                              \
	    "that a closed audit file is kept, or one of an ended session. "   \
	    "0: for ever.")                                                    \
	X(audit_keep_bytes, 0, 0, 1125899906842624, "bytes",                   \
	    "of all audit files together, beyond which the oldest are "        \
	    "removed. 0: no such limit.")                                      \
	X(audit_refusals, 600, 1, 1000000, "lines",                            \
	    "of refusals in a minute. Beyond them a refusal is only counted: " \
	    "one line a minute has the numbers.")

struct bounds {
#define X(name, ...) uint64_t name;
	BOUNDS(X)
#undef X
};

struct bounds bounds_default(void);
/* Each value is within its row's least and most. */
bool bounds_good(const struct bounds *b);

/* supervisor -> gate, courier: after `ready`, before the first `peer`, and
 * again when the configuration was read anew; what is under way keeps what
 * it began with. */
extern const struct msg_type msg_bounds;

#endif
