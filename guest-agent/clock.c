/* SPDX-License-Identifier: ISC */
/*
 * Reads the time out of a token, unverified: it comes from the host.
 * Trusts nothing in it but that number, which is only told.
 * A payload over the limit has no time.
 */
#include "guest-agent/clock.h"

#include "guest-agent/json.h"

#include <string.h>
#include <time.h>

#define PAYLOAD 3072

/* base64url without padding (RFC 7515); the bytes, 0 when it is none. */
static size_t
decode(const char *s, size_t n, char out[static PAYLOAD])
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned bits = 0, have = 0;
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		const char *at = memchr(set, s[i], sizeof(set) - 1);

		if (at == NULL || len == PAYLOAD)
			return 0;
		bits = (bits << 6 | (unsigned)(at - set)) & 0xffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[len++] = (char)(bits >> have);
		}
	}
	return len;
}

bool
clock_ahead(const char *token, long long *seconds)
{
	const char *payload = strchr(token, '.'), *end;
	char text[PAYLOAD];
	struct json *doc;
	struct timespec now;
	long long iat;
	bool good;

	end = payload == NULL ? NULL : strchr(payload + 1, '.');
	if (end == NULL)
		return false;
	doc = json_parse(
	    text, decode(payload + 1, (size_t)(end - payload - 1), text));
	good = json_integer(json_get(doc, "iat"), &iat);
	json_free(doc);
	clock_gettime(CLOCK_REALTIME, &now);
	if (good)
		*seconds = now.tv_sec - iat;
	return good;
}
