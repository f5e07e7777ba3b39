/* SPDX-License-Identifier: ISC */
/* What for: to tell the ways in apart, and to see that names agree.
 * Trusts: nothing; the courier checks all of it again.
 * At a bound: refuses; never repairs a name. */
#include "egress/gate/way.h"

#include "egress/gate/base_url.h"
#include "scope/path.h"

/* http://host carries no port that would mean anything: what goes out goes
 * out by TLS. */
#define ABSOLUTE_PORT 443

static bool
same(const struct host *a, uint16_t a_port, const struct host *b,
    uint16_t b_port)
{
	return a_port == b_port && strcmp(a->name, b->name) == 0;
}

static bool
is_reserved(const struct host *h)
{
	size_t n = strlen(h->name), m = sizeof(WAY_RESERVED_HOST) - 1;

	return strcmp(h->name, WAY_RESERVED_HOST) == 0 ||
	       (n > m && h->name[n - m - 1] == '.' &&
		   strcmp(h->name + n - m, WAY_RESERVED_HOST) == 0);
}

static enum reason
header_agrees(struct span header, const struct host *host, uint16_t port)
{
	struct host h;
	uint16_t p;

	if (host_parse_authority(header, port, &h, &p) != 0)
		return REASON_BAD_HOST;
	return same(&h, p, host, port) ? REASON_NONE : REASON_NAMES_DISAGREE;
}

/* What every forwarded request must be, whatever its way. */
static enum reason
forwardable(const struct head *h, const struct way *w)
{
	struct target t;

	if (h->upgrade && (!head_upgrades_to_websocket(h) ||
			      h->body != HEAD_BODY_NONE || h->expect))
		return REASON_UNSUPPORTED;
	if (span_is(h->method, "TRACE") || span_is(h->method, "CONNECT"))
		return REASON_UNSUPPORTED;
	return target_parse(w->target, &t) == 0 ? REASON_NONE : REASON_BAD_PATH;
}

static enum reason
connect_way(const struct head *h, struct way *out)
{
	out->kind = WAY_KIND_CONNECT;
	if (host_parse_authority(h->target, 0, &out->host, &out->port) != 0)
		return REASON_BAD_HOST;
	if (is_reserved(&out->host))
		return REASON_NO_GRANT_HOST;
	/* None: HTTP/1.0 (h1_parse.h). A loopback name: Node's http.request()
	 * says whom it connected to, which is us; it names no other host, and
	 * nothing is decided by it. */
	if (out->header_host.n == 0 || base_url_host(out->header_host))
		return REASON_NONE;
	return header_agrees(out->header_host, &out->host, out->port);
}

static enum reason
api_way(struct span target, struct way *out)
{
	out->kind = WAY_KIND_API;
	out->target = target;
	return REASON_NONE;
}

/* http://authority/path */
static enum reason
absolute_way(const struct head *h, struct way *out)
{
	static const char scheme[] = "http://";
	size_t n = sizeof(scheme) - 1;
	enum reason why;

	if (h->target.n <= n || memcmp(h->target.p, scheme, n) != 0)
		return REASON_BAD_REQUEST;
	struct span rest = span_from(h->target, n);
	const uint8_t *slash = memchr(rest.p, '/', rest.n);
	if (slash == NULL)
		return REASON_BAD_PATH;
	struct span authority = span_of(rest.p, (size_t)(slash - rest.p));
	out->target = span_from(rest, authority.n);
	if (host_parse_authority(
		authority, ABSOLUTE_PORT, &out->host, &out->port) != 0)
		return REASON_BAD_HOST;
	if (is_reserved(&out->host)) {
		/* Its port means nothing: it is us. */
		struct host said;
		uint16_t port;
		if (host_parse_authority(out->header_host, 80, &said, &port) !=
			0 ||
		    strcmp(said.name, out->host.name) != 0)
			return REASON_NAMES_DISAGREE;
		return api_way(out->target, out);
	}
	why = header_agrees(out->header_host, &out->host, out->port);
	out->traffic = WAY_ABSOLUTE;
	return why != REASON_NONE ? why : forwardable(h, out);
}

static enum reason
origin_way(const struct head *h, const struct session *s, struct way *out)
{
	struct host said;
	uint16_t port;
	enum reason why;

	if (host_parse_authority(out->header_host, 80, &said, &port) != 0)
		return REASON_BAD_HOST;
	if (is_reserved(&said))
		return api_way(h->target, out);
	if (!base_url_host(out->header_host))
		return REASON_NAMES_DISAGREE;
	out->traffic = WAY_BASE;
	if ((why = base_url_parse(h->target, s, out)) != REASON_NONE)
		return why;
	return forwardable(h, out);
}

enum reason
way_plain(const struct head *h, const struct session *s, struct way *out)
{
	*out = (struct way){.kind = WAY_KIND_FORWARD};
	/* The parser saw one, but for an old CONNECT. */
	(void)head_get(h, "host", &out->header_host);
	if (span_is(h->method, "CONNECT"))
		return h->upgrade ? REASON_UNSUPPORTED : connect_way(h, out);
	if (h->target.p[0] == '/')
		return origin_way(h, s, out);
	return absolute_way(h, out);
}

enum reason
way_intercepted(const struct head *h, const struct host *host, uint16_t port,
    struct way *out)
{
	enum reason why;

	*out = (struct way){.kind = WAY_KIND_FORWARD,
	    .traffic = WAY_INTERCEPT,
	    .host = *host,
	    .port = port,
	    .target = h->target};
	(void)head_get(h, "host", &out->header_host); /* the parser saw one */
	if ((why = header_agrees(out->header_host, host, port)) != REASON_NONE)
		return why;
	return forwardable(h, out);
}
