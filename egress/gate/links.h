/* SPDX-License-Identifier: ISC */
/*
 * The gate's links to its siblings: who may say what, and what it does.
 */
#ifndef EGRESS_GATE_LINKS_H
#define EGRESS_GATE_LINKS_H

#include "egress/gate/gate.h"

/* Takes fd. ERR_ARGUMENT for a role that a gate has no link to. */
MUST_USE int
links_open(struct gate *g, enum link_role role, int fd, struct link **out);

#endif
