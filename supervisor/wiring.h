/* SPDX-License-Identifier: ISC */
/*
 * Who talks to whom: one table of pairs of roles. An edge is made when both
 * ends are ready, and again when either was started anew. No process gets a
 * link that is not in the table.
 */
#ifndef SUPERVISOR_WIRING_H
#define SUPERVISOR_WIRING_H

#include "supervisor/process.h"

/* p became ready: make all its edges. */
void wire_process(struct process *p);
/* Fresh links between the minter and the pair of s. */
void wire_minter(struct session *s);

#endif
