/* SPDX-License-Identifier: ISC */
/*
 * HTTP/2 by prior knowledge, without TLS (RFC 9113, 3.3): seen, so that it
 * can be refused in its own language. Pure.
 */
#ifndef EGRESS_GATE_H2C_H
#define EGRESS_GATE_H2C_H

#include "lib/err.h"
#include "lib/span.h"

/* Does in begin with a client's preface? 0: yes. ERR_TRUNCATED: so far.
 * ERR_NOT_FOUND: no. */
MUST_USE int h2c_look(struct span in);
/* SETTINGS, and GOAWAY with HTTP_1_1_REQUIRED and a word about it. */
struct span h2c_refusal(void);

#endif
