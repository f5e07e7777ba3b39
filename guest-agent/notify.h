/* SPDX-License-Identifier: ISC */
/*
 * Tell a service manager that we serve: sd_notify(3)'s protocol. Without
 * NOTIFY_SOCKET nothing happens; nor when it cannot be told, which it
 * notices by itself.
 */
#ifndef GUEST_NOTIFY_H
#define GUEST_NOTIFY_H

void notify_ready(void);

#endif
