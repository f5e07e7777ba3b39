/* SPDX-License-Identifier: ISC */
/*
 * The environment document of the session: placeholders, base URLs, hosts
 * (docs/ARCHITECTURE.md, "Guest API"). Checked once, then walked.
 */
#ifndef GUEST_DOCUMENT_H
#define GUEST_DOCUMENT_H

#include "guest-agent/json.h"

/* Names are names of variables, values are printable without spaces, paths
 * begin with "/": NULL, or what is wrong. */
const char *document_check(const struct json *doc);

/* The placeholder of a credential, or NULL. */
const char *
document_placeholder(const struct json *doc, const char *credential);
/* The placeholder for git at host ("github.com", "h:8443"): that of the
 * credential that lists the host; NULL for an unknown host, and when no
 * placeholder, or more than one, may be meant. */
const char *document_for_host(const struct json *doc, const char *host);

#endif
