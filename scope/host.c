/* SPDX-License-Identifier: ISC */
/* What for: one canonical form of host names. Trusts: the system's IP
 * parsers only together with their printers; libpsl's built-in list. At a
 * bound: ERR_FORMAT. */
#include "scope/host.h"

#include <arpa/inet.h>
#include <libpsl.h>
#include <stdio.h>

#define LABEL_MAX 63

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Letters, digits and hyphens; upper case is lowered. 0: no such byte. */
static char
host_byte(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	if ((c >= 'a' && c <= 'z') || is_digit((char)c) || c == '-')
		return (char)c;
	return 0;
}

/* The labels of name (lowered, without trailing dot) are well-formed. */
static bool
labels_good(const char *name)
{
	for (;;) {
		size_t n = strcspn(name, ".");

		if (n == 0 || n > LABEL_MAX)
			return false;
		if (name[0] == '-' || name[n - 1] == '-')
			return false;
		if (name[n] == '\0')
			return true;
		name += n + 1;
	}
}

/* Would inet_aton() or a browser read this last label as a number? */
static bool
looks_numeric(const char *label)
{
	if (label[0] == '0' && label[1] == 'x')
		return label[2 + strspn(label + 2, "0123456789abcdef")] == '\0';
	return label[strspn(label, "0123456789")] == '\0';
}

/* Only the plain form comes back out of the printer as it went in. */
static bool
is_plain_ip(int family, const char *text)
{
	unsigned char address[16];
	char again[INET6_ADDRSTRLEN];

	return inet_pton(family, text, address) == 1 &&
	       inet_ntop(family, address, again, sizeof(again)) != NULL &&
	       strcmp(text, again) == 0;
}

/* Bracketed. Mapped and compatible forms (those with a dot) are a second
 * spelling of an IPv4 address: refused. */
static int
parse_ipv6(struct span in, struct host *out)
{
	char text[INET6_ADDRSTRLEN];
	size_t n = in.n - 2;

	if (in.p[in.n - 1] != ']' || n == 0 || n >= sizeof(text))
		return ERR_FORMAT;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = in.p[i + 1];

		text[i] = c == ':' ? ':' : host_byte(c);
		if (text[i] == 0)
			return ERR_FORMAT;
	}
	text[n] = '\0';
	if (!is_plain_ip(AF_INET6, text))
		return ERR_FORMAT;
	(void)snprintf(out->name, sizeof(out->name), "[%s]", text);
	out->is_ip = true;
	return 0;
}

static int
parse_name(struct span in, struct host *out)
{
	char name[HOST_MAX];
	bool dot = in.p[in.n - 1] == '.';
	size_t n = in.n - dot;

	if (n == 0 || n >= sizeof(name))
		return ERR_FORMAT;
	for (size_t i = 0; i < n; i++) {
		name[i] = in.p[i] == '.' ? '.' : host_byte(in.p[i]);
		if (name[i] == 0)
			return ERR_FORMAT;
	}
	name[n] = '\0';
	if (!labels_good(name))
		return ERR_FORMAT;
	const char *last = strrchr(name, '.');
	bool numeric = looks_numeric(last == NULL ? name : last + 1);
	/* A dotted quad has no trailing dot: that would be a name. */
	if (numeric && (dot || !is_plain_ip(AF_INET, name)))
		return ERR_FORMAT;
	memcpy(out->name, name, n + 1);
	out->is_ip = numeric;
	return 0;
}

int
host_parse(struct span in, struct host *out)
{
	if (in.n == 0 || in.n > HOST_MAX)
		return ERR_FORMAT;
	return in.p[0] == '[' ? (in.n < 3 ? ERR_FORMAT : parse_ipv6(in, out))
			      : parse_name(in, out);
}

static int
parse_port(struct span in, uint16_t *out)
{
	uint64_t v = 0;

	if (span_u64(in, 65535, &v) != 0 || v == 0)
		return ERR_FORMAT;
	*out = (uint16_t)v;
	return 0;
}

/* Where the port's colon is; in.n when there is none. */
static size_t
colon_at(struct span in)
{
	size_t i = 0;

	if (in.n > 0 && in.p[0] == '[') {
		while (i < in.n && in.p[i] != ']')
			i++;
	}
	while (i < in.n && in.p[i] != ':')
		i++;
	return i;
}

int
host_parse_authority(
    struct span in, uint16_t default_port, struct host *host, uint16_t *port)
{
	size_t colon = colon_at(in);
	uint16_t p = default_port;
	struct host h;

	if (colon == in.n && default_port == 0)
		return ERR_FORMAT;
	if (colon < in.n &&
	    parse_port(span_of(in.p + colon + 1, in.n - colon - 1), &p) != 0)
		return ERR_FORMAT;
	if (host_parse(span_of(in.p, colon), &h) != 0)
		return ERR_FORMAT;
	*host = h;
	*port = p;
	return 0;
}

/* Are names one label below `name` other people's? True for a public
 * suffix, and for one whose children are suffixes. Without a list: true. */
static bool
shared_parent(const char *name)
{
	const psl_ctx_t *list = psl_builtin();
	char child[HOST_MAX + 8];

	(void)snprintf(child, sizeof(child), "probe.%s", name);
	return list == NULL || psl_is_public_suffix(list, name) ||
	       psl_is_public_suffix(list, child);
}

int
host_pattern_parse(struct span in, char out[static HOST_MAX])
{
	struct host h;
	bool wild = in.n > 2 && in.p[0] == '*' && in.p[1] == '.';

	if (host_parse(wild ? span_from(in, 2) : in, &h) != 0)
		return ERR_FORMAT;
	if (!wild) {
		memcpy(out, h.name, sizeof(h.name));
		return 0;
	}
	/* A label and a dot must still fit before it. */
	if (h.is_ip || strchr(h.name, '.') == NULL ||
	    strlen(h.name) + 2 >= HOST_MAX || shared_parent(h.name))
		return ERR_FORMAT;
	(void)snprintf(out, HOST_MAX, "*.%.*s", HOST_MAX - 3, h.name);
	return 0;
}

bool
host_pattern_match(const char *pattern, const char *host)
{
	const char *dot;

	if (pattern[0] != '*')
		return strcmp(pattern, host) == 0;
	dot = strchr(host, '.');
	return dot != NULL && dot != host && host[0] != '*' &&
	       strcmp(pattern + 1, dot) == 0;
}

bool
host_pattern_within(const char *outer, const char *inner)
{
	return strcmp(outer, inner) == 0 || host_pattern_match(outer, inner);
}
