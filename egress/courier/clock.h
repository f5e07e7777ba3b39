/* SPDX-License-Identifier: ISC */
/* Milliseconds on CLOCK_BOOTTIME: lifetimes go on while we sleep. */
#ifndef COURIER_CLOCK_H
#define COURIER_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t
clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The wall clock, Unix milliseconds: only for what people read. */
static inline uint64_t
clock_wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

#endif
