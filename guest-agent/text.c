/* SPDX-License-Identifier: ISC */
/*
 * Growable text, and words to people on stderr.
 * Trusts nothing about what is added; people see foreign bytes as "?".
 * At its limit a text is marked bad; without memory the program ends.
 */
#include "guest-agent/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_LIMIT (1024 * 1024)

static void
text_grow(struct text *t, size_t more)
{
	size_t size = t->size ? t->size : 256;
	char *p;

	while (size < t->n + more + 1)
		size *= 2;
	if (size == t->size)
		return;
	/* Not realloc: what is left behind must be wiped. */
	p = malloc(size);
	if (p == NULL)
		die(EXIT_FAILED, "out of memory");
	if (t->p != NULL) {
		memcpy(p, t->p, t->n);
		text_wipe(t->p, t->size);
		free(t->p);
	}
	t->p = p;
	t->size = size;
}

void
text_add(struct text *t, const void *p, size_t n)
{
	size_t limit = t->limit ? t->limit : TEXT_LIMIT;

	if (t->bad || n > limit || t->n > limit - n) {
		t->bad = true;
		return;
	}
	text_grow(t, n);
	if (n > 0)
		memcpy(t->p + t->n, p, n);
	t->n += n;
	t->p[t->n] = '\0';
}

void
text_addf(struct text *t, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		die(EXIT_FAILED, "out of memory");
	text_add(t, s, (size_t)n);
	text_wipe(s, (size_t)n);
	free(s);
}

void
text_add_form(struct text *t, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c < 128 && isalnum(c)) || strchr("-._~", c) != NULL)
			text_add(t, s, 1);
		else
			text_add(t, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
	}
}

void
text_consume(struct text *t, size_t n)
{
	memmove(t->p, t->p + n, t->n - n);
	t->n -= n;
	t->p[t->n] = '\0';
}

void
text_free(struct text *t)
{
	if (t->p != NULL)
		text_wipe(t->p, t->size);
	free(t->p);
	*t = (struct text){.limit = t->limit};
}

char *
text_copy(const char *p, size_t n)
{
	char *copy = malloc(n + 1);

	if (copy == NULL)
		die(EXIT_FAILED, "out of memory");
	memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

void
text_wipe(void *p, size_t n)
{
	explicit_bzero(p, n);
}

void
text_print(const char *s)
{
	for (; *s != '\0'; s++)
		putchar(*s < ' ' || *s > '~' ? '?' : *s);
}

void
text_print_json(const char *s)
{
	putchar('"');
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if ((unsigned char)*s < ' ')
			printf("\\u%04x", (unsigned char)*s);
		else
			putchar(*s);
	}
	putchar('"');
}

static void __attribute__((format(printf, 1, 0)))
say(const char *fmt, va_list ap)
{
	char line[1024];
	int n = vsnprintf(line, sizeof(line), fmt, ap);

	if (n < 0)
		return;
	for (char *p = line; *p != '\0'; p++)
		if ((*p < ' ' && *p != '\n') || *p > '~')
			*p = '?';
	fprintf(stderr, "hatcheck-guest: %s\n", line);
}

void
warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

void
die(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	exit(status);
}
