/* SPDX-License-Identifier: ISC */
/*
 * Kinds of credential: what a value must look like, and where it goes when
 * a binding does not say. To add one: a file in vault/kind/ with its row,
 * and the row's name in the table of vault/kind.c.
 *
 * A value must please its own kind and the kind of every slot that it is
 * bound to, so that no binding can carry a line break into a header.
 */
#ifndef VAULT_KIND_H
#define VAULT_KIND_H

#include "scope/metadata.h"

/* A shorter value cannot be scrubbed from answers without false alarms. */
#define KIND_SCRUBBABLE_MIN 12

struct kind {
	const char *name;
	enum slot_type slot;
	/* Fill s, whose type is SLOT_DEFAULT. */
	void (*default_slot)(struct slot *s);
	/* NULL: fine. Otherwise what is wrong, without the value. */
	const char *(*wrong_value)(struct span value);
};

/* NULL: no such kind. */
const struct kind *kind_find(const char *name);
/* "bearer, header, ...", for messages. */
void kind_names(char *out, size_t size);

/* Give every binding without a slot its kind's. ERR_ARGUMENT: no such
 * kind. */
MUST_USE int kind_fill_slots(struct metadata *m, char *why, size_t size);
/* May this value be kept under this metadata? ERR_ARGUMENT. */
MUST_USE int kind_check_value(
    const struct metadata *m, struct span value, char *why, size_t size);

/* Shared by the kinds. */
const char *kind_wrong_token(struct span value); /* printable, no space */
const char *kind_wrong_text(struct span value);	 /* no control bytes */

extern const struct kind kind_bearer, kind_header, kind_basic, kind_query;

#endif
