/* SPDX-License-Identifier: ISC */
/*
 * WebSocket frames of one direction (RFC 6455, section 5), read strictly:
 * reserved bits 0 (no extension is ever negotiated), known opcodes, the
 * shortest form of each length, frames of a client masked and of a server
 * not, control frames whole and of at most 125 bytes, no message begun
 * within another, a close frame with a lawful code and a reason in UTF-8,
 * and nothing after it. Text is not checked to be UTF-8: its reader does.
 *
 * No memory beyond the struct, no I/O:
 *
 *	struct ws w;
 *	ws_start(&w, WS_SERVER);
 *	while ((r = ws_next(&w, &in, &event, &bytes)) == 0 &&
 *	    event != WS_MORE) ...
 *
 *	WS_HEAD		bytes: the head as it came; w.frame tells what it says
 *	WS_PAYLOAD	bytes: a run of its payload, as it came (masked, if so)
 *	WS_END		the frame is over; the message too, if w.frame.fin
 *	WS_MORE		in is used up
 *
 * bytes is valid until the next call. After ERR_FORMAT (ws_why() tells why)
 * nothing more is to be read.
 */
#ifndef EGRESS_HTTP_WS_H
#define EGRESS_HTTP_WS_H

#include "lib/err.h"
#include "lib/span.h"

#define WS_HEAD_MAX 14
#define WS_CONTROL_MAX 125

enum ws_side { WS_CLIENT, WS_SERVER }; /* whose frames */

enum ws_opcode {
	WS_CONTINUATION = 0,
	WS_TEXT = 1,
	WS_BINARY = 2,
	WS_CLOSE = 8,
	WS_PING = 9,
	WS_PONG = 10
};

enum ws_event { WS_MORE, WS_HEAD, WS_PAYLOAD, WS_END };

struct ws_frame {
	uint8_t opcode;
	bool fin;
	uint64_t length;
	uint8_t key[4]; /* of a client's frame */
};

/* Only frame is for others. */
struct ws {
	struct ws_frame frame;
	enum ws_side side;
	enum { WS_AT_HEAD, WS_IN_PAYLOAD, WS_AT_END } at;
	uint8_t head[WS_HEAD_MAX];
	size_t n_head;
	uint64_t done;	 /* bytes of the payload */
	bool in_message; /* a continuation is due */
	bool closed;
	uint8_t control[WS_CONTROL_MAX]; /* a close frame's, unmasked */
	const char *why;
};

void ws_start(struct ws *w, enum ws_side side);
MUST_USE int ws_next(
    struct ws *w, struct span *in, enum ws_event *event, struct span *bytes);
/* All of in, for who only wants it checked. */
MUST_USE int ws_check(struct ws *w, struct span in);

/* Data frames have messages that go on over several of them. */
static inline bool
ws_is_control(const struct ws_frame *f)
{
	return (f->opcode & 8) != 0;
}

/* Between two frames: the only place where this side may end. */
bool ws_between(const struct ws *w);
/* A close frame has passed. */
bool ws_closed(const struct ws *w);
const char *ws_why(const struct ws *w);

#endif
