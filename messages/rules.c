/* SPDX-License-Identifier: ISC */
/* What for: the tables of rules.h. Trusts: nothing. At a bound: lib/msg
 * refuses. */
#include "messages/rules.h"

static const struct msg_field session[] = {
	MSG_FIELD_SPAN(struct rules_session, session, 32),
	MSG_FIELD_SPAN(struct rules_session, guest, 64),
	MSG_FIELD_U64(struct rules_session, expires_ms),
	MSG_FIELD_SPAN(struct rules_session, grants, 256 * 1024),
	MSG_FIELD_SPAN(struct rules_session, placeholders, 64 * 1024),
	MSG_FIELD_SPAN(struct rules_session, used, RULES_USED_MAX),
};
const struct msg_type msg_rules_session = MSG_TYPE(
    0x0801, "rules_session", struct rules_session, session, MSG_NO_FD);

static const struct msg_field family[] = {
	MSG_FIELD_SPAN(struct rules_family, family, 32),
	MSG_FIELD_SPAN(struct rules_family, jti, 64),
	MSG_FIELD_U64(struct rules_family, expires_ms),
	MSG_FIELD_SPAN(struct rules_family, parent, 32),
	MSG_FIELD_SPAN(struct rules_family, act, 64),
	MSG_FIELD_SPAN(struct rules_family, details, 64 * 1024),
};
const struct msg_type msg_rules_family = MSG_TYPE(
    0x0802, "rules_family", struct rules_family, family, MSG_NO_FD);

static const struct msg_field cut[] = {
	MSG_FIELD_U32(struct rules_cut, serial),
	MSG_FIELD_U8(struct rules_cut, kind),
	MSG_FIELD_SPAN(struct rules_cut, name, 64),
};
const struct msg_type msg_rules_cut =
    MSG_TYPE(0x0803, "rules_cut", struct rules_cut, cut, MSG_NO_FD);

static const struct msg_field cut_done[] = {
	MSG_FIELD_U32(struct rules_cut_done, serial),
};
const struct msg_type msg_rules_cut_done = MSG_TYPE(
    0x0804, "rules_cut_done", struct rules_cut_done, cut_done, MSG_NO_FD);

static const struct msg_field audit_head[] = {
	MSG_FIELD_U64(struct rules_audit_head, seq),
	MSG_FIELD_SPAN(struct rules_audit_head, hash, 32),
};
const struct msg_type msg_rules_audit_head = MSG_TYPE(0x0805,
    "rules_audit_head", struct rules_audit_head, audit_head, MSG_NO_FD);

static const struct msg_field used[] = {
	MSG_FIELD_SPAN(struct rules_used, account, RULES_ACCOUNT_MAX),
	MSG_FIELD_U64(struct rules_used, requests),
	MSG_FIELD_U64(struct rules_used, bytes_up),
	MSG_FIELD_U64(struct rules_used, bytes_down),
	MSG_FIELD_U64(struct rules_used, lease),
	MSG_FIELD_U64(struct rules_used, lease_up),
	MSG_FIELD_U64(struct rules_used, lease_down),
};
const struct msg_type msg_rules_used =
    MSG_TYPE(0x0806, "rules_used", struct rules_used, used, MSG_NO_FD);

static const struct msg_field leased[] = {
	MSG_FIELD_SPAN(struct rules_leased, account, RULES_ACCOUNT_MAX),
	MSG_FIELD_U64(struct rules_leased, lease),
	MSG_FIELD_U64(struct rules_leased, lease_up),
	MSG_FIELD_U64(struct rules_leased, lease_down),
};
const struct msg_type msg_rules_leased =
    MSG_TYPE(0x0807, "rules_leased", struct rules_leased, leased, MSG_NO_FD);
