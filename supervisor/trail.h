/* SPDX-License-Identifier: ISC */
/*
 * The files of a session's audit chain (lib/segments.h), which only we can
 * open: the one that grows, and the one before it, from which a new courier
 * learns where the chain stands when the newest is empty yet.
 */
#ifndef SUPERVISOR_TRAIL_H
#define SUPERVISOR_TRAIL_H

#include "lib/err.h"

#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct session;

struct trail {
	int fd, before; /* of segment, and of the one before; or -1 */
	uint32_t segment;
	uint64_t closed; /* bytes of those before */
};

/* Find or make its files. */
MUST_USE int
trail_open(const struct daemon *d, const char *session, struct trail *out);
void trail_close(struct trail *t);
/* Is there no line of it yet? */
bool trail_begins(const struct trail *t);
/* Its courier found the file long: give it the next one, if it is. */
void trail_next(struct session *s);

#endif
