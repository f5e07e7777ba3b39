/* SPDX-License-Identifier: ISC */
/* What for: Authorization: Bearer VALUE (RFC 6750). Trusts: nothing. At a
 * bound: a value that is no visible ASCII is refused. */
#include "vault/kind.h"

static void
default_slot(struct slot *s)
{
	*s = (struct slot){.type = SLOT_BEARER};
}

const struct kind kind_bearer = {
    .name = "bearer",
    .slot = SLOT_BEARER,
    .default_slot = default_slot,
    .wrong_value = kind_wrong_token,
};
