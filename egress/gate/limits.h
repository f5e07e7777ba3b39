/* SPDX-License-Identifier: ISC */
/*
 * What one guest may make its gate hold or do, in one place, each with its
 * reason. A gate serves one guest alone, so none of this touches another.
 */
#ifndef EGRESS_GATE_LIMITS_H
#define EGRESS_GATE_LIMITS_H

/* Connections at once: a parallel package manager opens some 50 to 100.
 * With 32 KiB in and 128 KiB out each, the worst case is about 50 MiB.
 * A power of two: ids carry the slot (gate.h). */
#define LIMIT_CONNS 256

/* Seconds for a whole attach line or request head, from the connection's
 * or the head's first byte; also for a TLS handshake. Longer is a slow
 * attack, not a slow network: the channel is local. */
#define LIMIT_HEAD_S 10.0
/* Seconds without a byte between requests. */
#define LIMIT_IDLE_S 300.0
/* Seconds without a byte either way within an exchange or tunnel. The
 * courier's own deadlines are shorter where upstream is to blame; this one
 * is for a guest that stops reading. */
#define LIMIT_EXCHANGE_S 900.0
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
