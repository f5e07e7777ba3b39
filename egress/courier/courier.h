/* SPDX-License-Identifier: ISC */
/*
 * The parts of one courier, as main() puts them together, for those that
 * work with several of them (exchange.c, traffic.c). No part but these
 * looks in here.
 */
#ifndef COURIER_COURIER_H
#define COURIER_COURIER_H

#include "egress/courier/audit.h"
#include "egress/courier/decode.h"
#include "egress/courier/lease.h"
#include "egress/courier/limits.h"
#include "egress/courier/rules.h"
#include "egress/courier/upstream.h"
#include "lib/link.h"
#include "messages/bounds.h"

struct exchange;
struct conn;

/* Ids that the gate chose, in buckets: the low bits tell them apart. */
#define COURIER_BUCKETS 512

struct courier {
	struct ev_loop *loop;
	struct bounds bounds;
	struct rules *rules;
	struct leases *leases;
	struct decode_pool decoding; /* what coded answers take */
	struct limits *limits;
	struct audit *audit;
	struct pool *pool;
	struct link *gate; /* NULL: none */
	struct exchange *exchanges;
	struct exchange *by_id[COURIER_BUCKETS]; /* the same */
	size_t n_exchanges;
	struct conn *conns[COURIER_BUCKETS]; /* by id */
	size_t n_conns;
};

#endif
