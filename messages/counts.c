/* SPDX-License-Identifier: ISC */
/* What for: the table of counts.h, and its histograms. Trusts: nothing. At
 * a bound: the last slot of a histogram takes what is above. */
#include "messages/counts.h"

#define FIELD(a, i) MSG_FIELD_U32(struct counts, a[i]),
static const struct msg_field fields[] = {
    MSG_FIELD_U64(struct counts, bytes_up),
    MSG_FIELD_U64(struct counts, bytes_down),
    MSG_FIELD_U64(struct counts, took_ms), MSG_FIELD_U64(struct counts, lag_ms),
    MSG_FIELD_U32(struct counts, allowed),
#define X(symbol, ...) FIELD(refused, REASON_##symbol)
    REASONS(X)
#undef X
#define X(symbol, ...) FIELD(ended, REASON_##symbol)
	REASONS(X)
#undef X
	    FIELD(status, 0) FIELD(status, 1) FIELD(status, 2) FIELD(status, 3)
		FIELD(status, 4) FIELD(status, 5)
#define X(i, ms) FIELD(took, i)
		    COUNTS_TOOK(X) FIELD(took, COUNTS_TOOK_N - 1)
#undef X
#define X(i, ms) FIELD(lag, i)
			COUNTS_LAG(X) FIELD(lag, COUNTS_LAG_N - 1)
#undef X
			    MSG_FIELD_U32(struct counts, log),
};
const struct msg_type msg_counts =
    MSG_TYPE(0x0810, "counts", struct counts, fields, MSG_NO_FD);
_Static_assert(sizeof(struct counts) <= MSG_STRUCT_MAX, "fits the stack");
_Static_assert(COUNTS_CLASSES == 6, "as many as are listed");

#define X(i, ms) ms,
static const uint32_t took_bounds[] = {COUNTS_TOOK(X)};
static const uint32_t lag_bounds[] = {COUNTS_LAG(X)};
#undef X

static size_t
slot(const uint32_t *bounds, size_t n, uint64_t ms)
{
	size_t i = 0;

	while (i < n && ms > bounds[i])
		i++;
	return i;
}

size_t
counts_took_slot(uint64_t ms)
{
	return slot(took_bounds, COUNTS_TOOK_N - 1, ms);
}

size_t
counts_lag_slot(uint64_t ms)
{
	return slot(lag_bounds, COUNTS_LAG_N - 1, ms);
}

uint32_t
counts_took_bound(size_t i)
{
	return i < COUNTS_TOOK_N - 1 ? took_bounds[i] : 0;
}

uint32_t
counts_lag_bound(size_t i)
{
	return i < COUNTS_LAG_N - 1 ? lag_bounds[i] : 0;
}
