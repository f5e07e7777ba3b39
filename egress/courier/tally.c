/* SPDX-License-Identifier: ISC */
/* What for: counting. Trusts: the reasons of our own table only. At a
 * bound: a counter of 32 bits is sent and begun anew each second. */
#include "egress/courier/tally.h"

#include <string.h>

static size_t
row_of(enum reason r)
{
	return r < REASON_COUNT ? r : REASON_INTERNAL;
}

static void
count_end(struct counts *c, const struct audit_line *l)
{
	unsigned class = l->status / 100;

	c->ended[row_of(l->reason)]++;
	c->status[class < COUNTS_CLASSES ? class : 0]++;
	c->took[counts_took_slot(l->ms)]++;
	c->took_ms += l->ms;
	c->bytes_up += l->up;
	c->bytes_down += l->down;
}

void
tally_line(struct counts *c, const struct audit_line *l)
{
	if (l->ended)
		count_end(c, l);
	else if (l->allow)
		c->allowed++;
	else if (strcmp(l->event, "refused") == 0)
		c->refused[row_of(l->reason)]++;
}

void
tally_sync(struct counts *c, uint64_t ms)
{
	c->lag[counts_lag_slot(ms)]++;
	c->lag_ms += ms;
}

bool
tally_empty(const struct counts *c)
{
	/* Whatever is counted is in one of these, too. */
	for (size_t i = 0; i < REASON_COUNT; i++) {
		if (c->refused[i] != 0 || c->ended[i] != 0)
			return false;
	}
	for (size_t i = 0; i < COUNTS_LAG_N; i++) {
		if (c->lag[i] != 0)
			return false;
	}
	return c->allowed == 0;
}
