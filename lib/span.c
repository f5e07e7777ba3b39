/* SPDX-License-Identifier: ISC */
/* What for: helpers on borrowed bytes. Trusts: its caller for the extent.
 * At a bound: refuses, never cuts. */
#include "lib/span.h"

#include "lib/err.h"

#include <stdlib.h>

static uint8_t
lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

bool
span_caseeq(struct span a, struct span b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	}
	return true;
}

char *
span_dup(struct span a)
{
	if (a.n != 0 && memchr(a.p, 0, a.n) != NULL)
		return NULL;
	char *s = malloc(a.n + 1);
	if (s == NULL)
		return NULL;
	if (a.n != 0)
		memcpy(s, a.p, a.n);
	s[a.n] = '\0';
	return s;
}

int
span_copy(struct span a, char *out, size_t size)
{
	if (a.n >= size)
		return ERR_TOO_BIG;
	if (a.n != 0 && memchr(a.p, 0, a.n) != NULL)
		return ERR_FORMAT;
	if (a.n != 0)
		memcpy(out, a.p, a.n);
	out[a.n] = '\0';
	return 0;
}

int
span_u64(struct span a, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (a.n == 0 || (a.n > 1 && a.p[0] == '0'))
		return ERR_FORMAT;
	for (size_t i = 0; i < a.n; i++) {
		if (a.p[i] < '0' || a.p[i] > '9')
			return ERR_FORMAT;
		uint64_t digit = (uint64_t)(a.p[i] - '0');
		if (v > (UINT64_MAX - digit) / 10)
			return ERR_TOO_BIG;
		v = v * 10 + digit;
	}
	if (v > max)
		return ERR_TOO_BIG;
	*out = v;
	return 0;
}
