/* SPDX-License-Identifier: ISC */
/* What for: harmless text and tables. Trusts: nothing. At a bound: cuts
 * the text; a table that ran out of memory says so when printed. */
#include "cli/text.h"

#include <stdlib.h>

#define COLUMNS_MAX 12
#define CELL_MAX 512

/* The length of the well-formed UTF-8 sequence at s, or 0. */
static size_t
utf8_length(struct span s, uint32_t *code)
{
	static const struct {
		uint8_t mask, lead;
		uint32_t least;
	} kinds[] = {
	    {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

	for (size_t k = 0; k < 3; k++) {
		size_t n = k + 2;
		if ((s.p[0] & kinds[k].mask) != kinds[k].lead)
			continue;
		if (s.n < n)
			return 0;
		uint32_t c = s.p[0] & (uint8_t)~kinds[k].mask;
		for (size_t i = 1; i < n; i++) {
			if ((s.p[i] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (s.p[i] & 0x3f);
		}
		*code = c;
		return c < kinds[k].least ? 0 : n;
	}
	return 0;
}

/* Characters that a terminal does not show as themselves. */
static bool
invisible(uint32_t c)
{
	static const struct {
		uint32_t from, to;
	} ranges[] = {{0x80, 0x9f}, {0xad, 0xad}, {0x61c, 0x61c},
	    {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},
	    {0x2060, 0x206f}, {0xd800, 0xdfff}, {0xfe00, 0xfe0f},
	    {0xfeff, 0xfeff}, {0xfff0, 0xffff}, {0xe0000, 0x1fffff}};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (c >= ranges[i].from && c <= ranges[i].to)
			return true;
	}
	return false;
}

/* How many bytes at s may be shown as they are: 0 to 4. */
static size_t
harmless(struct span s, bool lines)
{
	uint32_t code;

	if (s.p[0] >= 0x20 && s.p[0] < 0x7f)
		return 1;
	if (s.p[0] < 0x80)
		return lines && s.p[0] == '\n' ? 1 : 0;
	size_t n = utf8_length(s, &code);
	return n != 0 && !invisible(code) ? n : 0;
}

void
text_escape(struct span s, bool lines, char *out, size_t size)
{
	size_t at = 0;

	while (s.n > 0) {
		size_t n = harmless(s, lines), need = n == 0 ? 4 : n;
		if (at + need >= size)
			break;
		if (n == 0)
			(void)snprintf(out + at, 5, "\\x%02x", s.p[0]);
		else
			memcpy(out + at, s.p, n);
		at += need;
		s = span_from(s, n == 0 ? 1 : n);
	}
	if (size > 0)
		out[at] = '\0';
}

struct text_table {
	size_t columns, rows;
	char (*cells)[CELL_MAX]; /* rows x columns, escaped */
	size_t widths[COLUMNS_MAX];
	bool failed;
};

static size_t
width_of(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((uint8_t)*s & 0xc0) != 0x80;
	return n;
}

struct text_table *
text_table_new(const char *const *headings)
{
	struct text_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	while (t->columns < COLUMNS_MAX && headings[t->columns] != NULL)
		t->columns++;
	text_table_row(t, headings);
	return t;
}

void
text_table_free(struct text_table *t)
{
	if (t == NULL)
		return;
	free(t->cells);
	free(t);
}

void
text_table_row(struct text_table *t, const char *const *cells)
{
	char(*grown)[CELL_MAX];

	if (t->failed)
		return;
	grown =
	    reallocarray(t->cells, (t->rows + 1) * t->columns, sizeof(*grown));
	if (grown == NULL) {
		t->failed = true;
		return;
	}
	t->cells = grown;
	grown += t->rows * t->columns;
	for (size_t i = 0; i < t->columns; i++) {
		const char *cell =
		    cells[i] == NULL || cells[i][0] == '\0' ? "-" : cells[i];
		text_escape(span_str(cell), false, grown[i], CELL_MAX);
		size_t w = width_of(grown[i]);
		t->widths[i] = w > t->widths[i] ? w : t->widths[i];
	}
	t->rows++;
}

int
text_table_print(const struct text_table *t, FILE *f)
{
	if (t->failed)
		return -1;
	for (size_t r = 0; r < t->rows; r++) {
		for (size_t c = 0; c < t->columns; c++) {
			const char *cell = t->cells[r * t->columns + c];
			size_t pad = t->widths[c] - width_of(cell) + 2;
			if (c + 1 == t->columns)
				pad = 0;
			if (fprintf(f, "%s%*s", cell, (int)pad, "") < 0)
				return -1;
		}
		if (fputc('\n', f) == EOF)
			return -1;
	}
	return fflush(f) == 0 ? 0 : -1;
}
