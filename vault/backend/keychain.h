/* SPDX-License-Identifier: ISC */
/*
 * The Secret Service through libsecret, so that it never prompts and never
 * hangs: every call is asynchronous on a context of our own and given up at
 * a deadline, even when the library does not honour its cancellation.
 *
 * Whether the default collection is locked is asked before anything else:
 * a plain lookup in a locked one looks like "not found", and any call that
 * may prompt can wait for ever.
 *
 * Values travel as base64 text: one provider forgets content types, another
 * treats text and bytes differently.
 */
#ifndef VAULT_BACKEND_KEYCHAIN_H
#define VAULT_BACKEND_KEYCHAIN_H

#include "lib/secret.h"

#include <stdbool.h>

struct keychain;

/* Which entry: house is hex. */
struct keychain_id {
	const char *house;
	const char *name;
	uint32_t version;
};

/* Where a failure leaves its sentence: valid until the next call. */
MUST_USE int keychain_new(struct keychain **out);
void keychain_free(struct keychain *k);
const char *keychain_why(const struct keychain *k);

/* All of: deadline in CLOCK_BOOTTIME ms. ERR_LOCKED, ERR_UNAVAILABLE (not
 * there, no answer in time, broken), ERR_NOT_FOUND. After a failure that
 * looks like a provider that died, each tries once more on a new
 * connection. */
MUST_USE int keychain_probe(struct keychain *k, int64_t deadline_ms);
MUST_USE int keychain_get(struct keychain *k, const struct keychain_id *id,
    int64_t deadline_ms, struct keep **out);
/* Replaces. */
MUST_USE int keychain_put(struct keychain *k, const struct keychain_id *id,
    const char *label, struct span value, int64_t deadline_ms);
MUST_USE int keychain_delete(
    struct keychain *k, const struct keychain_id *id, int64_t deadline_ms);
/* Forget the connection. */
void keychain_disconnect(struct keychain *k);

#endif
