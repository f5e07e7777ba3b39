/* SPDX-License-Identifier: ISC */
/* What for: the words of proxy: in hatcheckd.yaml. Trusts: nothing. At a
 * bound: says what is wrong. */
#include "supervisor/proxy.h"

#include <stdio.h>

#define LABEL_MAX 63
#define SAY "next: say http://HOST:PORT or socks5://HOST:PORT"

static bool
is_label(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		bool inner = c == '-' && i > 0 && i + 1 < s.n;
		if (!inner && !(c >= 'a' && c <= 'z') &&
		    !(c >= '0' && c <= '9'))
			return false;
	}
	return s.n > 0 && s.n <= LABEL_MAX;
}

static bool
is_name(struct span s)
{
	for (;;) {
		const uint8_t *dot = s.n == 0 ? NULL : memchr(s.p, '.', s.n);
		size_t n = dot == NULL ? s.n : (size_t)(dot - s.p);
		if (!is_label(span_of(s.p, n)))
			return false;
		if (dot == NULL)
			return true;
		s = span_from(s, n + 1);
	}
}

static bool
is_bracketed(struct span s)
{
	static const char plain[] = "0123456789abcdef:.";

	if (s.n < 4 || s.p[0] != '[' || s.p[s.n - 1] != ']')
		return false;
	for (size_t i = 1; i + 1 < s.n; i++) {
		if (memchr(plain, s.p[i], sizeof(plain) - 1) == NULL)
			return false;
	}
	return true;
}

static bool
is_host(struct span s)
{
	return s.n < sizeof(((struct proxy *)NULL)->host) &&
	       (is_name(s) || is_bracketed(s));
}

static int
complain(char *why, size_t size, const char *what)
{
	(void)snprintf(why, size, "%s; " SAY, what); /* cut is fine */
	return ERR_FORMAT;
}

static int
take_scheme(struct span *s, enum ctl_proxy_kind *kind)
{
	static const struct {
		const char *scheme;
		enum ctl_proxy_kind kind;
	} schemes[] = {
	    {"http://", CTL_PROXY_HTTP}, {"socks5://", CTL_PROXY_SOCKS5}};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		struct span x = span_str(schemes[i].scheme);
		if (s->n > x.n && span_eq(span_of(s->p, x.n), x)) {
			*s = span_from(*s, x.n);
			*kind = schemes[i].kind;
			return 0;
		}
	}
	return ERR_FORMAT;
}

int
proxy_url(const char *url, struct proxy *out, char *why, size_t size)
{
	struct span s = span_str(url);
	enum ctl_proxy_kind kind;
	uint64_t port = 0;

	if (take_scheme(&s, &kind) != 0)
		return complain(why, size, "it is neither http nor socks5");
	if (s.n > 0 && s.p[s.n - 1] == '/')
		s.n--;
	if (memchr(s.p, '@', s.n) != NULL)
		return complain(why, size,
		    "a proxy that asks for a password cannot be used: it "
		    "would be a credential in a file");
	const uint8_t *colon = s.n == 0 ? NULL : memrchr(s.p, ':', s.n);
	if (colon == NULL)
		return complain(why, size, "it has no port");
	struct span host = span_of(s.p, (size_t)(colon - s.p));
	s = span_from(s, host.n + 1);
	if (s.n == 0 || s.p[0] == '0' || span_u64(s, UINT16_MAX, &port) != 0)
		return complain(why, size, "its port is 1 to 65535");
	if (!is_host(host))
		return complain(why, size,
		    "its host is a name in lower case or an address, IPv6 in "
		    "brackets");
	out->kind = kind;
	out->port = (uint16_t)port;
	return span_copy(host, out->host, sizeof(out->host));
}

int
proxy_past(const char *pattern, struct proxy *out, char *why, size_t size)
{
	struct span s = span_str(pattern);
	size_t used = strlen(out->past);

	if (s.n > 2 && s.p[0] == '*' && s.p[1] == '.')
		s = span_from(s, 2);
	if (!is_host(s)) {
		(void)snprintf(why, size,
		    "no_proxy has \"%.64s\"; next: say names in lower case, "
		    "or *.NAME for all below one",
		    pattern); /* cut is fine */
		return ERR_FORMAT;
	}
	int n = snprintf(out->past + used, sizeof(out->past) - used, "%s%s",
	    used == 0 ? "" : "\n", pattern);
	if (n > 0 && (size_t)n < sizeof(out->past) - used)
		return 0;
	(void)snprintf(
	    why, size, "no_proxy is longer than %d bytes", CTL_NO_PROXY_MAX);
	return ERR_TOO_BIG;
}

struct ctl_proxy
proxy_message(const struct proxy *p)
{
	return (struct ctl_proxy){.kind = (uint8_t)p->kind,
	    .host = span_str(p->host),
	    .port = p->port,
	    .no_proxy = span_str(p->past)};
}
