/* SPDX-License-Identifier: ISC */
/*
 * This guest's wall clock beside the host's, for `doctor` to tell: nothing
 * that we do hangs on it. Lifetimes run on CLOCK_BOOTTIME, and whether a
 * token is still good is the host's to say.
 */
#ifndef GUEST_CLOCK_H
#define GUEST_CLOCK_H

#include <stdbool.h>

/* Seconds either way in which every client here believes the host's
 * certificates: they are backdated by an hour. */
#define CLOCK_MOST 3500

/* token: a JWT that was minted just now. How many seconds we are ahead of
 * its iat; false when it has none. */
bool clock_ahead(const char *token, long long *seconds);

#endif
