/* SPDX-License-Identifier: ISC */
/*
 * The guest's CONNECTs that the gate asked about, and what was answered:
 * later requests and tunnels on them must fit. A refused one is over.
 */
#ifndef COURIER_CONN_H
#define COURIER_CONN_H

#include "egress/courier/courier.h"
#include "egress/courier/decision.h"

#define CONN_MAX 4096

/* ERR_FORMAT: the gate misbehaves. */
MUST_USE int conn_connect(struct courier *c, const struct traffic_connect *m);
void conn_end(struct courier *c, const struct traffic_conn_end *m);
/* A lease came or failed: answer those that wait. */
void conn_retry(struct courier *c);
/* The gate is gone. */
void conn_end_all(struct courier *c);

/* Was it answered with this way? Fills out, whose spans are borrowed. */
bool conn_find(const struct courier *c, uint32_t id, enum traffic_way way,
    struct decision_conn *out);

#endif
