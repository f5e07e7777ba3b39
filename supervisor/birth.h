/* SPDX-License-Identifier: ISC */
/* The words that a child is born with: argv and environment (process.h). */
#ifndef SUPERVISOR_BIRTH_H
#define SUPERVISOR_BIRTH_H

#include "supervisor/daemon.h"

#define BIRTH_WORDS 14
#define BIRTH_ENV 5
#define BIRTH_ENV_SIZE 512

struct birth {
	char *argv[BIRTH_WORDS];
	char *envp[BIRTH_ENV];
	char gid[16], port[16], depth[12], closed[24];
	char store[BIRTH_ENV - 1][BIRTH_ENV_SIZE];
};

/* Words borrow from p and its daemon. */
void birth_fill(const struct process *p, struct birth *out);

/* The credential that systemd made for the service, CREDENTIAL_NAME, opened
 * as root; -1 when there is none. */
int birth_credential(void);

/* A D-Bus address that names one unix socket and nothing else: no
 * transport that would run a program. */
bool birth_bus_is_plain(const char *address);

#endif
