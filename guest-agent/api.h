/* SPDX-License-Identifier: ISC */
/*
 * The guest API as the agent uses it (docs/guest-api.md). Every call
 * blocks for at most HTTP_DEADLINE. A failure leaves one line of why.
 */
#ifndef GUEST_API_H
#define GUEST_API_H

#include "guest-agent/channel.h"
#include "guest-agent/json.h"

#include <stddef.h>

#define API_TOKEN_MAX 4000 /* with ATTACH it fits in the line's 4 KiB */

struct api_token {
	char text[API_TOKEN_MAX + 1];
	long long lifetime; /* seconds, from when it was asked for */
};

enum api_result {
	API_OK,
	API_RETRY,  /* the host is not there, or not now */
	API_REFUSED /* it answered no */
};

struct api_why {
	char text[512];
};

/* A first token, or when old is given its successor in the same family. */
enum api_result api_token(const struct channel *c, const char *old,
    struct api_token *out, struct api_why *why);
/* A first token of a sub-agent: details as allow.h makes them; act: its
 * name, or NULL. */
enum api_result api_narrow(const struct channel *c, const char *details,
    const char *act, struct api_token *out, struct api_why *why);
void api_revoke(const struct channel *c, const char *token);
/* The session's root in PEM; *out is for free(). */
enum api_result
api_ca(const struct channel *c, char **out, struct api_why *why);
/* A JSON document: "/v1/environment", "/v1/status"; json_free() it. */
enum api_result api_document(const struct channel *c, const char *path,
    struct json **out, struct api_why *why);

#endif
