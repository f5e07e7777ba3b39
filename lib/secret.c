/* SPDX-License-Identifier: ISC */
/* What for: locked, wiped bytes. Trusts: libsodium's guarded heap, but
 * checks the lock itself, which that heap does not report. At a bound:
 * refuses. */
#include "lib/secret.h"

#include <sodium.h>
#include <stdlib.h>

struct keep {
	uint8_t *p;
	size_t n;
};

int
keep_blank(size_t n, struct keep **out)
{
	struct keep *s;

	if (n == 0 || n > KEEP_MAX)
		return ERR_TOO_BIG;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return ERR_NOMEM;
	s->p = sodium_malloc(n);
	/* A second mlock() of locked pages is free, and it reports. */
	if (s->p == NULL || sodium_mlock(s->p, n) != 0) {
		sodium_free(s->p);
		free(s);
		return ERR_NOMEM;
	}
	memset(s->p, 0, n);
	s->n = n;
	*out = s;
	return 0;
}

int
keep_new(const void *p, size_t n, struct keep **out)
{
	struct keep *s = NULL;
	int r = keep_blank(n, &s);

	if (r != 0)
		return r;
	memcpy(s->p, p, n);
	*out = s;
	return 0;
}

int
keep_random(size_t n, struct keep **out)
{
	struct keep *s = NULL;
	int r = keep_blank(n, &s);

	if (r != 0)
		return r;
	randombytes_buf(s->p, n);
	*out = s;
	return 0;
}

int
keep_copy(const struct keep *s, struct keep **out)
{
	return keep_new(s->p, s->n, out);
}

void
keep_free(struct keep *s)
{
	if (s == NULL)
		return;
	sodium_free(s->p); /* wipes */
	free(s);
}

struct span
keep_reveal(const struct keep *s)
{
	return span_of(s->p, s->n);
}

uint8_t *
keep_bytes(struct keep *s)
{
	return s->p;
}

size_t
keep_len(const struct keep *s)
{
	return s->n;
}

bool
keep_span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || sodium_memcmp(a.p, b.p, a.n) == 0);
}

bool
keep_eq(const struct keep *a, struct span b)
{
	return keep_span_eq(keep_reveal(a), b);
}
