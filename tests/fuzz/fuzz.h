/* SPDX-License-Identifier: ISC */
/* What every fuzz target shares: its entry, and a check that aborts. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include "lib/span.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                       \
	do {                                                                  \
		if (!(condition))                                             \
			abort();                                              \
	} while (0)

#endif
