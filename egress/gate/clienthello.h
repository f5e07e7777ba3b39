/* SPDX-License-Identifier: ISC */
/*
 * The name in a TLS ClientHello (RFC 8446, 4.1.2), before any of it goes
 * anywhere. Pure, strict, bounded at LIMIT_HELLO bytes.
 */
#ifndef EGRESS_GATE_CLIENTHELLO_H
#define EGRESS_GATE_CLIENTHELLO_H

#include "scope/host.h"

struct clienthello {
	bool has_sni;
	struct host sni; /* canonical */
	bool ech;	 /* an Encrypted ClientHello (or its grease) is there */
};

/* in: the first bytes of a connection. ERR_TRUNCATED: more are needed;
 * ERR_TOO_BIG; ERR_FORMAT: not exactly a ClientHello, or its name is no
 * host name. The hello may span records; nothing is consumed. */
MUST_USE int clienthello_parse(struct span in, struct clienthello *out);

#endif
