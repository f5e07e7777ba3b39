/* SPDX-License-Identifier: ISC */
/*
 * What a courier counted since its last word, for the minter's metrics
 * (docs/metrics.md). Only numbers, in tables that both know: no name that a
 * guest or upstream chose can get into a metric. Id 0x0810.
 */
#ifndef MESSAGES_COUNTS_H
#define MESSAGES_COUNTS_H

#include "lib/msg.h"
#include "scope/reason.h"

/* Histograms, X(index, upper bound in ms). One more counts what is above. */
#define COUNTS_TOOK(X)                                                        \
	X(0, 5)                                                               \
	X(1, 10)                                                              \
	X(2, 25) X(3, 50) X(4, 100) X(5, 250) X(6, 500) X(7, 1000) X(8, 2500) \
	    X(9, 5000) X(10, 10000) X(11, 30000) X(12, 60000)
#define COUNTS_LAG(X)                                                     \
	X(0, 1)                                                           \
	X(1, 2)                                                           \
	X(2, 5) X(3, 10) X(4, 25) X(5, 50) X(6, 100) X(7, 250) X(8, 1000) \
	    X(9, 5000)

#define X(i, ms) +1
enum { COUNTS_TOOK_N = 1 COUNTS_TOOK(X), COUNTS_LAG_N = 1 COUNTS_LAG(X) };
#undef X
#define COUNTS_CLASSES 6 /* of status codes; 0: none came */

/* Of the session's audit log: see audit_closed() of the courier. */
enum counts_log { COUNTS_LOG_OK, COUNTS_LOG_FULL, COUNTS_LOG_FAILED };

/* courier -> minter, each second in which something was counted or the log
 * takes no request. */
struct counts {
	uint64_t bytes_up, bytes_down; /* bodies of ended requests */
	uint64_t took_ms, lag_ms;      /* sums of the histograms */
	uint32_t allowed;
	uint32_t refused[REASON_COUNT];	 /* before anything was sent */
	uint32_t ended[REASON_COUNT];	 /* [0]: by itself, else why */
	uint32_t status[COUNTS_CLASSES]; /* of the ended */
	uint32_t took[COUNTS_TOOK_N];	 /* how long the ended took */
	uint32_t lag[COUNTS_LAG_N];	 /* from a line to its sync */
	uint32_t log;			 /* enum counts_log */
};
extern const struct msg_type msg_counts;

/* Into a histogram of n, which ends with what is above all bounds. */
size_t counts_took_slot(uint64_t ms);
size_t counts_lag_slot(uint64_t ms);
/* The upper bound of slot i in ms; 0: there is none. */
uint32_t counts_took_bound(size_t i);
uint32_t counts_lag_bound(size_t i);

#endif
