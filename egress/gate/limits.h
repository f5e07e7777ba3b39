/* SPDX-License-Identifier: ISC */
/*
 * What the gate's own design fixes of what one guest may make it hold or
 * do. What an administrator may change is messages/bounds.h.
 */
#ifndef EGRESS_GATE_LIMITS_H
#define EGRESS_GATE_LIMITS_H

/* Room for as many connections as the configuration may allow. A power of
 * two: ids carry the slot (gate.h). */
#define LIMIT_CONNS 512

/* Seconds for the courier to answer a CONNECT (it may have to lease). */
#define LIMIT_CONNECT_S 30.0

/* Seconds that a request waits for session, CA or siblings before it is
 * answered with 503: a gate that was just started has them in some ms. */
#define LIMIT_PATIENCE_S 2.0

/* An attach line with its CRLF. Tokens are some 700 bytes. */
#define LIMIT_ATTACH 4096
/* A ClientHello with post-quantum shares is some 1.7 KiB; TLS allows more
 * than anybody sends. */
#define LIMIT_HELLO 16384
/* A body sent to the guest API. */
#define LIMIT_API_BODY (64 * 1024)

/* Families at once (the minter makes fewer). */
#define LIMIT_FAMILIES 256
/* Verified tokens kept by hash, so that a request costs no signature. */
#define LIMIT_TOKENS 64
/* Leaves kept, one per intercepted host. */
#define LIMIT_LEAVES 256
/* No new request is read while the courier has this many bytes to take. */
#define LIMIT_COURIER_QUEUE (1024 * 1024)
/* Room above it for what is under way. */
#define LIMIT_COURIER_QUEUE_MAX (8 * 1024 * 1024)

#endif
