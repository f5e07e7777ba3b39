/* SPDX-License-Identifier: ISC */
/* What for: Authorization: Basic, the value being the password (RFC 7617);
 * the user is public and stands in the slot. Trusts: nothing. At a bound:
 * control characters are refused, as the RFC does. */
#include "vault/kind.h"

static void
default_slot(struct slot *s)
{
	*s = (struct slot){.type = SLOT_BASIC};
}

const struct kind kind_basic = {
    .name = "basic",
    .slot = SLOT_BASIC,
    .default_slot = default_slot,
    .wrong_value = kind_wrong_text,
};
