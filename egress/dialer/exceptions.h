/* SPDX-License-Identifier: ISC */
/*
 * A session's explicit exceptions to the address rule, from the descriptor
 * that the minter wrote and the supervisor relayed:
 *
 *	{"exceptions":[{"host":"api.demo.test","port":443,
 *	  "addresses":["127.0.0.1"],"upstream_port":9443}]}
 *
 * A host may be a scope/host.h pattern. upstream_port 0 is the host's own.
 */
#ifndef DIALER_EXCEPTIONS_H
#define DIALER_EXCEPTIONS_H

#include "egress/dialer/address.h"
#include "scope/host.h"

struct exceptions;

/* Strict: ERR_FORMAT for an unknown key, a wrong type, no address. */
MUST_USE int exceptions_parse(struct span json, struct exceptions **out);
void exceptions_free(struct exceptions *e); /* NULL is fine */

/* The addresses to use for host:port without DNS and without the address
 * rule, ports filled in; NULL when no exception names it. */
const struct address_list *
exceptions_find(const struct exceptions *e, const char *host, uint16_t port);

#endif
