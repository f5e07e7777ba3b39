/* SPDX-License-Identifier: ISC */
/*
 * systemd's readiness protocol (sd_notify(3)): one datagram to the socket
 * that NOTIFY_SOCKET names. Without that variable nothing happens.
 */
#ifndef SUPERVISOR_NOTIFY_H
#define SUPERVISOR_NOTIFY_H

/* state: "READY=1", "STOPPING=1", "STATUS=..." */
void notify_systemd(const char *state);

#endif
