/* SPDX-License-Identifier: ISC */
/*
 * Growable text and plain words to people. Text is always NUL-terminated
 * once something was added; what would cross its limit marks it bad, and
 * stays out. Memory that is out ends the program: the bridge, which must
 * not end, allocates for itself.
 *
 *	struct text t = {.limit = 4096};
 *	text_addf(&t, "GET %s\r\n", path);
 *	if (t.bad) ...
 *	text_free(&t);
 */
#ifndef GUEST_TEXT_H
#define GUEST_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
	char *p;
	size_t n;
	size_t limit; /* 0: 1 MiB */
	bool bad;
	size_t size;
};

void text_add(struct text *t, const void *p, size_t n);
void text_addf(struct text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Percent-encode all but RFC 3986's unreserved characters. */
void text_add_form(struct text *t, const char *s);
void text_consume(struct text *t, size_t n);
/* Wipes: a token may have been in it. */
void text_free(struct text *t);
/* An owned copy; never NULL. */
char *text_copy(const char *p, size_t n);
void text_wipe(void *p, size_t n);
/* s to stdout, bytes outside printable ASCII shown as ?. */
void text_print(const char *s);
/* s as a JSON string, to stdout. */
void text_print_json(const char *s);

/* One line to stderr, "hatcheck-guest: …", bytes outside printable ASCII
 * shown as ?. */
void warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void
die(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Exit statuses. */
enum {
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_RUN = 125, /* run: we failed before the command began */
	EXIT_NOT_RUNNABLE = 126,
	EXIT_NOT_FOUND = 127
};

#endif
