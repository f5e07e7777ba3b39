/* SPDX-License-Identifier: ISC */
/*
 * One request and its answer, or one tunnel, from the gate's first frame
 * to the end of both directions:
 *
 *	WAITING   for a lease, to be decided (again)
 *	DIALING   allowed, counted, its audit line written; no byte sent
 *	OPEN      the head is out; bodies pass, by credit, both ways
 *	DRAINING  answered in full, or early: what the gate still sends is
 *		  thrown away
 *
 * A request that cannot go on is refused (before its answer began) or
 * reset. Bodies: at most TRAFFIC_WINDOW bytes are held each way, and the
 * upstream is not read while the gate has given no credit.
 */
#ifndef COURIER_EXCHANGE_H
#define COURIER_EXCHANGE_H

#include "egress/courier/courier.h"
#include "messages/traffic.h"

/* Handlers of the gate's frames. ERR_FORMAT: the gate misbehaves. */
MUST_USE int
exchange_request(struct courier *c, const struct traffic_request *m);
MUST_USE int exchange_tunnel(struct courier *c, const struct traffic_tunnel *m);
MUST_USE int exchange_bytes(struct courier *c, const struct traffic_bytes *m);
MUST_USE int exchange_end(struct courier *c, const struct traffic_end *m);
MUST_USE int exchange_window(struct courier *c, const struct traffic_window *m);
void exchange_reset(struct courier *c, const struct traffic_reset *m);

/* A lease came or failed: decide those that wait again. */
void exchange_retry(struct courier *c);
/* End all whose family, grant, credential or session is cut, expired or no
 * longer granted. When it returns nothing more is written for them. */
void exchange_enforce(struct courier *c);
/* A credential changed: end what uses it. */
void exchange_credential_changed(
    struct courier *c, struct span credential, enum reason reason);
/* End all. */
void exchange_end_all(struct courier *c, enum reason reason);
/* The link to the gate can take more. */
void exchange_gate_drained(struct courier *c);

#endif
