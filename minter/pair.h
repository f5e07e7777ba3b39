/* SPDX-License-Identifier: ISC */
/*
 * Each session's gate and courier, as the minter sees them: links that the
 * supervisor hands over. Who breaks the protocol is killed with its sibling,
 * and another pair is told all anew.
 */
#ifndef MINTER_PAIR_H
#define MINTER_PAIR_H

#include "messages/control.h"
#include "minter/minter.h"

/* A fresh gate or courier of a session; fd is taken over. */
MUST_USE int pair_peer(struct minter *m, const struct ctl_peer *p, int fd);
/* Its families, and with its documents the leave to answer, when the keys
 * are there. */
void pair_brief_gate(struct minter *m, struct session *s);
/* Send gate and courier what s now is (its documents whole). */
void pair_publish(struct minter *m, struct session *s);
/* A new or renewed family. */
void pair_family(struct minter *m, struct session *s, const struct family *f);

#endif
