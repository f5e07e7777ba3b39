/* SPDX-License-Identifier: ISC */
/*
 * An append-only file of JSON lines in which each line carries a sequence
 * number and the SHA-256 of the line before:
 *
 *	{"seq":7,"prev":"<base64url>", ...the caller's fields...}\n
 *
 * (its newline left out). The first line's prev is SHA-256 of the chain's
 * name. A changed, removed,
 * reordered or inserted line breaks the chain at a named place. A cut tail
 * shows only against an anchored head.
 *
 * A chain may go on in another file (lib/segments.h), whose first line then
 * follows the last one of the file before.
 */
#ifndef LIB_CHAINLOG_H
#define LIB_CHAINLOG_H

#include "lib/buf.h"

#include <stdio.h>

#define CHAINLOG_HASH 32
#define CHAINLOG_LINE_MAX (16 * 1024)

struct chainlog;

struct chainlog_head {
	uint64_t seq; /* of the last line; 0: none yet */
	uint8_t hash[CHAINLOG_HASH];
};

/* Take over fd (O_RDWR|O_APPEND, a regular file; closed on failure too) and
 * find its head. A torn
 * last line (no newline: it was never acknowledged) is cut off. before: the
 * file that this one follows (borrowed, read only), or -1. ERR_CRYPTO
 * when the last lines do not chain. */
MUST_USE int
chainlog_open(int fd, int before, const char *name, struct chainlog **out);
/* Go on in fd, which is empty (else as above): what is in the file of now is
 * synced first. ERR_ARGUMENT: it is not; the chain goes on where it was.
 * ERR_IO is final. */
MUST_USE int chainlog_next(struct chainlog *c, int fd);
/* The last line of fd, and what its first one follows. ERR_NOT_FOUND: it
 * has no whole line. */
MUST_USE int
chainlog_ends(int fd, struct chainlog_head *before, struct chainlog_head *last);
void chainlog_free(struct chainlog *c);

/* Add one line made of fields: a JSON object's inside, as
 * "\"event\":\"x\",\"n\":1", one line, no outer braces. It is not in the file
 * before chainlog_flush(). ERR_FORMAT, ERR_TOO_BIG: the fields break the
 * rules above; nothing was added. ERR_IO: it had to flush, and could not. */
MUST_USE int chainlog_put(struct chainlog *c, struct span fields);
/* Write all that was put, in one write(); when it returns 0 the lines
 * survive kill -9. A failed write is final: every later call fails with
 * ERR_IO too. */
MUST_USE int chainlog_flush(struct chainlog *c);
/* Put, then flush. */
MUST_USE int chainlog_append(struct chainlog *c, struct span fields);
/* Flush, then fdatasync. Failure is final as well. */
MUST_USE int chainlog_sync(struct chainlog *c);
/* A line was put or written since the last sync. */
bool chainlog_unsynced(const struct chainlog *c);
bool chainlog_failed(const struct chainlog *c);
struct chainlog_head chainlog_head(const struct chainlog *c);
uint64_t chainlog_bytes(const struct chainlog *c); /* of the file */

/* Check a whole file, which begins the chain of that name, or goes on after
 * from. each: called per good line with its text (may be
 * NULL). On ERR_CRYPTO or ERR_FORMAT: *line is the first bad line's number
 * (from 1) and why is one sentence. */
typedef int
chainlog_each(void *ctx, const struct chainlog_head *at, struct span line);
MUST_USE int chainlog_verify(FILE *f, const char *name,
    const struct chainlog_head *from, chainlog_each *each, void *ctx,
    struct chainlog_head *head, uint64_t *line, char *why, size_t size);

/* A JSON string literal with quotes: everything but plain ASCII as \uXXXX
 * (per byte when s is not UTF-8), cut at max bytes of input, never inside
 * a character. */
MUST_USE int chainlog_put_string(struct buf *b, struct span s, size_t max);

#endif
