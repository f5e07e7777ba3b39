/* SPDX-License-Identifier: ISC */
/*
 * A minter that cannot read what it must begin with. If it died it would be
 * started again for ever, and callers would wait for an answer of nobody: so
 * it stays, answers every call by saying what is wrong, is never `ready`
 * (nobody is linked to it), writes nothing, and waits to be stopped.
 */
#ifndef MINTER_BROKEN_H
#define MINTER_BROKEN_H

#include "minter/minter.h"

#define BROKEN_WHY_MAX 512

/* why: a sentence that names the file. */
_Noreturn void broken_serve(struct minter *m, int control_fd, const char *why);

#endif
