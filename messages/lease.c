/* SPDX-License-Identifier: ISC */
/* What for: the tables of lease.h. Trusts: nothing. At a bound: lib/msg
 * refuses. */
#include "messages/lease.h"

#include "lib/secret.h"

static const struct msg_field ask[] = {
	MSG_FIELD_U32(struct lease_ask, rid),
	MSG_FIELD_SPAN(struct lease_ask, credential, 64),
};
const struct msg_type msg_lease_ask =
    MSG_TYPE(0x0301, "lease_ask", struct lease_ask, ask, MSG_NO_FD);

static const struct msg_field given[] = {
	MSG_FIELD_U32(struct lease_given, rid),
	MSG_FIELD_U32(struct lease_given, err),
	MSG_FIELD_SPAN(struct lease_given, credential, 64),
	MSG_FIELD_U32(struct lease_given, version),
	MSG_FIELD_SPAN(struct lease_given, metadata, 64 * 1024),
	MSG_FIELD_SPAN(struct lease_given, secret, KEEP_MAX),
};
const struct msg_type msg_lease_given =
    MSG_TYPE(0x0302, "lease_given", struct lease_given, given, MSG_NO_FD);

static const struct msg_field changed[] = {
	MSG_FIELD_SPAN(struct lease_changed, credential, 64),
	MSG_FIELD_U32(struct lease_changed, version),
	MSG_FIELD_U32(struct lease_changed, serial),
};
const struct msg_type msg_lease_changed = MSG_TYPE(
    0x0303, "lease_changed", struct lease_changed, changed, MSG_NO_FD);

static const struct msg_field settled[] = {
	MSG_FIELD_U32(struct lease_settled, serial),
};
const struct msg_type msg_lease_settled = MSG_TYPE(
    0x0304, "lease_settled", struct lease_settled, settled, MSG_NO_FD);

static const struct msg_field rejected[] = {
	MSG_FIELD_SPAN(struct lease_rejected, credential, 64),
	MSG_FIELD_U32(struct lease_rejected, version),
	MSG_FIELD_SPAN(struct lease_rejected, host, 253),
};
const struct msg_type msg_lease_rejected = MSG_TYPE(
    0x0305, "lease_rejected", struct lease_rejected, rejected, MSG_NO_FD);
