/* SPDX-License-Identifier: ISC */
/*
 * The opening handshake of a WebSocket (RFC 6455, section 4), as a client
 * and its server must say it. No extension is negotiated: the guest's offer
 * is not passed on, and a server that answers with one is refused.
 */
#ifndef COURIER_WS_OPEN_H
#define COURIER_WS_OPEN_H

#include "egress/http/head.h"

#define WS_KEY_MAX 25 /* 16 bytes in base64, and NUL */

/* The guest's fields, packed (messages/traffic.h). ERR_FORMAT, with a
 * sentence in *why: not a GET, no or two keys, a key of another size,
 * another version than 13. */
MUST_USE int ws_open_request(struct span method, struct span headers,
    char key[static WS_KEY_MAX], const char **why);

/* Is this a field of the guest's that is not passed on? */
bool ws_open_drops(struct span name);

/* Fields that the request needs besides the guest's. */
MUST_USE int ws_open_add(struct head *h);

/* An answer of 101, before it is stripped. ERR_FORMAT, with *why: it is no
 * answer to that key, has an extension, or a protocol that headers did not
 * offer. */
MUST_USE int ws_open_answer(const struct head *h, const char *key,
    struct span headers, const char **why);

#endif
