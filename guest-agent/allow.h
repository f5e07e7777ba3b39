/* SPDX-License-Identifier: ISC */
/*
 * What `run --allow` asks for a sub-agent, as RFC 9396 authorization_details:
 *
 *	'GET,HEAD api.github.com/repos/acme/**'	these requests
 *	'api.github.com:443/x'			any method
 *	'gh-read'				a grant of the session, whole
 *
 * The host judges what it means; here only its form is looked at.
 */
#ifndef GUEST_ALLOW_H
#define GUEST_ALLOW_H

#include "guest-agent/text.h"

#define ALLOW_MAX 32

/* Writes the array; ends the program with EXIT_USAGE for what has no form.
 * ttl: "90", "10m", "2h"; NULL: as long as the session. */
void allow_details(
    const char *const *rules, int n, const char *ttl, struct text *out);

#endif
