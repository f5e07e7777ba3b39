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

static const struct {
	const char *line;
	enum refused meaning;
	const char *detail; /* what the field must say, too; NULL: anything */
} answers[] = {
    {"HTTP/1.1 407 ", REFUSED_YES, NULL},
    {"HTTP/1.1 503 ", REFUSED_LATER, "details=\"not-ready\""},
};

#define LINE 13 /* bytes of each line above */

static const char field[] = "proxy-status: hatcheck; ";

/* The gate's own field, up to its end; NULL: there is none. */
static const char *
find_field(const char *p, const char *end, size_t *n)
{
	const size_t f = sizeof(field) - 1;
	const char *line, *next;

	for (line = p; line < end; line = next) {
		line = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
		if (line == NULL || line == end)
			break;
		line += 2;
		next = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
		*n = (size_t)(next - line);
		if (*n >= f && strncasecmp(line, field, f) == 0)
			return line;
	}
	return NULL;
}

enum refused
refused_look(const char *p, size_t n)
{
	const size_t all = sizeof(answers) / sizeof(answers[0]);
	const char *end, *line;
	size_t i = 0, size;

	if (n > REFUSED_HEAD)
		n = REFUSED_HEAD;
	while (i < all && memcmp(p, answers[i].line, n < LINE ? n : LINE) != 0)
		i++;
	if (i == all)
		return REFUSED_NO;
	end = n < LINE ? NULL : memmem(p, n, "\r\n\r\n", 4);
	if (end == NULL)
		return n < REFUSED_HEAD ? REFUSED_MORE : REFUSED_NO;
	line = find_field(p, end, &size);
	if (line == NULL || (answers[i].detail != NULL &&
				memmem(line, size, answers[i].detail,
				    strlen(answers[i].detail)) == NULL))
		return REFUSED_NO;
	return answers[i].meaning;
}
