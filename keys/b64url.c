/* SPDX-License-Identifier: ISC */
/* What for: base64url as JOSE has it, one spelling for each value. Trusts:
 * libsodium to refuse stray bits and padding, but not with bytes above
 * 0x7f, which its 1.0.18 takes for letters. At a bound: ERR_TOO_BIG,
 * ERR_FORMAT. */
#include "keys/signing.h"

#include <sodium.h>

#define VARIANT sodium_base64_VARIANT_URLSAFE_NO_PADDING

int
b64url_put(struct span in, struct buf *out)
{
	size_t n = sodium_base64_ENCODED_LEN(in.n, VARIANT);
	uint8_t *to = NULL;
	int r;

	if (in.n == 0)
		return 0;
	if ((r = buf_reserve(out, n, &to)) != 0)
		return r;
	if (sodium_bin2base64((char *)to, n, in.p, in.n, VARIANT) == NULL)
		return ERR_FORMAT;
	buf_claim(out, n - 1); /* it ends with NUL */
	return 0;
}

static bool
is_letter(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '_';
}

int
b64url_get(struct span in, uint8_t *out, size_t size, size_t *n)
{
	size_t got = 0;
	const char *end = NULL;

	if (in.n == 0) {
		*n = 0;
		return 0;
	}
	if (in.n / 4 * 3 > size)
		return ERR_TOO_BIG;
	for (size_t i = 0; i < in.n; i++) {
		if (!is_letter(in.p[i]))
			return ERR_FORMAT;
	}
	if (sodium_base642bin(out, size, (const char *)in.p, in.n, NULL, &got,
		&end, VARIANT) != 0 ||
	    end != (const char *)in.p + in.n)
		return ERR_FORMAT;
	*n = got;
	return 0;
}
