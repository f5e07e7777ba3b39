/* SPDX-License-Identifier: ISC */
/*
 * Which process is meant: a number alone may be another's by the time that
 * somebody looks, so it goes with the time at which that process began, in
 * clock ticks since boot (proc(5), /proc/PID/stat, starttime).
 */
#ifndef LIB_PROCID_H
#define LIB_PROCID_H

#include "lib/err.h"

#include <stdint.h>

struct procid {
	uint32_t pid; /* 0: none */
	uint64_t started;
};

/* ERR_NOT_FOUND: there is no such process; ERR_DENIED: it is hidden. */
MUST_USE int procid_of(uint32_t pid, struct procid *out);
/* A pidfd of exactly that process, close-on-exec; readable once it is dead.
 * ERR_NOT_FOUND: it is gone already. */
MUST_USE int procid_open(const struct procid *p, int *fd);

#endif
