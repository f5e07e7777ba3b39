/* SPDX-License-Identifier: ISC */
/* What for: what every part of the minter needs. Trusts: nothing. At a
 * bound: fails closed, for all sessions at once. */
#include "minter/minter.h"

#include "lib/log.h"
#include "messages/guest.h"

struct session *
minter_session(const struct minter *m, const char *key)
{
	for (struct session *s = m->sessions; s != NULL; s = s->next) {
		if (!s->finishing &&
		    (strcmp(s->id, key) == 0 || strcmp(s->guest, key) == 0))
			return s;
	}
	return NULL;
}

struct session *
minter_session_id(const struct minter *m, struct span id)
{
	for (struct session *s = m->sessions; s != NULL; s = s->next) {
		if (span_is(id, s->id))
			return s;
	}
	return NULL;
}

const char *
minter_process_state(uint8_t state)
{
	static const char *const names[MINTER_PROCESS_STATES] = {
	    "starting", "ready", "dead", "backing-off", "waiting"};

	return state < MINTER_PROCESS_STATES ? names[state] : "unknown";
}

void
minter_forget_process(struct minter *m, size_t i)
{
	m->n_processes--;
	memmove(&m->processes[i], &m->processes[i + 1],
	    (m->n_processes - i) * sizeof(m->processes[0]));
}

bool
minter_ready(const struct minter *m)
{
	return m->failed == NULL && m->token_keys != NULL &&
	       m->audit_keys != NULL;
}

/* Nobody waits for the confirmation: what matters is that no new request
 * passes, and the couriers were told so. */
static void
stop_session(struct minter *m, struct session *s)
{
	struct rules_cut rc = {
	    .serial = ++m->last_serial, .kind = RULES_CUT_SESSION};
	struct guest_cut gc = {.serial = m->last_serial};
	int r = 0;

	if (s->courier != NULL)
		r = link_send(s->courier, &msg_rules_cut, &rc, -1);
	if (r == 0 && s->gate != NULL)
		r = link_send(s->gate, &msg_guest_cut, &gc, -1);
	if (r != 0)
		log_fatal("cannot_cut", "a full link in a failing minter");
}

void
minter_fail(struct minter *m, const char *what)
{
	if (m->failed != NULL)
		return;
	m->failed = what;
	log_event(LOG_ERROR, "storage_failed", LOG_STR("what", what));
	for (struct session *s = m->sessions; s != NULL; s = s->next)
		stop_session(m, s);
}

static int
outcome(struct minter *m, int r)
{
	if (r != 0)
		minter_fail(m, "audit");
	return m->failed != NULL ? ERR_IO : 0;
}

int
minter_act(struct minter *m, const char *event, json_t *fields)
{
	return outcome(m, audit_act(m->audit, event, fields));
}

int
minter_note(struct minter *m, const char *event, json_t *fields)
{
	return outcome(m, audit_line(m->audit, event, fields));
}
