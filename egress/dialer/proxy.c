/* SPDX-License-Identifier: ISC */
/* What for: through the proxy or past it. Trusts: the supervisor for what
 * the configuration says, not for its form. At a bound: ERR_FORMAT, and
 * nothing is dialled. */
#include "egress/dialer/proxy.h"

#include "egress/dialer/address.h"

#include <string.h>

int
proxy_take(const struct ctl_proxy *m, struct proxy *out)
{
	struct proxy p = {.kind = m->kind, .port = m->port};
	int r;

	if (m->kind > CTL_PROXY_SOCKS5)
		return ERR_FORMAT;
	if (m->kind != CTL_PROXY_NONE) {
		if (m->port == 0 || host_parse(m->host, &p.host) != 0)
			return ERR_FORMAT;
		if ((r = span_copy(m->no_proxy, p.past, sizeof(p.past))) != 0)
			return r;
	}
	*out = p;
	return 0;
}

/* Is name equal to the pattern, or below its "*."? */
static bool
matches(struct span pattern, const char *name)
{
	struct span s = span_str(name);

	if (pattern.n < 2 || pattern.p[0] != '*')
		return span_eq(pattern, s);
	pattern = span_from(pattern, 1); /* with its dot */
	return s.n > pattern.n &&
	       span_eq(span_from(s, s.n - pattern.n), pattern);
}

static bool
goes_past(const struct proxy *p, const char *name)
{
	const char *line = p->past;

	while (*line != '\0') {
		size_t n = strcspn(line, "\n");
		if (matches(span_of(line, n), name))
			return true;
		line += n + (line[n] == '\n');
	}
	return false;
}

/* The proxy would connect to itself (RFC 6761, 6.3). */
static bool
is_localhost(const char *name)
{
	return matches(span_str("localhost"), name) ||
	       matches(span_str("*.localhost"), name);
}

enum proxy_way
proxy_way(const struct proxy *p, const struct host *h)
{
	union address a;

	if (p->kind == CTL_PROXY_NONE || goes_past(p, h->name))
		return PROXY_DIRECT;
	if (!h->is_ip)
		return is_localhost(h->name) ? PROXY_FORBIDDEN : PROXY_THROUGH;
	if (address_parse(h->name, 0, &a) != 0 || address_check(&a) != 0)
		return PROXY_FORBIDDEN;
	return PROXY_THROUGH;
}
