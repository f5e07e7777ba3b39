/* SPDX-License-Identifier: ISC */
/*
 * Which way in a request took, and which destination it names: the
 * decision of docs/ARCHITECTURE.md's table, on canonical values. Pure.
 */
#ifndef EGRESS_GATE_WAY_H
#define EGRESS_GATE_WAY_H

#include "egress/gate/session.h"
#include "egress/http/head.h"
#include "messages/traffic.h"
#include "scope/reason.h"

#define WAY_RESERVED_HOST "hatcheck.internal"

enum way_kind {
	WAY_KIND_API,	  /* the guest API; target is its path */
	WAY_KIND_CONNECT, /* host and port */
	WAY_KIND_FORWARD  /* to be sent to the courier */
};

struct way {
	enum way_kind kind;
	enum traffic_way traffic; /* of WAY_KIND_FORWARD */
	struct host host;
	uint16_t port;
	struct span grant;	 /* WAY_BASE: borrows from the session */
	struct span target;	 /* origin form, exact bytes, borrows */
	struct span header_host; /* as it came, borrows */
};

/* On a plain connection. h has one Host, or is an old CONNECT (h1_parse.h).
 * REASON_NONE, or why it is refused. */
enum reason
way_plain(const struct head *h, const struct session *s, struct way *out);

/* Within an intercepted connection to host:port. */
enum reason way_intercepted(const struct head *h, const struct host *host,
    uint16_t port, struct way *out);

#endif
