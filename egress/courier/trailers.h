/* SPDX-License-Identifier: ISC */
/*
 * Trailers of a request. An upstream may take them for fields of its head
 * (RFC 9110, section 6.5.1), which was judged long before: so none may have
 * a name that says something there which we judge, take out or write
 * ourselves. They are refused then, not left out.
 *
 *	r = trailers_read(packed, d.slots, d.n_slots, &head);
 *	...head.fields...
 *	head_clear(&head);
 */
#ifndef COURIER_TRAILERS_H
#define COURIER_TRAILERS_H

#include "egress/http/head.h"
#include "scope/metadata.h"

/* out: made here, to be cleared in any case; it borrows nothing. slots:
 * those that credentials have on this host. ERR_FORMAT: one may not follow
 * a body, or is no field; ERR_NOMEM. */
MUST_USE int trailers_read(struct span packed, const struct slot *const *slots,
    size_t n_slots, struct head *out);

#endif
