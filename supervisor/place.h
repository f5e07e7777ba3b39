/* SPDX-License-Identifier: ISC */
/*
 * Where a session's socket goes, as the minter names it: a directory, or
 * CHANNEL_HYBRID and the absolute path of a socket in one (messages/control.h).
 */
#ifndef SUPERVISOR_PLACE_H
#define SUPERVISOR_PLACE_H

#include "lib/err.h"
#include "lib/span.h"

#include <limits.h>

/* dir becomes the directory; name becomes the socket's name if the place has
 * one, and is left as it is otherwise. ERR_FORMAT: a socket's place is
 * relative or ends in a slash, or there is a NUL; ERR_TOO_BIG. Whether the
 * directory is there and to be trusted is lib/safefile.h's to say. */
MUST_USE int place_split(struct span place, char dir[static PATH_MAX],
    char name[static NAME_MAX + 1]);

#endif
