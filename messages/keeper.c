/* SPDX-License-Identifier: ISC */
/* What for: the tables of keeper.h. Trusts: nothing. At a bound: lib/msg
 * refuses. */
#include "messages/keeper.h"

static const struct msg_field state[] = {
	MSG_FIELD_U8(struct keeper_state, state),
	MSG_FIELD_SPAN(struct keeper_state, why, 256),
};
const struct msg_type msg_keeper_state =
    MSG_TYPE(0x0201, "keeper_state", struct keeper_state, state, MSG_NO_FD);

static const struct msg_field get[] = {
	MSG_FIELD_U32(struct keeper_get, rid),
	MSG_FIELD_SPAN(struct keeper_get, name, KEY_NAME_MAX),
};
const struct msg_type msg_keeper_get =
    MSG_TYPE(0x0202, "keeper_get", struct keeper_get, get, MSG_NO_FD);

static const struct msg_field put[] = {
	MSG_FIELD_U32(struct keeper_put, rid),
	MSG_FIELD_SPAN(struct keeper_put, name, KEY_NAME_MAX),
	MSG_FIELD_SPAN(struct keeper_put, bytes, KEY_BYTES_MAX),
};
const struct msg_type msg_keeper_put =
    MSG_TYPE(0x0203, "keeper_put", struct keeper_put, put, MSG_NO_FD);

static const struct msg_field got[] = {
	MSG_FIELD_U32(struct keeper_got, rid),
	MSG_FIELD_U32(struct keeper_got, err),
	MSG_FIELD_SPAN(struct keeper_got, bytes, KEY_BYTES_MAX),
};
const struct msg_type msg_keeper_got =
    MSG_TYPE(0x0204, "keeper_got", struct keeper_got, got, MSG_NO_FD);

static const struct msg_field credential[] = {
	MSG_FIELD_U32(struct keeper_credential, rid),
	MSG_FIELD_SPAN(struct keeper_credential, name, 64),
};
const struct msg_type msg_keeper_credential = MSG_TYPE(0x0205,
    "keeper_credential", struct keeper_credential, credential, MSG_NO_FD);

static const struct msg_field info[] = {
	MSG_FIELD_U32(struct keeper_credential_info, rid),
	MSG_FIELD_U32(struct keeper_credential_info, err),
	MSG_FIELD_SPAN(struct keeper_credential_info, json, 64 * 1024),
};
const struct msg_type msg_keeper_credential_info =
    MSG_TYPE(0x0206, "keeper_credential_info", struct keeper_credential_info,
	info, MSG_NO_FD);
