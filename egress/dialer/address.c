/* SPDX-License-Identifier: ISC */
/* What for: the address rule of the dialer. Trusts: nothing, least of all
 * DNS. At a bound: an address that no row knows is refused. */
#include "egress/dialer/address.h"

#include <arpa/inet.h>
#include <stdio.h>

struct block {
	uint8_t bytes[16];
	unsigned bits;
};

/* RFC 6890 and its registry, multicast and reserved space. */
static const struct block closed_v4[] = {
    {{0}, 8},		  /* this network */
    {{10}, 8},		  /* private */
    {{100, 64}, 10},	  /* carrier-grade NAT */
    {{127}, 8},		  /* loopback */
    {{169, 254}, 16},	  /* link-local, cloud metadata */
    {{172, 16}, 12},	  /* private */
    {{192, 0, 0}, 24},	  /* protocol assignments */
    {{192, 0, 2}, 24},	  /* documentation */
    {{192, 31, 196}, 24}, /* AS112 */
    {{192, 52, 193}, 24}, /* AMT */
    {{192, 88, 99}, 24},  /* 6to4 relays */
    {{192, 168}, 16},	  /* private */
    {{192, 175, 48}, 24}, /* AS112 */
    {{198, 18}, 15},	  /* benchmarking */
    {{198, 51, 100}, 24}, /* documentation */
    {{203, 0, 113}, 24},  /* documentation */
    {{224}, 4},		  /* multicast */
    {{240}, 4},		  /* reserved, broadcast */
};

static const struct block open_v6[] = {
    {{0x20}, 3}, /* global unicast */
};

static const struct block closed_v6[] = {
    {{0x20, 0x01, 0x00}, 23},	    /* protocol assignments, Teredo */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
    {{0x20, 0x02}, 16},		    /* 6to4 */
    {{0x26, 0x20, 0x00, 0x4f, 0x80, 0x00}, 48}, /* AS112 */
    {{0x3f, 0xff}, 20},				/* documentation */
};

static bool
in_block(const uint8_t *p, const struct block *b)
{
	unsigned whole = b->bits / 8, rest = b->bits % 8;

	if (memcmp(p, b->bytes, whole) != 0)
		return false;
	if (rest == 0)
		return true;
	uint8_t mask = (uint8_t)(0xff << (8 - rest));
	return (p[whole] & mask) == (b->bytes[whole] & mask);
}

static bool
in_any(const uint8_t *p, const struct block *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (in_block(p, &b[i]))
			return true;
	}
	return false;
}

#define IN(p, table) in_any((p), (table), sizeof(table) / sizeof((table)[0]))

int
address_check(const union address *a)
{
	if (a->sa.sa_family == AF_INET) {
		uint8_t p[4];
		memcpy(p, &a->v4.sin_addr, sizeof(p));
		return IN(p, closed_v4) ? ERR_DENIED : 0;
	}
	if (a->sa.sa_family == AF_INET6) {
		const uint8_t *p = a->v6.sin6_addr.s6_addr;
		if (a->v6.sin6_scope_id != 0)
			return ERR_DENIED;
		return IN(p, open_v6) && !IN(p, closed_v6) ? 0 : ERR_DENIED;
	}
	return ERR_DENIED;
}

static int
parse_v6(const char *text, uint16_t port, union address *out)
{
	char bare[INET6_ADDRSTRLEN + 2];
	size_t n = strlen(text);
	union address a = {
	    .v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};

	if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	if (span_copy(span_of(text, n), bare, sizeof(bare)) != 0 ||
	    inet_pton(AF_INET6, bare, &a.v6.sin6_addr) != 1)
		return ERR_FORMAT;
	*out = a;
	return 0;
}

int
address_parse(const char *text, uint16_t port, union address *out)
{
	union address a = {
	    .v4 = {.sin_family = AF_INET, .sin_port = htons(port)}};

	if (inet_pton(AF_INET, text, &a.v4.sin_addr) != 1)
		return parse_v6(text, port, out);
	*out = a;
	return 0;
}

socklen_t
address_len(const union address *a)
{
	return a->sa.sa_family == AF_INET6 ? sizeof(a->v6) : sizeof(a->v4);
}

void
address_text(const union address *a, char out[static ADDRESS_TEXT])
{
	char ip[INET6_ADDRSTRLEN];

	if (a->sa.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a->v6.sin6_addr, ip, sizeof(ip));
		(void)snprintf(out, ADDRESS_TEXT, "[%s]:%u", ip,
		    ntohs(a->v6.sin6_port)); /* always fits */
		return;
	}
	inet_ntop(AF_INET, &a->v4.sin_addr, ip, sizeof(ip));
	(void)snprintf(out, ADDRESS_TEXT, "%s:%u", ip,
	    ntohs(a->v4.sin_port)); /* always fits */
}
