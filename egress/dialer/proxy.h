/* SPDX-License-Identifier: ISC */
/*
 * The corporate proxy of this host, if its administrator named one
 * (hatcheckd.yaml(5), never the environment), and which hosts go past it.
 *
 * A named exception to the address rule: with a proxy it is the proxy that
 * resolves names, so an address that it chooses is not seen here. What can
 * be judged is: IP literals must be public, and localhost is refused. Hosts
 * with addresses in a grant are dialled directly, always. The proxy's own
 * address may be any, for the administrator named it.
 */
#ifndef DIALER_PROXY_H
#define DIALER_PROXY_H

#include "messages/control.h"
#include "scope/host.h"

struct proxy {
	enum ctl_proxy_kind kind;
	struct host host;
	uint16_t port;
	char past[CTL_NO_PROXY_MAX + 1]; /* patterns, a line each */
};

/* ERR_FORMAT: out must not be used, and nothing may be dialled. */
MUST_USE int proxy_take(const struct ctl_proxy *m, struct proxy *out);

enum proxy_way { PROXY_DIRECT, PROXY_THROUGH, PROXY_FORBIDDEN };

/* Which way to h? A pattern is a name, or "*." and a name for all that is
 * below it. */
enum proxy_way proxy_way(const struct proxy *p, const struct host *h);

#endif
