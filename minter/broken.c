/* SPDX-License-Identifier: ISC */
/* What for: telling callers why there is no minter. Trusts: nothing that it
 * could not read. At a bound: ends, and is started again. */
#include "minter/broken.h"

#include "lib/log.h"
#include "minter/admin.h"

#include <stdlib.h>

static int
on_stop(void *ctx, struct link *l, const void *msg, int fd)
{
	struct minter *m = ctx;

	(void)l;
	(void)msg;
	(void)fd;
	ev_break(m->loop, EVBREAK_ALL);
	return 0;
}

static const struct link_rule rules[] = {{&msg_stop, on_stop}};

static void
on_break(void *ctx, struct link *l, int err)
{
	struct minter *m = ctx;

	(void)l;
	if (err != ERR_UNAVAILABLE)
		log_fatal("supervisor_broke_protocol", err_text(err));
	ev_break(m->loop, EVBREAK_ALL);
}

_Noreturn void
broken_serve(struct minter *m, int control_fd, const char *why)
{
	struct link_options o = {.self = LINK_MINTER,
	    .peer = LINK_SUPERVISOR,
	    .rules = rules,
	    .n_rules = 1,
	    .ctx = m,
	    .on_break = on_break};

	log_event(LOG_ERROR, "state_unreadable", LOG_STR("why", why));
	admin_refuse_all(m->admin, "state unreadable",
	    "Put the file back from a copy; moved away, what is in it is "
	    "lost. Then hatcheck stop, and hatcheck start.",
	    why);
	if (link_new(m->loop, control_fd, &o, &m->supervisor) != 0)
		log_fatal("start", "no link to the supervisor");
	ev_run(m->loop, 0);
	admin_drain(m->admin, 20);
	exit(1);
}
