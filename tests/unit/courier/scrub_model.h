/* SPDX-License-Identifier: ISC */
/*
 * What the scrubber is held against: slow and plain. Every start, every
 * form, every way to write each character, one after the other; the forms
 * are made by other means than the scrubber's. For the unit test and the
 * fuzz target.
 */
#ifndef TESTS_COURIER_SCRUB_MODEL_H
#define TESTS_COURIER_SCRUB_MODEL_H

#include "lib/span.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define FORMS 40

struct way {
	size_t n; /* bytes as text */
	size_t chars;
	char text[16];
};

/* Forms, and the ways to write what stands at each place of them. */
struct model {
	size_t n;
	struct {
		size_t n;
		uint8_t b[128];
		size_t n_ways[128];
		struct way ways[128][6];
	} form[FORMS];
};

/* All ways to write what stands at c, of which n bytes are left. */
static size_t
ways_to_write(const uint8_t *c, size_t n, struct way out[static 6])
{
	static const char from[] = "\"\\/\b\f\n\r\t", to[] = "\"\\/bfnrt";
	const char *at = c[0] == 0 ? NULL : strchr(from, c[0]);
	size_t w = 0;

	out[w++] = (struct way){1, 1, {(char)c[0]}};
	out[w] = (struct way){3, 1, {0}};
	(void)snprintf(out[w++].text, 16, "%%%02x", c[0]);
	out[w] = (struct way){6, 1, {0}};
	(void)snprintf(out[w++].text, 16, "\\u%04x", c[0]);
	if (c[0] == ' ')
		out[w++] = (struct way){1, 1, {'+'}};
	if (at != NULL)
		out[w++] = (struct way){2, 1, {'\\', to[at - from]}};
	if (c[0] >= 0xc2 && c[0] < 0xe0 && n >= 2 && (c[1] & 0xc0) == 0x80) {
		out[w] = (struct way){6, 2, {0}};
		(void)snprintf(out[w++].text, 16, "\\u%04x",
		    (c[0] & 0x1fu) << 6 | (c[1] & 0x3fu));
	}
	if (n >= 4 && memcmp(c, "\xf0\x9f\x98\x80", 4) == 0)
		out[w++] = (struct way){12, 4, "\\ud83d\\ude00"};
	return w;
}

static void
add_form(struct model *m, const void *p, size_t n)
{
	if (m->n == FORMS || n > sizeof(m->form[0].b))
		abort();
	memcpy(m->form[m->n].b, p, n);
	m->form[m->n].n = n;
	for (size_t i = 0; i < n; i++)
		m->form[m->n].n_ways[i] = ways_to_write(
		    (const uint8_t *)p + i, n - i, m->form[m->n].ways[i]);
	m->n++;
}

/* The forms, by other means than the scrubber's: base64 is made of the
 * secret between two neighbours, both ways, and what both agree on is it. */
static void
add_base64(struct model *m, const uint8_t *s, size_t n, size_t before, int v)
{
	uint8_t plain[64];
	char one[128], two[128];
	size_t from = 0, to;

	memset(plain, 0, sizeof(plain));
	memcpy(plain + before, s, n);
	sodium_bin2base64(one, sizeof(one), plain, before + n + 3, v);
	memset(plain, 0xff, sizeof(plain));
	memcpy(plain + before, s, n);
	sodium_bin2base64(two, sizeof(two), plain, before + n + 3, v);
	while (one[from] != two[from])
		from++;
	for (to = from; one[to] == two[to]; to++)
		;
	add_form(m, one + from, to - from);
}

static void
make_model(struct model *m, const uint8_t *s, size_t n)
{
	char hex[128];

	add_form(m, s, n);
	sodium_bin2hex(hex, sizeof(hex), s, n);
	add_form(m, hex, 2 * n);
	for (size_t i = 0; i < 2 * n; i++) {
		if (hex[i] >= 'a')
			hex[i] = (char)(hex[i] - 'a' + 'A');
	}
	add_form(m, hex, 2 * n);
	for (size_t before = 0; before < 3; before++) {
		add_base64(m, s, n, before, sodium_base64_VARIANT_ORIGINAL);
		add_base64(m, s, n, before, sodium_base64_VARIANT_URLSAFE);
	}
}

/* Is this text at p? Escapes in any case; where the text ends, a beginning
 * will do (*open). */
static bool
is_at(const struct way *w, const uint8_t *p, size_t n, bool *open)
{
	for (size_t i = 0; i < w->n; i++) {
		if (i == n) {
			*open = true;
			return true;
		}
		bool fold = w->n == 3 || (w->n >= 6 && i % 6 != 1);
		uint8_t a = p[i], b = (uint8_t)w->text[i];
		if (a != b && !(fold && a < 0x80 && (a | 0x20) == (b | 0x20) &&
				  (a | 0x20) >= 'a' && (a | 0x20) <= 'f'))
			return false;
	}
	return true;
}

/* The latest end of an occurrence of the rest of form f from its i-th
 * character at p[at], or 0. *open: the text ends within one. */
static size_t
try(const struct model *m, size_t f, size_t i, const uint8_t *p, size_t at,
    size_t n, bool *open)
{
	size_t last = 0;

	if (i == m->form[f].n)
		return at;
	*open = *open || at == n;
	for (size_t k = 0; at < n && k < m->form[f].n_ways[i]; k++) {
		const struct way *w = &m->form[f].ways[i][k];
		bool cut = false;
		if (!is_at(w, p + at, n - at, &cut))
			continue;
		*open = *open || cut;
		size_t end =
		    cut ? 0 : try(m, f, i + w->chars, p, at + w->n, n, open);
		last = end > last ? end : last;
	}
	return last;
}

/* The text as it should come out; the first place where something may have
 * begun; where the longest occurrence from each place ends. */
static size_t
model_run(const struct model *m, const uint8_t *p, size_t n, uint8_t *out,
    uint16_t *ends)
{
	size_t begun = n;

	memcpy(out, p, n);
	for (size_t s = 0; s < n; s++) {
		size_t last = 0;
		bool open = false;
		for (size_t f = 0; f < m->n; f++) {
			size_t end = try(m, f, 0, p, s, n, &open);
			last = end > last ? end : last;
		}
		if (last > s)
			memset(out + s, '*', last - s);
		if (open && begun == n)
			begun = s;
		if (ends != NULL)
			ends[s] = (uint16_t)last;
	}
	return begun;
}

#endif
