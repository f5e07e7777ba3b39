/* SPDX-License-Identifier: ISC */
/*
 * What a guest speaks, as a table: HTTP/1.1 (front_h1.c), one exchange at
 * a time, or HTTP/2 (front_h2.c), many. A connection begins as the first
 * and changes once at most, when TLS chose h2.
 */
#ifndef EGRESS_GATE_FRONT_H
#define EGRESS_GATE_FRONT_H

#include "egress/http/head.h"

struct conn;
struct exchange;

struct front {
	/* Take what there is of the input. True: there may be more to do.
	 * The connection may be gone, whatever it returns. */
	bool (*step)(struct conn *c);
	/* The exchange that the courier calls id; NULL: it has ended. */
	struct exchange *(*find)(struct conn *c, uint32_t id);
	/* Every exchange is forgotten, the courier told. */
	void (*drop)(struct conn *c);
	/* The guest has taken what was queued. May end c. */
	void (*drained)(struct conn *c);
	/* Once a second. May end c. */
	void (*tick)(struct conn *c);
	/* No word more under its token; an end in order if that can be. Ends
	 * c, or begins to. */
	void (*retire)(struct conn *c);

	/* An answer's parts, put by for flush(). h is final (false: interim).
	 * An err: whoever made it is to blame. */
	int (*put_head)(struct exchange *x, const struct head *h, bool final);
	int (*put_body)(struct exchange *x, struct span bytes);
	int (*put_end)(struct exchange *x, const struct head *trailers);
	/* False: the connection is gone. */
	bool (*flush)(struct exchange *x);
	/* Of the owed bytes: how many has the guest taken? */
	uint32_t (*passed)(const struct exchange *x);
	/* The courier takes n more of the request's. May end c. */
	void (*credit)(struct exchange *x, uint32_t n);

	/* How x ends; it is gone then, and c may be. Both sides are over; */
	void (*over)(struct exchange *x);
	/* the answer is, and the rest of the request is not wanted; */
	void (*early)(struct exchange *x);
	/* what there is of an answer is no answer, which the guest must see.
	 * cut: nothing that was not sent yet may go out. */
	void (*broken)(struct exchange *x, bool cut);
};

extern const struct front front_h1, front_h2;

/* From now on c speaks HTTP/2. ERR_NOMEM. */
MUST_USE int front_h2_begin(struct conn *c);
void front_h2_free(struct conn *c);

#endif
