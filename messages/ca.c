/* SPDX-License-Identifier: ISC */
/* What for: the tables of ca.h. Trusts: nothing. At a bound: lib/msg
 * refuses. */
#include "messages/ca.h"

static const struct msg_field ask[] = {
	MSG_FIELD_U32(struct ca_ask, rid),
	MSG_FIELD_SPAN(struct ca_ask, spki, 256),
};
const struct msg_type msg_ca_ask =
    MSG_TYPE(0x0401, "ca_ask", struct ca_ask, ask, MSG_NO_FD);

static const struct msg_field given[] = {
	MSG_FIELD_U32(struct ca_given, rid),
	MSG_FIELD_U32(struct ca_given, err),
	MSG_FIELD_SPAN(struct ca_given, intermediate, 64 * 1024),
	MSG_FIELD_SPAN(struct ca_given, root, 8 * 1024),
};
const struct msg_type msg_ca_given =
    MSG_TYPE(0x0402, "ca_given", struct ca_given, given, MSG_NO_FD);

const struct msg_type msg_ca_stale =
    MSG_TYPE_EMPTY(0x0403, "ca_stale", MSG_NO_FD);
