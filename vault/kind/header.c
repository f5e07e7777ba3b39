/* SPDX-License-Identifier: ISC */
/* What for: NAME: PREFIX VALUE, an API key in a header of its own. Trusts:
 * nothing. At a bound: what is no single field value (RFC 9110 section 5.5,
 * without obs-text) is refused. */
#include "vault/kind.h"

#include <stdio.h>

static void
default_slot(struct slot *s)
{
	*s = (struct slot){.type = SLOT_HEADER};
	snprintf(s->name, sizeof(s->name), "x-api-key");
}

static const char *
wrong_value(struct span v)
{
	const char *wrong = kind_wrong_text(v);

	if (wrong == NULL && v.n > 0 && (v.p[0] == ' ' || v.p[v.n - 1] == ' '))
		wrong = "begins or ends with a space";
	for (size_t i = 0; wrong == NULL && i < v.n; i++) {
		if (v.p[i] >= 0x80)
			wrong = "holds a byte outside ASCII";
	}
	return wrong;
}

const struct kind kind_header = {
    .name = "header",
    .slot = SLOT_HEADER,
    .default_slot = default_slot,
    .wrong_value = wrong_value,
};
