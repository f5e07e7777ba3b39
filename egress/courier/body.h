/* SPDX-License-Identifier: ISC */
/*
 * The body of one answer on its way to the guest, whatever it is:
 *
 *	plain		secrets are overwritten (scrub.h)
 *	coded		as it came, or it ends (coded.h)
 *	WebSocket	text of messages overwritten (ws_scrub.h)
 *
 * and a reply that mints a new secret ends (minted.h; not in WebSockets).
 *
 *	body_new(&spec, &b);
 *	body_run(b, bytes, &lent, out);	 lent goes out first, then out
 *	body_idle(b, out);		 when a while nothing came
 *	body_end(b, out);
 *
 * After a failure nothing more may be sent: body_reason() is the row that
 * tells why.
 */
#ifndef COURIER_BODY_H
#define COURIER_BODY_H

#include "egress/courier/coded.h"
#include "egress/courier/scrub.h"
#include "scope/reason.h"

struct body;

struct body_spec {
	struct scrub_set *set;
	const struct head *head; /* of the answer */
	bool websocket;
	bool inspect; /* look into codings, and for what is minted */
	struct decode_pool *pool;
};

/* ERR_FORMAT: a coding that cannot be looked into. */
MUST_USE int body_new(const struct body_spec *spec, struct body **out);
void body_free(struct body *b);

/* *lent is a beginning of in; for coded bodies and WebSockets nothing. */
MUST_USE int
body_run(struct body *b, struct span in, struct span *lent, struct buf *out);
MUST_USE int body_idle(struct body *b, struct buf *out);
MUST_USE int body_end(struct body *b, struct buf *out);
/* Coded or a WebSocket: up to CODED_HOLD_MAX bytes may be let out by one
 * that is taken in; feed at most BODY_BULKY_STEP at once. */
#define BODY_BULKY_STEP (16 * 1024)
bool body_is_bulky(const struct body *b);
bool body_is_coded(const struct body *b);
/* Bytes taken in and not given out yet. */
size_t body_held(const struct body *b);
/* Why body_new() or a later call failed with err; b may be NULL. */
enum reason body_reason(const struct body *b, int err);

#endif
