/* SPDX-License-Identifier: ISC */
/* What for: to find the session token in the bytes of a guest.
 * Trusts: nothing; whether the token is any good is tokens.h's to say.
 * At a bound: ERR_TOO_BIG or ERR_FORMAT. */
#include "egress/gate/attach.h"

#include "egress/gate/limits.h"
#include "lib/buf.h"

#include <sodium.h>

static const char word[] = "ATTACH ";
#define WORD (sizeof(word) - 1)

static bool
is_token_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

static bool
is_token_text(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_token_byte(s.p[i]))
			return false;
	}
	return s.n > 0 && s.n <= ATTACH_TOKEN_MAX;
}

int
attach_parse(struct span in, struct span *token, size_t *used)
{
	size_t n = in.n < WORD ? in.n : WORD;
	const uint8_t *lf;

	if (n > 0 && memcmp(in.p, word, n) != 0)
		return ERR_NOT_FOUND;
	if (n < WORD)
		return ERR_TRUNCATED;
	size_t look = in.n < LIMIT_ATTACH ? in.n : LIMIT_ATTACH;
	if ((lf = memchr(in.p, '\n', look)) == NULL)
		return look == LIMIT_ATTACH ? ERR_TOO_BIG : ERR_TRUNCATED;
	size_t line = (size_t)(lf - in.p) + 1;
	struct span t = span_of(in.p + WORD, line - WORD - 1);
	*used = line;
	if (t.n < 2 || t.p[t.n - 1] != '\r')
		return ERR_FORMAT;
	t.n--;
	if (!is_token_text(t))
		return ERR_FORMAT;
	*token = t;
	return 0;
}

static bool
take_scheme(struct span *value, const char *scheme)
{
	size_t n = strlen(scheme);

	if (value->n <= n || value->p[n] != ' ' ||
	    !span_caseeq(span_of(value->p, n), span_str(scheme)))
		return false;
	*value = span_from(*value, n + 1);
	return true;
}

static int
from_basic(struct span value, char out[static ATTACH_TOKEN_MAX + 1])
{
	uint8_t plain[ATTACH_TOKEN_MAX + 256];
	size_t n;
	int r = ERR_FORMAT;

	if (sodium_base642bin(plain, sizeof(plain), (const char *)value.p,
		value.n, NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		return ERR_FORMAT;
	const uint8_t *colon = memchr(plain, ':', n);
	if (colon != NULL) {
		struct span t =
		    span_from(span_of(plain, n), (size_t)(colon - plain) + 1);
		if (is_token_text(t))
			r = span_copy(t, out, ATTACH_TOKEN_MAX + 1);
	}
	buf_wipe(plain, sizeof(plain));
	return r;
}

int
attach_from_header(struct span value, char out[static ATTACH_TOKEN_MAX + 1])
{
	if (take_scheme(&value, "Bearer"))
		return is_token_text(value)
			   ? span_copy(value, out, ATTACH_TOKEN_MAX + 1)
			   : ERR_FORMAT;
	return take_scheme(&value, "Basic") ? from_basic(value, out)
					    : ERR_FORMAT;
}
