/* SPDX-License-Identifier: ISC */
/*
 * Old audit files are removed by age and by size (audit_keep_days,
 * audit_keep_bytes): whole files, a chain's oldest first, never the two newest
 * of a live session or of the minter. What is removed is said in the minter's
 * chain before, signed, so that verify can tell it from what somebody else
 * took away:
 *
 *	"event":"audit_removed","session":"s-…","from":1,"upto":812,
 *	"hash":"…","why":"age","whole":false,"kid":"…","sig":"…"
 *
 * session is "minter" for the minter's own files, of which is carried on what
 * is needed yet (minter/carry.h).
 * (audit_removed_message() in audit.h is what sig signs; hash is of line
 * upto.)
 */
#ifndef MINTER_RETAIN_H
#define MINTER_RETAIN_H

#include "messages/bounds.h"
#include "minter/minter.h"

/* Once: what may go, goes. Without the audit key nothing does. */
void retain_run(struct minter *m);

#endif
