/* SPDX-License-Identifier: ISC */
/*
 * Floods of HTTP/2 frames that cost their sender next to nothing: counted
 * on the wire, before the frame's own meaning is looked at. No I/O, and no
 * clock: what is counted is paid off by useful work instead, so a busy
 * honest connection never comes near a limit, however long it lives. The
 * limits are messages/bounds.h's, with these reasons:
 *
 *	h2_resets	twice all the streams that may be under way: whoever
 *			cancels a whole page twice over before one answer came
 *			does nothing else. Resets that we were made to send
 *			count too.
 *	h2_pings	each is answered. An idle watch with a ping every 10 s
 *			lasts 2.8 hours.
 *	h2_settings	each is answered, and may walk over all streams. Most
 *			say it once.
 *	h2_empty	DATA, HEADERS and CONTINUATION: some gRPC ends with one
 *	h2_updates	libraries send up to two for a DATA frame and two for a
 *			new stream
 *	h2_other	PRIORITY, unknown types and GOAWAY: browsers send few at
 *			the start
 *	h2_continuations  a head of 64 KiB is four frames of 16 KiB; twice that
 *
 *	h2_flood_init(&f, server);		with the default limits
 *	h2_flood_bound(&f, &bounds);
 *	r = h2_flood_scan(&f, in, &good);	ERR_FORMAT: f.why, f.code
 *	h2_flood_pay_stream(&f);		a stream ran to both its ends
 *	h2_flood_pay_data(&f);			a DATA frame was sent
 */
#ifndef EGRESS_HTTP_H2_FLOOD_H
#define EGRESS_HTTP_H2_FLOOD_H

#include "lib/err.h"
#include "lib/span.h"
#include "messages/bounds.h"

/* Compressed bytes of one head: no more than the plain ones may be. */
#define H2_BLOCK_MAX (64 * 1024)

enum h2_flood_kind {
	H2_FLOOD_RESET,
	H2_FLOOD_PING,
	H2_FLOOD_SETTINGS,
	H2_FLOOD_EMPTY,
	H2_FLOOD_UPDATE,
	H2_FLOOD_OTHER,
	H2_FLOOD_KINDS
};

struct h2_flood {
	size_t preface;	 /* bytes of the client's that are to come */
	uint8_t head[9]; /* a frame's, as it comes */
	size_t n_head, payload;
	size_t continuations, block; /* of the head under way */
	uint64_t heads;		     /* that have begun */
	bool open;		     /* a CONTINUATION must follow */
	bool of_head;		     /* the payload under way is a head's */
	uint32_t count[H2_FLOOD_KINDS], max[H2_FLOOD_KINDS];
	uint32_t continuations_max;
	const char *why; /* a constant phrase; NULL: no limit was crossed */
	uint32_t code;	 /* RFC 9113, section 7 */
};

void h2_flood_init(struct h2_flood *f, bool server);
/* b is good. */
void h2_flood_bound(struct h2_flood *f, const struct bounds *b);
/* ERR_FORMAT, now and ever after: a limit is crossed (ENHANCE_YOUR_CALM) or
 * a push came (PROTOCOL_ERROR). *good: how much of in is still to be used. */
MUST_USE int h2_flood_scan(struct h2_flood *f, struct span in, size_t *good);
/* The number of the head that is under way; 0: none is. */
uint64_t h2_flood_open_head(const struct h2_flood *f);
void h2_flood_count(struct h2_flood *f, enum h2_flood_kind kind);
void h2_flood_pay_stream(struct h2_flood *f);
void h2_flood_pay_data(struct h2_flood *f);

#endif
