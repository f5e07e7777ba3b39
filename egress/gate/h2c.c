/* SPDX-License-Identifier: ISC */
/* What for: to tell clients of h2c that it is not spoken.
 * Trusts: nothing. At a bound: there is none. */
#include "egress/gate/h2c.h"

/* The first line is enough: no other protocol begins like it. */
#define PREFACE "PRI * HTTP/2.0\r\n"

int
h2c_look(struct span in)
{
	struct span want = span_str(PREFACE);
	size_t n = in.n < want.n ? in.n : want.n;

	if (n == 0 || memcmp(in.p, want.p, n) != 0)
		return ERR_NOT_FOUND;
	return n < want.n ? ERR_TRUNCATED : 0;
}

struct span
h2c_refusal(void)
{
#define WORDS "HTTP/2 is spoken within TLS only"
	static const char frames[] =
	    "\0\0\0\4\0\0\0\0\0"   /* SETTINGS, empty */
	    "\0\0\x28\7\0\0\0\0\0" /* GOAWAY, 8 bytes and the words */
	    "\0\0\0\0\0\0\0\x0d" WORDS;

	_Static_assert(sizeof(WORDS) - 1 + 8 == 0x28, "length of GOAWAY");
	return span_of(frames, sizeof(frames) - 1);
}
