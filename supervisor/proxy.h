/* SPDX-License-Identifier: ISC */
/*
 * The corporate proxy as the configuration names it:
 *
 *	http://proxy.example.com:3128	CONNECT
 *	socks5://[2001:db8::1]:1080
 *
 * Without a user or password: such a password is a credential, and a
 * credential has no place in a configuration file. The dialer reads host and
 * patterns again, strictly (egress/dialer/proxy.h).
 */
#ifndef SUPERVISOR_PROXY_H
#define SUPERVISOR_PROXY_H

#include "messages/control.h"

struct proxy {
	enum ctl_proxy_kind kind;
	char host[254];
	uint16_t port;
	char past[CTL_NO_PROXY_MAX + 1]; /* patterns, a line each */
};

/* Kind, host and port of out. ERR_FORMAT: why is a sentence of what is wrong
 * and what to say instead. */
MUST_USE int
proxy_url(const char *url, struct proxy *out, char *why, size_t size);

/* Append to past: a host name, or "*." and one. ERR_FORMAT, ERR_TOO_BIG; why
 * as above. */
MUST_USE int
proxy_past(const char *pattern, struct proxy *out, char *why, size_t size);

/* As a message; borrows from p. */
struct ctl_proxy proxy_message(const struct proxy *p);

#endif
