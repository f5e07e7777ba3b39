/* SPDX-License-Identifier: ISC */
/* What for: an answer that rejects what we put in (verdict.h). It waits while
 * the vault is asked once more. Trusts: the upstream, about its own key. At a
 * bound: the answer is passed on as it came. */
#include "egress/courier/exchange_inside.h"

#include "egress/courier/clock.h"

/* As a challenge names it; NULL: the slot is no scheme's. */
static const char *
scheme_of(enum slot_type type)
{
	return type == SLOT_BEARER  ? "bearer"
	       : type == SLOT_BASIC ? "basic"
				    : NULL;
}

void
exchange_used(struct exchange *e, const struct decision *d)
{
	e->injected = d->lease != NULL && d->slot != NULL;
	if (!e->injected)
		return;
	e->slot_type = d->slot->type;
	memcpy(e->used, d->lease->digest, sizeof(e->used));
}

bool
exchange_doubts(struct exchange *e, const struct head *answer)
{
	struct verdict *v;

	if (!e->injected)
		return false;
	v = verdicts_about(leases_verdicts(e->c->leases), e->credential,
	    e->used, e->host.name, e->port);
	if (v == NULL || !verdict_answer(v, verdict_is_rejection(answer,
						scheme_of(e->slot_type))))
		return false;
	e->doubt =
	    leases_doubt(e->c->leases, e->credential, e->used) == ERR_SEQUENCE;
	if (e->doubt)
		exchange_arm(e, DOUBT_S);
	return e->doubt;
}

/* Asked once more it changes nothing at the upstream, and nothing of it was
 * passed on. */
static bool
repeatable(const struct exchange *e)
{
	return e->m.body == BODY_NONE && e->m.upgrade == 0 &&
	       (span_is(e->m.method, "GET") || span_is(e->m.method, "HEAD") ||
		   span_is(e->m.method, "OPTIONS"));
}

static void
forget_answer(struct exchange *e)
{
	buf_free(e->due);
	e->due = NULL;
	body_free(e->body);
	e->body = NULL;
	e->status = 0;
}

/* Is it still what the vault has? Then it is dead. */
static bool
unchanged(struct exchange *e, const struct lease *lease)
{
	struct verdict *v;

	if (memcmp(lease->digest, e->used, sizeof(e->used)) != 0)
		return false;
	v = verdicts_about(leases_verdicts(e->c->leases), e->credential,
	    e->used, e->host.name, e->port);
	if (v != NULL && !v->dead) {
		verdict_bury(v, clock_ms());
		leases_tell_rejected(e->c->leases, lease, e->host.name);
	}
	return true;
}

void
exchange_believe(struct exchange *e)
{
	if (!e->doubt)
		return;
	e->doubt = false;
	exchange_tell_head(e);
	exchange_progress(e);
}

bool
exchange_resolve(struct exchange *e)
{
	const struct lease *lease;
	int r = leases_get(e->c->leases, e->credential, &lease);

	if (r == ERR_SEQUENCE)
		return true;
	if (r == 0 && !unchanged(e, lease) && repeatable(e)) {
		e->doubt = false;
		forget_answer(e);
		exchange_again(e);
		return false;
	}
	exchange_believe(e);
	return exchange_pump_down(e);
}
