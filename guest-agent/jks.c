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
set_u32(char *b, uint32_t v)
{
	b[0] = (char)(v >> 24);
	b[1] = (char)(v >> 16);
	b[2] = (char)(v >> 8);
	b[3] = (char)v;
}

static void
put_u32(struct text *t, uint32_t v)
{
	char b[4];

	set_u32(b, v);
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

#define SKIPPED 64
#define FOREIGN 65

/* What each byte means in base64: a value, or one of the two above. Looked
 * up, since a bundle has 200 KB of them and `run` waits. */
struct alphabet {
	unsigned char of[256];
};

static void
alphabet_make(struct alphabet *a)
{
	static const char all[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
	    "uvwxyz0123456789+/";

	memset(a->of, FOREIGN, sizeof(a->of));
	for (unsigned char i = 0; i < 64; i++)
		a->of[(unsigned char)all[i]] = i;
	for (const char *s = "\r\n\t ="; *s != '\0'; s++)
		a->of[(unsigned char)*s] = SKIPPED;
}

/* The base64 at *p into der, line ends and padding left aside; its length.
 * *p: the first byte that is none of it. */
static size_t
decode(const struct alphabet *a, const char **p, unsigned char *der)
{
	const char *at = *p;
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	for (unsigned char v; (v = a->of[(unsigned char)*at]) != FOREIGN; at++) {
		if (v == SKIPPED)
			continue;
		bits = bits << 6 | v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			der[n++] = (unsigned char)(bits >> have);
		}
	}
	*p = at;
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
	unsigned char *der = malloc(strlen(pem) + 1);
	struct alphabet a;
	unsigned count = 0;

	if (der == NULL)
		die(EXIT_FAILED, "out of memory");
	alphabet_make(&a);
	put_u32(out, MAGIC);
	put_u32(out, VERSION_2);
	size_t counted = out->n;
	put_u32(out, 0);
	while ((pem = strstr(pem, BEGIN)) != NULL) {
		pem += sizeof(BEGIN) - 1;
		size_t n = decode(&a, &pem, der);
		if (n > 0 && strncmp(pem, END, sizeof(END) - 1) == 0)
			put_certificate(out, ++count, der, n);
	}
	free(der);
	text_add(out, digest, sizeof(digest));
	if (!out->bad)
		set_u32(out->p + counted, count);
}
