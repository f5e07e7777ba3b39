/* SPDX-License-Identifier: ISC */
/* What for: the place of a session's socket, taken apart. Trusts: nothing;
 * the minter's words are read as a stranger's. At a bound: an error. */
#include "supervisor/place.h"

#include "messages/control.h"

#include <string.h>

int
place_split(struct span place, char dir[static PATH_MAX],
    char name[static NAME_MAX + 1])
{
	const size_t n = strlen(CHANNEL_HYBRID);
	bool hybrid = place.n > n && memcmp(place.p, CHANNEL_HYBRID, n) == 0;
	char *slash;

	if (hybrid)
		place = (struct span){place.p + n, place.n - n};
	int r = span_copy(place, dir, PATH_MAX);
	if (r != 0 || !hybrid)
		return r;
	if (dir[0] != '/' || (slash = strrchr(dir, '/'))[1] == '\0')
		return ERR_FORMAT;
	r = span_copy(span_str(slash + 1), name, NAME_MAX + 1);
	slash[slash == dir] = '\0';
	return r;
}
