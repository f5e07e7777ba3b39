/* SPDX-License-Identifier: ISC */
/*
 * The last lines of a growing file, and those that come.
 */
#ifndef CLI_TAIL_H
#define CLI_TAIL_H

#include "lib/buf.h"

struct tail;

/* Stand before the last n whole lines of dirfd/name. ERR_NOT_FOUND. */
MUST_USE int
tail_open(int dirfd, const char *name, size_t n, struct tail **out);
void tail_free(struct tail *t);
/* Hand over every whole line there is now (without its newline, cut at
 * 64 KiB). Non-zero from each ends it and is returned. */
typedef int tail_each(void *ctx, struct span line);
MUST_USE int tail_read(struct tail *t, tail_each *each, void *ctx);

#endif
