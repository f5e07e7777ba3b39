/* SPDX-License-Identifier: ISC */
/*
 * A session ends with its guest: when the process that it was made for has
 * exited, or when its socket has been taken away. The minter is told, and
 * ends it in its own order (minter/finish.h); it is told again each second
 * until it has, for it may just be starting anew.
 */
#ifndef SUPERVISOR_WATCH_H
#define SUPERVISOR_WATCH_H

#include "lib/procid.h"

#include <ev.h>
#include <sys/stat.h>

struct session;

struct watch {
	int fd;		  /* a pidfd, or -1 */
	const char *gone; /* why it is to end; NULL: it is not */
	dev_t dev;	  /* of its socket */
	ino_t ino;
	struct ev_io exited;
	struct ev_timer look;
};

void watch_init(struct session *s);
/* Its channel is open. p: the process; none when p->pid is 0. ERR_NOT_FOUND:
 * it is gone; *why: a sentence. */
MUST_USE int
watch_begin(struct session *s, const struct procid *p, const char **why);
void watch_end(struct session *s);

#endif
