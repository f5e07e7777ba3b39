/* SPDX-License-Identifier: ISC */
/*
 * The guest API (docs/guest-api.md): what a guest may ask of us. Nothing
 * of it is ever forwarded.
 */
#ifndef EGRESS_GATE_GUEST_API_H
#define EGRESS_GATE_GUEST_API_H

#include "egress/gate/conn.h"
#include "messages/guest.h"

/* A request for path. May end c. */
void guest_api_start(struct conn *c, struct head *h, struct span path);
/* A piece of its body, and its end. False: c is gone, or wants no more. */
bool guest_api_body(struct conn *c, struct span bytes);
bool guest_api_end(struct conn *c);
/* The minter's answer. */
void guest_api_given(struct conn *c, const struct guest_token_given *m);

#endif
