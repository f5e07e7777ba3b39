/* SPDX-License-Identifier: ISC */
/* What for: requests that name a grant instead of a host.
 * Trusts: the session for what the names mean.
 * At a bound: the target's own limit. */
#include "egress/gate/base_url.h"

#include "lib/secret.h"

bool
base_url_host(struct span header_host)
{
	struct host h;
	uint16_t port;

	if (host_parse_authority(header_host, 80, &h, &port) != 0)
		return false;
	return strcmp(h.name, "127.0.0.1") == 0 ||
	       strcmp(h.name, "localhost") == 0 || strcmp(h.name, "[::1]") == 0;
}

/* The segment after the "/" at the front of *s, which is moved behind it. */
static struct span
segment(struct span *s)
{
	size_t n = 1;

	if (s->n == 0 || s->p[0] != '/')
		return (struct span){0};
	while (n < s->n && s->p[n] != '/' && s->p[n] != '?')
		n++;
	struct span out = span_of(s->p + 1, n - 1);
	*s = span_from(*s, n);
	return out;
}

enum reason
base_url_parse(struct span target, const struct session *s, struct way *out)
{
	static const uint8_t root[] = "/";
	struct span random = segment(&target), name = segment(&target);
	bool good =
	    s->random[0] != '\0' && keep_span_eq(random, span_str(s->random));
	const struct session_base *b = session_base_find(s, name);

	if (!good || b == NULL)
		return REASON_NOT_FOUND;
	if (target.n == 0)
		target = span_of(root, 1);
	if (target.p[0] != '/')
		return REASON_BAD_PATH;
	out->host = b->host;
	out->port = b->port;
	out->grant = span_str(b->grant);
	out->target = target;
	return REASON_NONE;
}
