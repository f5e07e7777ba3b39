/* SPDX-License-Identifier: ISC */
/*
 * Hosts that had h2 to choose and did not: requests to them do not wait
 * for each other's connection in the hope to share it. The latest 64 are
 * known; what is forgotten costs one such wait.
 */
#ifndef COURIER_H1_HOSTS_H
#define COURIER_H1_HOSTS_H

#include "scope/host.h"

#define H1_HOSTS_MAX 64

struct h1_hosts {
	struct {
		char name[HOST_MAX];
		uint16_t port;
	} host[H1_HOSTS_MAX];
	size_t next;
};

bool h1_hosts_has(const struct h1_hosts *h, const char *name, uint16_t port);
/* What it chose this time. */
void h1_hosts_note(
    struct h1_hosts *h, const char *name, uint16_t port, bool chose_h2);

#endif
