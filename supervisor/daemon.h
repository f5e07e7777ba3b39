/* SPDX-License-Identifier: ISC */
/*
 * All that hatcheckd knows while it runs. Plain data; only main.c makes one.
 */
#ifndef SUPERVISOR_DAEMON_H
#define SUPERVISOR_DAEMON_H

#include "supervisor/config.h"
#include "supervisor/door.h"
#include "supervisor/home.h"
#include "supervisor/process.h"
#include "supervisor/roles.h"
#include "supervisor/session.h"
#include "supervisor/spare.h"

struct daemon {
	struct ev_loop *loop;
	struct role_ids ids;
	struct helpers helpers;
	struct home home;
	struct config config;
	struct process vault, minter, dialer;
	struct door door;
	struct session *sessions;
	struct spare spare;
	bool stopping, told_ready;
	struct ev_signal term, interrupt, hangup;
	struct ev_timer patience; /* of an orderly stop */
};

/* SIGTERM, SIGINT, the minter's shutdown. */
void daemon_stop(struct daemon *d);
/* A child was reaped: if we stop and it was the last, leave the loop. */
void daemon_child_gone(struct daemon *d);
/* All three singles are ready (the first time: tell systemd). */
void daemon_child_ready(struct daemon *d);
/* Read config/hatcheckd.yaml again; a bad one changes nothing. */
void daemon_reload(struct daemon *d);

#endif
