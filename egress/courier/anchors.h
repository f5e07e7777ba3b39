/* SPDX-License-Identifier: ISC */
/*
 * Whom upstream TLS trusts: the system's anchors, or those and one grant's,
 * as OpenSSL contexts that connections share.
 */
#ifndef COURIER_ANCHORS_H
#define COURIER_ANCHORS_H

#include "lib/err.h"

#include <openssl/ssl.h>
#include <stdint.h>

#define ANCHORS_DIGEST 32

struct anchors;

/* Before the jail. */
MUST_USE int anchors_new(struct anchors **out);
void anchors_free(struct anchors *a);
/* Borrowed. pem NULL: the system's alone. ERR_FORMAT: no certificate in pem. */
MUST_USE int anchors_context(struct anchors *a, const char *pem, SSL_CTX **out);
/* Forget those of grants; connections keep theirs. */
void anchors_forget(struct anchors *a);

/* Which anchors these are: connections of one digest trust the same. */
void anchors_digest(const char *pem, uint8_t out[static ANCHORS_DIGEST]);

#endif
