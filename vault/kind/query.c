/* SPDX-License-Identifier: ISC */
/* What for: ?NAME=VALUE, percent-encoded by the courier. Trusts: nothing.
 * At a bound: control characters are refused. */
#include "vault/kind.h"

#include <stdio.h>

static void
default_slot(struct slot *s)
{
	*s = (struct slot){.type = SLOT_QUERY};
	snprintf(s->name, sizeof(s->name), "key");
}

const struct kind kind_query = {
    .name = "query",
    .slot = SLOT_QUERY,
    .default_slot = default_slot,
    .wrong_value = kind_wrong_text,
};
