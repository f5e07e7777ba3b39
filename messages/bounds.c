/* SPDX-License-Identifier: ISC */
/* What for: the table of bounds.h, as values and as a message. Trusts:
 * nothing. At a bound: bounds_good() says no. */
#include "messages/bounds.h"

struct bounds
bounds_default(void)
{
	return (struct bounds){
#define X(name, usual, ...) .name = (usual),
	    BOUNDS(X)
#undef X
	};
}

static bool
within(uint64_t v, uint64_t least, uint64_t most)
{
	return v >= least && v <= most;
}

bool
bounds_good(const struct bounds *b)
{
	bool good = true;

#define X(name, usual, least, most, ...) \
	good = good && within(b->name, least, most);
	BOUNDS(X)
#undef X
	return good;
}

static const struct msg_field fields[] = {
#define X(name, ...) MSG_FIELD_U64(struct bounds, name),
    BOUNDS(X)
#undef X
};
const struct msg_type msg_bounds =
    MSG_TYPE(0x010d, "bounds", struct bounds, fields, MSG_NO_FD);
