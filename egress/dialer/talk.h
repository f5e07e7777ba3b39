/* SPDX-License-Identifier: ISC */
/*
 * What is said to a corporate proxy so that it opens a connection to a host:
 * CONNECT (RFC 9110, 9.3.6) or SOCKS5 (RFC 1928, no authentication, the
 * name is resolved by the proxy). Pure: no fd, no clock.
 *
 *	r = talk_start(&t, kind, &host, port, out);	send out
 *	while ((r = talk_next(&t, in, &used, out)) == ERR_TRUNCATED)
 *		...					send out, read more
 *
 * used says how much of in was the proxy's answer. What follows it is the
 * far end's and must not be consumed: when 0 is returned, used may be less
 * than in.n.
 *
 * Of an answer to CONNECT only this is accepted: "HTTP/1.0" or "HTTP/1.1",
 * SP, "200", then the end of the line or SP and a reason; fields that have a
 * name and a colon, no folding, no controls; CRLF everywhere; TALK_MAX bytes
 * in all. Its fields are of no interest (RFC 9110 tells us to ignore lengths
 * there).
 */
#ifndef DIALER_TALK_H
#define DIALER_TALK_H

#include "lib/buf.h"
#include "messages/control.h"
#include "scope/host.h"

#define TALK_MAX 8192	  /* bytes of an answer to CONNECT */
#define TALK_OUT_MAX 1024 /* bytes that out needs room for */

enum talk_state {
	TALK_STATUS, /* HTTP, the first line */
	TALK_FIELD,  /* HTTP, a later line */
	TALK_METHOD, /* SOCKS5: which authentication */
	TALK_REPLY,  /* SOCKS5: the answer */
	TALK_DONE
};

struct talk {
	enum talk_state state;
	size_t all;	   /* bytes so far, of HTTP */
	size_t n;	   /* bytes of the line or message under way */
	bool cr, colon;	   /* HTTP: the last byte was CR; a colon was seen */
	uint8_t head[264]; /* the line's or message's beginning */
	unsigned status;   /* HTTP status, or SOCKS5 reply; for the log */
	struct host host;
	uint16_t port;
};

/* out: emptied, then what is to be sent first. */
MUST_USE int talk_start(struct talk *t, enum ctl_proxy_kind kind,
    const struct host *host, uint16_t port, struct buf *out);

/* 0: the way to the host is open. ERR_TRUNCATED: more is wanted; out may
 * have something to send. ERR_DENIED: the proxy refused (status says how).
 * ERR_FORMAT, ERR_TOO_BIG: that is no answer. */
MUST_USE int
talk_next(struct talk *t, struct span in, size_t *used, struct buf *out);

#endif
