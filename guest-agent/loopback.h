/* SPDX-License-Identifier: ISC */
/* A fresh network namespace has its loopback interface down. */
#ifndef GUEST_LOOPBACK_H
#define GUEST_LOOPBACK_H

/* Bring it up if it is down. Ends the program with status when it is down
 * and we may not. */
void loopback_up(int status);
/* A connection to that port of 127.0.0.1: a close-on-exec, non-blocking fd;
 * -1 with errno. */
int loopback_connect(int port);

#endif
