/* SPDX-License-Identifier: ISC */
/*
 * Text on a terminal: foreign bytes made harmless, and aligned tables.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include "lib/span.h"

#include <stdio.h>

/* Printable ASCII and well-formed UTF-8 pass; controls, escape sequences,
 * invisible and direction-changing characters and broken UTF-8 become \xNN.
 * Newlines pass when lines is true. Cut to fit size, NUL-terminated. */
void text_escape(struct span s, bool lines, char *out, size_t size);

struct text_table;

/* headings end with NULL. NULL when memory is out. */
struct text_table *text_table_new(const char *const *headings);
void text_table_free(struct text_table *t);
/* One row: as many strings as headings; escaped when shown. Out of memory
 * shows when printing. */
void text_table_row(struct text_table *t, const char *const *cells);
/* Aligned columns, two spaces between; 0, or -1 when it could not. */
int text_table_print(const struct text_table *t, FILE *f);

#endif
