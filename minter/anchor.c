/* SPDX-License-Identifier: ISC */
/* What for: the bytes that anchors and removals sign, for signer and verifier
 * alike. Trusts: its caller. At a bound: the buffer's limit. */
#include "minter/audit.h"

static int
put_place(struct buf *out, const struct chainlog_head *after)
{
	int r = buf_put_u64(out, after->seq);

	return r != 0 ? r : buf_put(out, after->hash, CHAINLOG_HASH);
}

int
audit_anchor_message(const char *session, const struct chainlog_head *head,
    const struct chainlog_head *after, struct buf *out)
{
	static const char label[] = "hatcheck-anchor";
	int r;

	if ((r = buf_put(out, label, sizeof(label))) != 0 ||
	    (r = buf_put(out, session, strlen(session) + 1)) != 0 ||
	    (r = put_place(out, head)) != 0)
		return r;
	return put_place(out, after);
}

int
audit_removed_message(const char *session, uint64_t from,
    const struct chainlog_head *upto, const struct chainlog_head *after,
    struct buf *out)
{
	static const char label[] = "hatcheck-removed";
	int r;

	if ((r = buf_put(out, label, sizeof(label))) != 0 ||
	    (r = buf_put(out, session, strlen(session) + 1)) != 0 ||
	    (r = buf_put_u64(out, from)) != 0 ||
	    (r = put_place(out, upto)) != 0)
		return r;
	return put_place(out, after);
}
