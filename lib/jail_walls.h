/* SPDX-License-Identifier: ISC */
/*
 * The two kernel walls behind jail_enter(): used by lib/jail.c only. Both
 * end the process by log_fatal() when the wall does not stand.
 */
#ifndef LIB_JAIL_WALLS_H
#define LIB_JAIL_WALLS_H

#include "lib/jail.h"

/* Whether this kernel has Landlock, and the process is now behind it. */
void jail_landlock(const struct jail_profile *p);
/* Install the handler for forbidden calls, then the filter. */
void jail_filter(const struct jail_profile *p);
/* The deny-list of a process that must fork and exec. */
void jail_filter_parent(void);

#ifdef HATCHECK_SANITIZED
#define JAIL_SANITIZED 1
#else
#define JAIL_SANITIZED 0
#endif

#endif
