/* SPDX-License-Identifier: ISC */
/*
 * The address rule: which sockaddr a guest's request may be connected to.
 * Only global unicast addresses pass; IPv6 by allowing 2000::/3 less the
 * special blocks in it, so that mapped, compatible, NAT64, ULA, link-local
 * and multicast forms are outside from the start. 6to4 and Teredo are
 * refused whole: what they embed is another address. (Hatcheck itself
 * listens on no TCP port anywhere.)
 *
 * Check the very sockaddr that is given to connect(), each time.
 */
#ifndef DIALER_ADDRESS_H
#define DIALER_ADDRESS_H

#include "lib/err.h"
#include "lib/span.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define ADDRESS_TEXT 64
#define ADDRESS_LIST_MAX 16

union address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct address_list {
	union address a[ADDRESS_LIST_MAX];
	size_t n;
};

/* 0, or ERR_DENIED: anything not known to be public. */
MUST_USE int address_check(const union address *a);

/* An IP literal, IPv6 with or without brackets. ERR_FORMAT. */
MUST_USE int address_parse(const char *text, uint16_t port, union address *out);
socklen_t address_len(const union address *a);
/* "192.0.2.1" or "[2001:db8::1]", with ":port". */
void address_text(const union address *a, char out[static ADDRESS_TEXT]);

#endif
