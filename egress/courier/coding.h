/* SPDX-License-Identifier: ISC */
/*
 * Content codings by name (RFC 9110, 8.4 and 12.5.3): which ones can be
 * looked into, what is therefore asked for, and what an answer says of
 * itself. "deflate" is the zlib format, as the RFC has it; a bare deflate
 * stream, which some servers send under that name, is not guessed at.
 */
#ifndef COURIER_CODING_H
#define COURIER_CODING_H

#include "egress/http/head.h"

enum coding {
	CODING_NONE, /* identity */
	CODING_GZIP, /* also x-gzip */
	CODING_DEFLATE,
	CODING_BR,
	CODING_ZSTD,
	CODING_OTHER /* unknown, or several: cannot be looked into */
};

/* What Content-Encoding says of h. Messages that gRPC or Connect code one
 * by one within the body are CODING_OTHER. */
enum coding coding_of(const struct head *h);

/* Does a request's field of that name allow such messages? */
bool coding_allows_messages(struct span name);

/* One Accept-Encoding field without the members that would allow a coding
 * which cannot be looked into, the others as they came: appended to out,
 * maybe nothing. */
MUST_USE int coding_accept(struct span value, struct buf *out);

#endif
