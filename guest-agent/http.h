/* SPDX-License-Identifier: ISC */
/*
 * One request to the guest API at http://hatcheck.internal over one channel
 * connection. Blocks, within HTTP_DEADLINE milliseconds in all.
 *
 *	struct http_reply r = {0};
 *	if (http_call(&channel, "GET", "/v1/ca", NULL, &r) == 0 &&
 *	    r.status == 200)
 *		use(r.body.p, r.body.n);
 *	http_free(&r);
 */
#ifndef GUEST_HTTP_H
#define GUEST_HTTP_H

#include "guest-agent/channel.h"
#include "guest-agent/text.h"

#define HTTP_DEADLINE 15000
#define HTTP_HEAD 16384
#define HTTP_BODY (1024 * 1024)

struct http_reply {
	int status;
	struct text body;
};

/* form: an application/x-www-form-urlencoded body for POST, or NULL. 0, or
 * -1 with errno: as channel_open(), ETIMEDOUT, or EPROTO for an answer that
 * is not HTTP/1.1 or crosses a limit above. */
int http_call(const struct channel *c, const char *method, const char *path,
    const char *form, struct http_reply *out);
void http_free(struct http_reply *r);

/* The pure part: a whole response as read to the end of the stream. 0, or
 * -1 when it is not one complete, unambiguous response. */
int http_parse(const char *p, size_t n, struct http_reply *out);

#endif
