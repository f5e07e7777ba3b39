/* SPDX-License-Identifier: ISC */
/*
 * SHA-256, by OpenSSL: it uses the processor's SHA instructions, which
 * libsodium's does not. The algorithm is looked up once in a thread, not for
 * each hash as SHA256() does.
 */
#ifndef LIB_SHA256_H
#define LIB_SHA256_H

#include "lib/err.h"
#include "lib/span.h"

#define SHA256_SIZE 32

/* ERR_NOMEM: out says nothing. */
MUST_USE int sha256(struct span s, uint8_t out[static SHA256_SIZE]);

#endif
