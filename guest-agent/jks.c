/* SPDX-License-Identifier: ISC */
/*
 * PEM to JKS.
 * Trusts nothing in the certificates: Java reads them itself.
 * Bounded by the bundle, which is (files.c).
 */
#include "guest-agent/jks.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0xfeedfeedu
#define VERSION_2 2
#define TRUSTED 2
#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"
#define DIGEST 20

static void
put_u32(struct text *t, uint32_t v)
{
	unsigned char b[4] = {(unsigned char)(v >> 24),
	    (unsigned char)(v >> 16), (unsigned char)(v >> 8),
	    (unsigned char)v};

	text_add(t, b, sizeof(b));
}

/* Java's writeUTF, of plain ASCII. */
static void
put_word(struct text *t, const char *s)
{
	size_t n = strlen(s);
	unsigned char b[2] = {(unsigned char)(n >> 8), (unsigned char)n};

	text_add(t, b, sizeof(b));
	text_add(t, s, n);
}

static int
digit(char c)
{
	static const char all[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
	    "uvwxyz0123456789+/";
	const char *at = c == '\0' ? NULL : strchr(all, c);

	return at == NULL ? -1 : (int)(at - all);
}

/* Base64 from p to end into der, line ends and padding left aside; its
 * length, or 0. */
static size_t
decode(const char *p, const char *end, unsigned char *der)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	for (; p < end; p++) {
		int v = digit(*p);
		if (v < 0 && strchr("\r\n\t =", *p) != NULL)
			continue;
		if (v < 0)
			return 0;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			der[n++] = (unsigned char)(bits >> have);
		}
	}
	return n;
}

static void
put_certificate(
    struct text *t, unsigned number, const unsigned char *der, size_t n)
{
	char alias[32];

	snprintf(alias, sizeof(alias), "hatcheck-%u", number);
	put_u32(t, TRUSTED);
	put_word(t, alias);
	put_u32(t, 0); /* the date, in two halves */
	put_u32(t, 0);
	put_word(t, "X.509");
	put_u32(t, (uint32_t)n);
	text_add(t, der, n);
}

void
jks_make(const char *pem, struct text *out)
{
	static const unsigned char digest[DIGEST];
	struct text body = {.limit = out->limit};
	unsigned char *der = malloc(strlen(pem) + 1);
	const char *end;
	unsigned count = 0;

	if (der == NULL)
		die(EXIT_FAILED, "out of memory");
	while ((pem = strstr(pem, BEGIN)) != NULL &&
	       (end = strstr(pem, END)) != NULL) {
		pem += sizeof(BEGIN) - 1;
		size_t n = decode(pem, end, der);
		if (n > 0)
			put_certificate(&body, ++count, der, n);
		pem = end;
	}
	free(der);
	put_u32(out, MAGIC);
	put_u32(out, VERSION_2);
	put_u32(out, count);
	text_add(out, body.p == NULL ? "" : body.p, body.n);
	text_add(out, digest, sizeof(digest));
	out->bad = out->bad || body.bad;
	text_free(&body);
}
