/* SPDX-License-Identifier: ISC */
/* What for: the opening handshake of WebSockets. Trusts: nothing. At a bound:
 * ERR_FORMAT, and the socket does not open. */
#include "egress/courier/ws_open.h"

#include "messages/traffic.h"

#include <openssl/sha.h>
#include <sodium.h>
#include <stdio.h>

#define KEY_BYTES 16
#define ACCEPT_MAX                 \
	sodium_base64_ENCODED_LEN( \
	    SHA_DIGEST_LENGTH, sodium_base64_VARIANT_ORIGINAL)

static int
wrong(const char **why, const char *what)
{
	*why = what;
	return ERR_FORMAT;
}

/* How many fields have this name; the last one's value. */
static size_t
look(struct span headers, const char *name, struct span *value)
{
	struct span n, v;
	size_t count = 0;

	while (headers_next(&headers, &n, &v) == 0) {
		if (!span_is(n, name))
			continue;
		*value = v;
		count++;
	}
	return count;
}

static bool
is_key(struct span s)
{
	uint8_t bytes[KEY_BYTES + 2];
	size_t n = 0;

	return sodium_base642bin(bytes, sizeof(bytes), (const char *)s.p, s.n,
		   NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) == 0 &&
	       n == KEY_BYTES;
}

int
ws_open_request(struct span method, struct span headers,
    char key[static WS_KEY_MAX], const char **why)
{
	struct span k = {0}, version = {0};

	if (!span_is(method, "GET"))
		return wrong(why, "A WebSocket is opened by GET.");
	if (look(headers, "sec-websocket-version", &version) != 1 ||
	    !span_is(version, "13"))
		return wrong(why, "Only version 13 of WebSocket is spoken.");
	if (look(headers, "sec-websocket-key", &k) != 1 || !is_key(k))
		return wrong(why, "Sec-WebSocket-Key is not one key.");
	return span_copy(k, key, WS_KEY_MAX);
}

bool
ws_open_drops(struct span name)
{
	return span_is(name, "sec-websocket-extensions");
}

int
ws_open_add(struct head *h)
{
	h->upgrade = true;
	return head_add(h, span_str("upgrade"), span_str("websocket"));
}

static bool
is_accept(struct span got, const char *key)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t digest[SHA_DIGEST_LENGTH];
	char all[WS_KEY_MAX + sizeof(guid)], accept[ACCEPT_MAX];
	int n = snprintf(all, sizeof(all), "%s%s", key, guid);

	(void)SHA1((const uint8_t *)all, (size_t)n, digest);
	sodium_bin2base64(accept, sizeof(accept), digest, sizeof(digest),
	    sodium_base64_VARIANT_ORIGINAL);
	return span_is(got, accept);
}

/* Was this one offered? None was chosen: nothing is to be asked. */
static bool
protocol_fits(const struct head *h, struct span headers)
{
	struct span chosen = {0}, name, list, member;

	if (head_count(h, "sec-websocket-protocol") == 0)
		return true;
	if (head_count(h, "sec-websocket-protocol") > 1)
		return false;
	(void)head_get(h, "sec-websocket-protocol", &chosen); /* it is there */
	while (headers_next(&headers, &name, &list) == 0) {
		if (!span_is(name, "sec-websocket-protocol"))
			continue;
		while (head_list_next(&list, &member)) {
			if (span_eq(member, chosen))
				return true;
		}
	}
	return false;
}

int
ws_open_answer(const struct head *h, const char *key, struct span headers,
    const char **why)
{
	struct span accept = {0};

	if (!head_upgrades_to_websocket(h))
		return wrong(why, "upgraded to something else");
	if (head_count(h, "sec-websocket-accept") != 1 ||
	    !head_get(h, "sec-websocket-accept", &accept) ||
	    !is_accept(accept, key))
		return wrong(why, "Sec-WebSocket-Accept answers another key");
	if (head_count(h, "sec-websocket-extensions") != 0)
		return wrong(
		    why, "a WebSocket extension that nobody asked for");
	if (!protocol_fits(h, headers))
		return wrong(why, "a WebSocket protocol that nobody offered");
	return 0;
}
