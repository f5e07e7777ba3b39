/* SPDX-License-Identifier: ISC */
/*
 * Run another program of the guest's and wait for it.
 *
 *	struct text said = {.limit = TOOL_SAID};
 *	const char *words[] = {"certutil", "-L", NULL};
 *	if (tool_run(words, NULL, &said) == TOOL_ABSENT) ...
 *	text_free(&said);
 */
#ifndef GUEST_TOOL_H
#define GUEST_TOOL_H

#include "guest-agent/text.h"

#define TOOL_SAID 4096
#define TOOL_ABSENT 127 /* there is no such program */

/* words: NULL-terminated, words[0] found by PATH. input: what it reads on
 * stdin, NULL for nothing. said (may be NULL) gets what it writes to stdout
 * and stderr, up to its limit. Answers its exit status, 128 and the number
 * for a signal. */
int tool_run(const char *const words[], const char *input, struct text *said);

#endif
