/* SPDX-License-Identifier: ISC */
/* What for: sentences about bad input. Trusts: its format strings, nothing
 * else. At a bound: the sentence is cut. */
#include "scope/why.h"

#include "lib/log.h"

#include <stdarg.h>
#include <stdio.h>

int
why_say(char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	if (why == NULL || size == 0)
		return ERR_FORMAT;
	va_start(ap, fmt);
	if (vsnprintf(why, size, fmt, ap) < 0)
		why[0] = '\0';
	va_end(ap);
	return ERR_FORMAT;
}

struct why_text
why_escape(const char *foreign)
{
	struct why_text t = {{0}};

	log_escape(span_str(foreign), t.text, sizeof(t.text));
	return t;
}
