/* SPDX-License-Identifier: ISC */
/*
 * Two clocks. Lifetimes run on CLOCK_BOOTTIME, in ms: it never steps and
 * counts while the machine sleeps. Times that leave the machine (tokens,
 * the API, rows that outlive a boot) are Unix seconds of the wall clock,
 * which is watched: it may step back by CLOCK_BACK_MS; beyond, every use
 * is refused (ERR_CLOCK) until it has caught up, or until a start.
 */
#ifndef MINTER_CLOCK_H
#define MINTER_CLOCK_H

#include "lib/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_BACK_MS 60000
/* After a step ahead of more than CLOCK_BACK_MS the wall clock has to stand
 * for so long before anything is old by it. */
#define CLOCK_SETTLE_MS (3600 * 1000)
#define CLOCK_BOOT_ID 40

/* The furthest point seen: at boot_ms the wall clock showed wall_ms. */
struct clock {
	int64_t wall_ms;
	int64_t boot_ms;
	int64_t ahead_ms; /* BOOTTIME of the last step ahead; 0: none */
};

void clock_start(struct clock *c, int64_t wall_ms, int64_t boot_ms);
/* Is this reading good? Moves the mark forward. ERR_CLOCK. */
MUST_USE int clock_check(struct clock *c, int64_t wall_ms, int64_t boot_ms);

/* No step ahead is younger than CLOCK_SETTLE_MS. */
bool clock_settled(const struct clock *c, int64_t boot_ms);

/* The readings themselves. */
int64_t clock_boot_ms(void);
int64_t clock_wall_ms(void);
/* Seconds now, checked. */
MUST_USE int clock_now(struct clock *c, int64_t *seconds);

/* This boot's id, or an empty string when the kernel tells none. */
void clock_boot_id(char out[static CLOCK_BOOT_ID]);

#endif
