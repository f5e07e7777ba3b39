/* SPDX-License-Identifier: ISC */
/*
 * Where a session token stands: in the attach line (docs/attach.md), or in
 * Proxy-Authorization. Pure.
 */
#ifndef EGRESS_GATE_ATTACH_H
#define EGRESS_GATE_ATTACH_H

#include "lib/err.h"
#include "lib/span.h"

/* The longest token either form can carry. */
#define ATTACH_TOKEN_MAX 4096

/* in: the first bytes of a connection. ERR_NOT_FOUND: no attach line, it is
 * HTTP; ERR_TRUNCATED: cannot be told yet; ERR_TOO_BIG; ERR_FORMAT: a line
 * that begins as one but is wrong, *used says how long it is. 0: *token
 * borrows from in, *used is the line with its CRLF. */
MUST_USE int attach_parse(struct span in, struct span *token, size_t *used);

/* The value of Proxy-Authorization: Bearer TOKEN, or Basic with any user
 * and the token as password. out is NUL-terminated. ERR_FORMAT. */
MUST_USE int
attach_from_header(struct span value, char out[static ATTACH_TOKEN_MAX + 1]);

#endif
