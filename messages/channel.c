/* SPDX-License-Identifier: ISC */
/* What for: the place of a session's channel, taken apart. Trusts: nothing;
 * the minter's words are read as a stranger's. At a bound: an error. */
#include "messages/channel.h"

#include <stdio.h>
#include <string.h>

#define PRIVILEGED ":privileged"

static const char *const names[] = {
    [CHANNEL_UNIX] = "unix",
    [CHANNEL_HYBRID] = "hybrid",
    [CHANNEL_VSOCK] = "vsock",
};

const char *
channel_kind_name(enum channel_kind kind)
{
	return names[kind];
}

/* "NAME:" says the kind; without one it is a directory. */
static enum channel_kind
split(struct span place, struct span *rest)
{
	for (enum channel_kind k = CHANNEL_HYBRID; k <= CHANNEL_VSOCK; k++) {
		size_t n = strlen(names[k]);
		if (place.n > n && memcmp(place.p, names[k], n) == 0 &&
		    place.p[n] == ':') {
			*rest = span_from(place, n + 1);
			return k;
		}
	}
	*rest = place;
	return CHANNEL_UNIX;
}

enum channel_kind
channel_kind(struct span place)
{
	struct span rest;

	return split(place, &rest);
}

bool
channel_cid_ok(uint64_t cid)
{
	return cid == CHANNEL_CID_LOCAL ||
	       (cid >= CHANNEL_CID_FIRST && cid < UINT32_MAX);
}

void
channel_vsock(uint32_t cid, bool privileged, char out[static CHANNEL_VSOCK_MAX])
{
	(void)snprintf(out, CHANNEL_VSOCK_MAX, "%s:%u%s", names[CHANNEL_VSOCK],
	    (unsigned)cid, privileged ? PRIVILEGED : ""); /* fits */
}

static int
parse_unix(struct span place, struct channel *c)
{
	memcpy(c->name, CHANNEL_SOCKET, sizeof(CHANNEL_SOCKET));
	return span_copy(place, c->dir, sizeof(c->dir));
}

static int
parse_hybrid(struct span path, struct channel *c)
{
	char *slash;
	int r = span_copy(path, c->dir, sizeof(c->dir));

	if (r != 0)
		return r;
	if (c->dir[0] != '/' || (slash = strrchr(c->dir, '/'))[1] == '\0')
		return ERR_FORMAT;
	r = span_copy(span_str(slash + 1), c->name, sizeof(c->name));
	slash[slash == c->dir] = '\0';
	return r;
}

static int
parse_vsock(struct span text, struct channel *c)
{
	const size_t n = strlen(PRIVILEGED);
	uint64_t cid;

	if (text.n > n && memcmp(text.p + text.n - n, PRIVILEGED, n) == 0) {
		c->privileged = true;
		text.n -= n;
	}
	if (span_u64(text, UINT32_MAX, &cid) != 0 || !channel_cid_ok(cid))
		return ERR_FORMAT;
	c->cid = (uint32_t)cid;
	return 0;
}

int
channel_parse(struct span place, struct channel *out)
{
	static int (*const parse[])(struct span, struct channel *) = {
	    [CHANNEL_UNIX] = parse_unix,
	    [CHANNEL_HYBRID] = parse_hybrid,
	    [CHANNEL_VSOCK] = parse_vsock,
	};
	struct channel c = {0};
	struct span rest;

	c.kind = split(place, &rest);
	int r = parse[c.kind](rest, &c);
	if (r == 0)
		*out = c;
	return r;
}
