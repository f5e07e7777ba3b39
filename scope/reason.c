/* SPDX-License-Identifier: ISC */
/* What for: the refusal table. Trusts: nothing. At a bound: INTERNAL. */
#include "scope/reason.h"

#include <string.h>

static const struct reason_row rows[] = {
#define X(symbol, word, status, proxy, what, hint) \
	[REASON_##symbol] = {word, status, proxy, what, hint},
    REASONS(X)
#undef X
};

const struct reason_row *
reason_row(unsigned reason)
{
	return &rows[reason < REASON_COUNT ? reason : REASON_INTERNAL];
}

int
reason_by_word(const char *word)
{
	for (int i = 0; i < REASON_COUNT; i++) {
		if (strcmp(rows[i].word, word) == 0)
			return i;
	}
	return -1;
}
