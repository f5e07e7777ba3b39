/* SPDX-License-Identifier: ISC */
/* What for: trailers of requests. Trusts: nothing that a gate says. At a
 * bound: ERR_FORMAT. */
#include "egress/courier/trailers.h"

#include "egress/courier/carriers.h"
#include "egress/courier/coding.h"

static bool
may_follow(struct span name, const struct slot *const *slots, size_t n)
{
	return !head_forbidden_trailer(name) &&
	       !span_is(name, "accept-encoding") &&
	       !span_is(name, "origin") && !span_is(name, "sec-fetch-site") &&
	       !coding_allows_messages(name) &&
	       !carriers_is_header(name, slots, n);
}

int
trailers_read(struct span packed, const struct slot *const *slots,
    size_t n_slots, struct head *out)
{
	int r;

	head_init(out);
	if ((r = head_unpack(out, packed)) != 0)
		return r;
	for (size_t i = 0; i < out->n_fields; i++) {
		const struct head_field *f = &out->fields[i];
		if (!head_is_name(f->name) || !head_is_value(f->value) ||
		    !may_follow(f->name, slots, n_slots))
			return ERR_FORMAT;
	}
	return 0;
}
