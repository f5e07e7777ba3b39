/* SPDX-License-Identifier: ISC */
/*
 * application/x-www-form-urlencoded, strictly: known names only, each once,
 * whole escapes, no NUL, UTF-8. Pure.
 *
 *	struct form_field f[] = {{"grant_type"}, {"subject_token"}};
 *	if ((r = form_parse(body, f, 2, scratch)) != 0) ...
 *	f[0].present, f[0].value
 */
#ifndef EGRESS_GATE_FORM_H
#define EGRESS_GATE_FORM_H

#include "lib/buf.h"

struct form_field {
	const char *name;
	bool present;
	struct span value; /* borrows from out */
	size_t offset;	   /* form_parse()'s own */
};

/* Decoded values are put into out (empty; wiped by its owner). ERR_FORMAT:
 * anything that breaks the rules above. */
MUST_USE int form_parse(struct span body, struct form_field *fields,
    size_t n_fields, struct buf *out);

#endif
