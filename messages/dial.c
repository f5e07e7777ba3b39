/* SPDX-License-Identifier: ISC */
/* What for: the tables of dial.h. Trusts: nothing. At a bound: lib/msg
 * refuses. */
#include "messages/dial.h"

static const struct msg_field ask[] = {
	MSG_FIELD_U32(struct dial_ask, rid),
	MSG_FIELD_SPAN(struct dial_ask, host, 255),
	MSG_FIELD_U16(struct dial_ask, port),
};
const struct msg_type msg_dial_ask =
    MSG_TYPE(0x0601, "dial_ask", struct dial_ask, ask, MSG_NO_FD);

static const struct msg_field done[] = {
	MSG_FIELD_U32(struct dial_done, rid),
	MSG_FIELD_U32(struct dial_done, err),
	MSG_FIELD_SPAN(struct dial_done, address, 64),
};
const struct msg_type msg_dial_done =
    MSG_TYPE(0x0602, "dial_done", struct dial_done, done, MSG_MAY_FD);

static const struct msg_field cancel[] = {
	MSG_FIELD_U32(struct dial_cancel, rid),
};
const struct msg_type msg_dial_cancel =
    MSG_TYPE(0x0603, "dial_cancel", struct dial_cancel, cancel, MSG_NO_FD);
