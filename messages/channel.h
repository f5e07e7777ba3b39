/* SPDX-License-Identifier: ISC */
/*
 * Where a session's guest connects, as the minter keeps it and tells the
 * supervisor: a line of text, its "place".
 *
 *	/run/x				unix: hatcheck.sock in that directory
 *	(empty)				unix: in one of the supervisor's own
 *	hybrid:/run/vm/v.sock_8377	a socket at which a VMM brings what its
 *					guest connects to that vsock port
 *	vsock:42			the peer with this CID, at the
 *	vsock:42:privileged		supervisor's one vsock port; the same,
 *					from a port below 1024 only
 */
#ifndef MESSAGES_CHANNEL_H
#define MESSAGES_CHANNEL_H

#include "lib/err.h"
#include "lib/span.h"

#include <limits.h>

#define CHANNEL_SOCKET "hatcheck.sock"
#define CHANNEL_PORT 8377	 /* the vsock port, if no other is said */
#define CHANNEL_CID_LOCAL 1	 /* every process of this machine */
#define CHANNEL_CID_FIRST 3	 /* 0 to 2 are no guests */
#define CHANNEL_PRIVILEGED 1023	 /* the last port that takes a privilege */
#define CHANNEL_VSOCK_MAX 32	 /* a place of that kind, with its NUL */
/* Instead of a uid where the kernel names the peer by its CID. */
#define CHANNEL_NO_UID UINT32_MAX

enum channel_kind { CHANNEL_UNIX, CHANNEL_HYBRID, CHANNEL_VSOCK };

struct channel {
	enum channel_kind kind;
	char dir[PATH_MAX];	 /* unix, hybrid */
	char name[NAME_MAX + 1]; /* the socket's, in dir */
	uint32_t cid;		 /* vsock */
	bool privileged;
};

/* "unix", "hybrid", "vsock"; and which kind a place is of. */
const char *channel_kind_name(enum channel_kind kind);
enum channel_kind channel_kind(struct span place);

/* ERR_FORMAT: a hybrid socket's path is relative or ends in a slash, a CID
 * is none that may be registered, or there is a NUL; ERR_TOO_BIG. Whether a
 * directory is there and to be trusted is lib/safefile.h's to say. */
MUST_USE int channel_parse(struct span place, struct channel *out);
/* The place of such a guest. */
void channel_vsock(
    uint32_t cid, bool privileged, char out[static CHANNEL_VSOCK_MAX]);
/* 0 and 2 are hosts, the last is "any"; 1 must have been meant. */
bool channel_cid_ok(uint64_t cid);

#endif
