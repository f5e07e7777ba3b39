/* SPDX-License-Identifier: ISC */
/* What for: words for enum err. Trusts: nothing. At a bound: unknown codes
 * are called unknown. */
#include "lib/err.h"

#include <stddef.h>

static const char *const texts[] = {
	[0] = "good",
	[-ERR_NOMEM] = "out of memory",
	[-ERR_FORMAT] = "malformed",
	[-ERR_TOO_BIG] = "too large",
	[-ERR_TRUNCATED] = "cut short",
	[-ERR_NOT_FOUND] = "not found",
	[-ERR_EXISTS] = "exists already",
	[-ERR_DENIED] = "denied",
	[-ERR_LOCKED] = "locked",
	[-ERR_UNAVAILABLE] = "unavailable",
	[-ERR_IO] = "input/output failure",
	[-ERR_CRYPTO] = "cryptographic check failed",
	[-ERR_EXPIRED] = "expired",
	[-ERR_SEQUENCE] = "not possible in this state",
	[-ERR_ARGUMENT] = "bad argument",
	[-ERR_CLOCK] = "the clock stepped back",
};

const char *
err_text(int err)
{
	if (err > 0 || (size_t)-err >= sizeof(texts) / sizeof(texts[0]))
		return "unknown failure";
	return texts[-err];
}
