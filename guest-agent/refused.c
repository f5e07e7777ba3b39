/* SPDX-License-Identifier: ISC */
/*
 * Reads the beginning of an answer.
 * Trusts nothing in it: an upstream that plays the gate's answer gets its
 * own request twice, and no more.
 * A head over REFUSED_HEAD is an ordinary answer.
 */
#include "guest-agent/refused.h"

#include <string.h>
#include <strings.h>

static const char line_407[] = "HTTP/1.1 407 ";
static const char field[] = "proxy-status: hatcheck; ";

enum refused
refused_look(const char *p, size_t n)
{
	const size_t s = sizeof(line_407) - 1, f = sizeof(field) - 1;
	const char *end, *line;

	if (n > REFUSED_HEAD)
		n = REFUSED_HEAD;
	if (memcmp(p, line_407, n < s ? n : s) != 0)
		return REFUSED_NO;
	end = n < s ? NULL : memmem(p, n, "\r\n\r\n", 4);
	if (end == NULL)
		return n < REFUSED_HEAD ? REFUSED_MORE : REFUSED_NO;
	for (line = p; line < end; line += 2) {
		line = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
		if (line == NULL)
			break;
		if ((size_t)(end - line) >= f + 2 &&
		    strncasecmp(line + 2, field, f) == 0)
			return REFUSED_YES;
	}
	return REFUSED_NO;
}
