/* SPDX-License-Identifier: ISC */
/*
 * The session's audit chain. Lines are put together in a turn of the loop
 * and written at its end in one write(), which survives kill -9, and synced
 * within 50 ms. Before a request's first byte goes out its line must be in
 * the file: every upstream connection calls audit_flush() before it sends
 * (upstream.c), and sends nothing when that fails.
 * Any failure is final: on_fail is called once, and every later line is
 * refused, so nothing is forwarded any more.
 *
 * A guest cannot fill the disk with it. Of refusals only so many lines are
 * written in a minute, the rest is counted and told in one line:
 *
 *	"event":"refusals","counted":{"host-not-granted":123456}
 *
 * The chain goes on in another file when this one is long; the supervisor
 * opens it. When all together are as long as they may be, a last line says
 * so, "event":"full".
 * From then on there are no requests, and refusals are not told; what was
 * under way still gets its end.
 */
#ifndef COURIER_AUDIT_H
#define COURIER_AUDIT_H

#include "egress/courier/rules.h"
#include "lib/chainlog.h"
#include "messages/bounds.h"
#include "messages/counts.h"
#include "messages/traffic.h"
#include "scope/reason.h"

#include <ev.h>

struct audit;

struct audit_handlers {
	void *ctx;
	void (*on_fail)(void *ctx);
	/* The file is long: audit_next() would be welcome. */
	void (*on_long)(void *ctx);
	/* After a sync: what is on disk. */
	void (*on_head)(void *ctx, const struct chainlog_head *head);
};

/* The chain's files. */
struct audit_files {
	int fd;		 /* taken over */
	int before;	 /* what it follows; borrowed, or -1 */
	uint64_t closed; /* bytes of all files before fd */
};
/* ERR_CRYPTO: the file does not chain. */
MUST_USE int audit_open(struct ev_loop *loop, const struct audit_files *f,
    const char *session, const struct audit_handlers *h, struct audit **out);
/* Go on in fd (taken over), which is empty. */
void audit_next(struct audit *a, int fd, uint64_t closed);
/* Once a second, and whenever lines were written: asks for another file when
 * this one is long. */
void audit_tick(struct audit *a);
/* audit_bytes and audit_refusals. */
void audit_bound(struct audit *a, const struct bounds *b);
/* Syncs what is left, then closes. */
void audit_close(struct audit *a);

/* What a line says about a request; empty spans are left out. */
struct audit_line {
	const char *event; /* request, refused, done, cut */
	uint32_t stream;
	struct span family, jti;
	uint8_t way; /* enum traffic_way, 0: unknown */
	struct span method, host, target;
	bool hide_query; /* it carried a credential: length and hash only */
	uint16_t port;
	struct span grant, credential;
	uint32_t version;
	int rule;	    /* -1: none */
	enum reason reason; /* refused, cut, note */
	bool allow;	    /* request */
	bool dropped;	    /* a cookie was taken out */
	/* done */
	bool ended;
	unsigned status;
	uint64_t up, down, ms;
	const char *how;
	struct span address;
};

/* 0 also for a refusal that was only counted. ERR_TOO_BIG: a request, and
 * the log is full (audit_closed()), or the line too long. */
MUST_USE int audit_put(struct audit *a, const struct audit_line *l);
/* Write what was put. on_fail may be called from here. */
MUST_USE int audit_flush(struct audit *a);
/* Who asks: each line that names a family names those above it and who acts
 * there. rules stays the caller's, and must outlive the log. */
void audit_know(struct audit *a, const struct rules *rules);
bool audit_failed(const struct audit *a);
/* Why no request may go out: AUDIT_FAILED, AUDIT_FULL, or NONE. */
enum reason audit_closed(const struct audit *a);
/* What was told since *out was last asked for, as numbers, which begin anew,
 * and how the log is. False: nothing, and it is well. */
bool audit_take_counts(struct audit *a, struct counts *out);

#endif
