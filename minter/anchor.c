/* SPDX-License-Identifier: ISC */
/* What for: the bytes that anchors and removals sign, for signer and verifier
 * alike. Trusts: its caller. At a bound: the buffer's limit. */
#include "minter/audit.h"

int
audit_anchor_message(const char *session, uint64_t seq,
    const uint8_t hash[static CHAINLOG_HASH], struct buf *out)
{
	static const char label[] = "hatcheck-anchor";
	int r;

	if ((r = buf_put(out, label, sizeof(label))) != 0 ||
	    (r = buf_put(out, session, strlen(session) + 1)) != 0 ||
	    (r = buf_put_u64(out, seq)) != 0)
		return r;
	return buf_put(out, hash, CHAINLOG_HASH);
}

int
audit_removed_message(const char *session, uint64_t from, uint64_t upto,
    const uint8_t hash[static CHAINLOG_HASH], struct buf *out)
{
	static const char label[] = "hatcheck-removed";
	int r;

	if ((r = buf_put(out, label, sizeof(label))) != 0 ||
	    (r = buf_put(out, session, strlen(session) + 1)) != 0 ||
	    (r = buf_put_u64(out, from)) != 0 ||
	    (r = buf_put_u64(out, upto)) != 0)
		return r;
	return buf_put(out, hash, CHAINLOG_HASH);
}
