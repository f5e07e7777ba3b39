/* SPDX-License-Identifier: ISC */
/*
 * Base-URL mode: http://127.0.0.1:PORT/RANDOM/NAME/path, for clients that
 * take a base URL but no proxy. Pure.
 */
#ifndef EGRESS_GATE_BASE_URL_H
#define EGRESS_GATE_BASE_URL_H

#include "egress/gate/way.h"

/* Is this Host a loopback name of the guest's own (any port)? Only these
 * are taken, so that a web page in the guest cannot be rebound to us. */
bool base_url_host(struct span header_host);

/* Fills host, port, grant and target. RANDOM is compared in constant time;
 * a wrong one and an unknown NAME are NOT_FOUND alike. */
enum reason
base_url_parse(struct span target, const struct session *s, struct way *out);

#endif
