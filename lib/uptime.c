/* SPDX-License-Identifier: ISC */
/* What for: durations. Trusts: CLOCK_MONOTONIC. At a bound: cannot fail. */
#include "lib/uptime.h"

#include <time.h>

double
uptime(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
