/* SPDX-License-Identifier: ISC */
/*
 * What the audit log was told, as numbers: a few increments per request,
 * sent to the minter once a second (messages/counts.h).
 */
#ifndef COURIER_TALLY_H
#define COURIER_TALLY_H

#include "egress/courier/audit.h"
#include "messages/counts.h"

/* One line, whether it is written or only counted. */
void tally_line(struct counts *c, const struct audit_line *l);
/* Lines are on disk, the oldest of them since ms. */
void tally_sync(struct counts *c, uint64_t ms);
/* Nothing was counted. */
bool tally_empty(const struct counts *c);

#endif
