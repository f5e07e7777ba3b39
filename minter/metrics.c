/* SPDX-License-Identifier: ISC */
/* What for: counting. Trusts: a courier for numbers, which nothing depends
 * on. At a bound: a counter of 64 bits wraps. */
#include "minter/metrics.h"

static void
add_all(uint64_t *to, const uint32_t *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] += from[i];
}

void
metrics_add(struct metrics *m, const struct counts *c)
{
	m->bytes_up += c->bytes_up;
	m->bytes_down += c->bytes_down;
	m->took_ms += c->took_ms;
	m->lag_ms += c->lag_ms;
	m->allowed += c->allowed;
	add_all(m->refused, c->refused, REASON_COUNT);
	add_all(m->ended, c->ended, REASON_COUNT);
	add_all(m->status, c->status, COUNTS_CLASSES);
	add_all(m->took, c->took, COUNTS_TOOK_N);
	add_all(m->lag, c->lag, COUNTS_LAG_N);
}

void
metrics_session_over(struct metrics *m, enum session_state how)
{
	m->over[how]++;
}

void
metrics_token(struct metrics *m, bool minted)
{
	*(minted ? &m->minted : &m->not_minted) += 1;
}

void
metrics_revoked(struct metrics *m, int64_t ms)
{
	uint64_t took = ms < 0 ? 0 : (uint64_t)ms;

	m->revocation[counts_lag_slot(took)]++;
	m->revocation_ms += took;
}

void
metrics_restarted(struct metrics *m, enum link_role role)
{
	if (role < LINK_CLI)
		m->restarts[role]++;
}
