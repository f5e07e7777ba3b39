/* SPDX-License-Identifier: ISC */
/*
 * The sentence that says what is wrong with a grant or metadata. Foreign
 * text goes through WHY_TEXT, which escapes and cuts it.
 */
#ifndef SCOPE_WHY_H
#define SCOPE_WHY_H

#include "lib/err.h"
#include "lib/span.h"

#define WHY_TEXT_MAX 96

/* Write the sentence (cut to fit; why may be NULL) and return ERR_FORMAT. */
int why_say(char *why, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Foreign text made fit to print; lives as long as the block. */
struct why_text {
	char text[WHY_TEXT_MAX];
};
struct why_text why_escape(const char *foreign);
#define WHY_TEXT(s) (why_escape(s).text)

#endif
