/* SPDX-License-Identifier: ISC */
/*
 * HTTP/1.1 bytes out of a head: what goes out is always made here from the
 * model, never copied from what came in. Appends to out, which the caller
 * bounds (ERR_TOO_BIG leaves a partial message: drop the connection). With
 * a locked buffer no credential leaves locked memory here.
 */
#ifndef EGRESS_HTTP_H1_WRITE_H
#define EGRESS_HTTP_H1_WRITE_H

#include "egress/http/head.h"

/* First line, fields in order, then the framing that h->body, length,
 * has_length, expect, close and upgrade (with an Upgrade field, in place of
 * close) ask for, then the empty line. ERR_ARGUMENT
 * when the head is not writable: a bad method, target, name or value, a
 * framing field (content-length, transfer-encoding) or Connection in the
 * list, HEAD_BODY_UNTIL_CLOSE without close. HEAD_BODY_NONE writes
 * "content-length: 0" for a response that may have a body, and nothing for
 * 1xx, 204, 304, and for requests but POST, PUT and PATCH. no_body: the
 * response answers HEAD, so no such zero is made up. */
MUST_USE int h1_put_head(const struct head *h, bool no_body, struct buf *out);

/* One chunk of n > 0 bytes. */
MUST_USE int h1_put_chunk(struct span bytes, struct buf *out);
/* The last chunk, with trailers or NULL. Forbidden trailers are left out. */
MUST_USE int h1_put_last_chunk(const struct head *trailers, struct buf *out);

#endif
