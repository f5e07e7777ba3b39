/* SPDX-License-Identifier: ISC */
/*
 * Host names in one canonical form: lower-case A-labels, no trailing dot;
 * IPv4 as four plain decimals; IPv6 in brackets, RFC 5952. Accepts or
 * refuses; never repairs, except that ASCII upper case is lowered and one
 * trailing dot is dropped. canon(canon(x)) == canon(x).
 *
 * Refused (ERR_FORMAT): empty, over 253 bytes, label over 63, anything but
 * letters, digits, hyphen and dot (so %, @, \, NUL, space, _, zone ids,
 * full-width forms), a label that begins or ends with a hyphen, a last
 * label that is all digits or 0x… when the whole is no dotted quad
 * (inet_aton shorthands).
 */
#ifndef SCOPE_HOST_H
#define SCOPE_HOST_H

#include "lib/err.h"
#include "lib/span.h"

#define HOST_MAX 254 /* with NUL */

struct host {
	char name[HOST_MAX]; /* canonical text */
	bool is_ip;
};

MUST_USE int host_parse(struct span in, struct host *out);
/* host[:port]; without a port: default_port, and 0 means that one is
 * required. Ports: plain decimals 1 to 65535, no leading zero. */
MUST_USE int host_parse_authority(struct span in, uint16_t default_port,
    struct host *host, uint16_t *port);

/* A pattern: an exact canonical name, or "*." and a name of at least two
 * labels that is no public suffix. Never an IP behind "*.". */
MUST_USE int host_pattern_parse(struct span in, char out[static HOST_MAX]);
/* pattern and host both canonical; "*" stands for exactly one label. */
bool host_pattern_match(const char *pattern, const char *host);
/* Is every host that inner matches matched by outer too? */
bool host_pattern_within(const char *outer, const char *inner);

#endif
