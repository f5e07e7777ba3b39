/* SPDX-License-Identifier: ISC */
/*
 * All that a command needs, fetched from the host at the start.
 */
#ifndef GUEST_SESSION_H
#define GUEST_SESSION_H

#include "guest-agent/api.h"

/* details: NULL, or what a sub-agent asks for instead of all (api.h). */
struct session {
	const char *details, *act;
	struct api_token token;
	char *root; /* PEM */
	struct json *document;
};

/* Fetch everything, by s->details and act; while the host is away, try again for patience seconds.
 * Ends the program with status when it refuses or stays away. */
void session_fetch(
    struct session *s, const struct channel *c, int patience, int status);
/* The root alone; for free(). */
char *session_root(const struct channel *c, int patience, int status);
/* The environment document alone, checked; else as above, with status 1. */
struct json *session_document(const struct channel *c);
void session_free(struct session *s);

#endif
