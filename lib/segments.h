/* SPDX-License-Identifier: ISC */
/*
 * The files of one chain: NAME.jsonl, then NAME.2.jsonl, NAME.3.jsonl and so
 * on. Only the last one grows; each goes on with the chain where the one
 * before ended. The oldest may have been removed. No chain's name has a dot.
 */
#ifndef LIB_SEGMENTS_H
#define LIB_SEGMENTS_H

#include "lib/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_CHAIN_MAX 33 /* a chain's name, with NUL */
#define SEGMENT_NAME_MAX (SEGMENT_CHAIN_MAX + 18)

struct segments {
	uint32_t first, last; /* numbers; 0: there is none */
	uint64_t closed;      /* bytes of all but the last */
};

void
segment_name(const char *chain, uint32_t n, char out[static SEGMENT_NAME_MAX]);
/* False: it is no such file's name. */
bool segment_parse(
    const char *file, char chain[static SEGMENT_CHAIN_MAX], uint32_t *n);

/* What there is in dirfd. ERR_IO. */
MUST_USE int segments_find(int dirfd, const char *chain, struct segments *out);
/* Number n for appending, made if it is not there. -1 with errno. */
MUST_USE int segment_open(int dirfd, const char *chain, uint32_t n);
/* The same for reading only, which makes nothing. */
MUST_USE int segment_read(int dirfd, const char *chain, uint32_t n);

#endif
