/* SPDX-License-Identifier: ISC */
/*
 * Seconds for measuring how long something takes: they go on evenly
 * whatever is done to the wall clock, and stand still while the machine
 * sleeps, as libev's timers do. (ev_now() is the wall clock: after a step of
 * it everything would be too old at once, or nothing for hours.)
 */
#ifndef LIB_UPTIME_H
#define LIB_UPTIME_H

double uptime(void);

#endif
