/* SPDX-License-Identifier: ISC */
/* What for: the tables of guest.h. Trusts: nothing. At a bound: lib/msg
 * refuses. */
#include "messages/guest.h"

static const struct msg_field session[] = {
	MSG_FIELD_SPAN(struct guest_session, session, 32),
	MSG_FIELD_SPAN(struct guest_session, guest, 64),
	MSG_FIELD_SPAN(struct guest_session, issuer, 256),
	MSG_FIELD_SPAN(struct guest_session, channel, 256),
	MSG_FIELD_U32(struct guest_session, channel_uid),
	MSG_FIELD_U64(struct guest_session, expires_ms),
	MSG_FIELD_SPAN(struct guest_session, jwks, 16 * 1024),
	MSG_FIELD_SPAN(struct guest_session, base_random, 64),
	MSG_FIELD_SPAN(struct guest_session, environment, 64 * 1024),
	MSG_FIELD_SPAN(struct guest_session, routes, 128 * 1024),
};
const struct msg_type msg_guest_session = MSG_TYPE(
    0x0701, "guest_session", struct guest_session, session, MSG_NO_FD);

static const struct msg_field family[] = {
	MSG_FIELD_SPAN(struct guest_family, family, FAMILY_MAX),
	MSG_FIELD_U64(struct guest_family, expires_ms),
};
const struct msg_type msg_guest_family = MSG_TYPE(
    0x0702, "guest_family", struct guest_family, family, MSG_NO_FD);

static const struct msg_field cut[] = {
	MSG_FIELD_U32(struct guest_cut, serial),
	MSG_FIELD_SPAN(struct guest_cut, family, FAMILY_MAX),
};
const struct msg_type msg_guest_cut =
    MSG_TYPE(0x0703, "guest_cut", struct guest_cut, cut, MSG_NO_FD);

static const struct msg_field cut_done[] = {
	MSG_FIELD_U32(struct guest_cut_done, serial),
};
const struct msg_type msg_guest_cut_done = MSG_TYPE(
    0x0704, "guest_cut_done", struct guest_cut_done, cut_done, MSG_NO_FD);

static const struct msg_field token_ask[] = {
	MSG_FIELD_U32(struct guest_token_ask, rid),
	MSG_FIELD_SPAN(struct guest_token_ask, grant_type, 128),
	MSG_FIELD_SPAN(struct guest_token_ask, subject_token, TOKEN_MAX),
	MSG_FIELD_SPAN(struct guest_token_ask, subject_token_type, 128),
	MSG_FIELD_SPAN(
	    struct guest_token_ask, authorization_details, 32 * 1024),
	MSG_FIELD_SPAN(struct guest_token_ask, act, 128),
	MSG_FIELD_SPAN(struct guest_token_ask, attached, FAMILY_MAX),
};
const struct msg_type msg_guest_token_ask = MSG_TYPE(
    0x0705, "guest_token_ask", struct guest_token_ask, token_ask, MSG_NO_FD);

static const struct msg_field token_given[] = {
	MSG_FIELD_U32(struct guest_token_given, rid),
	MSG_FIELD_U16(struct guest_token_given, status),
	MSG_FIELD_SPAN(struct guest_token_given, token, TOKEN_MAX),
	MSG_FIELD_U32(struct guest_token_given, expires_in),
	MSG_FIELD_SPAN(struct guest_token_given, family, FAMILY_MAX),
	MSG_FIELD_SPAN(struct guest_token_given, error, 64),
	MSG_FIELD_SPAN(struct guest_token_given, description, 256),
};
const struct msg_type msg_guest_token_given = MSG_TYPE(0x0706,
    "guest_token_given", struct guest_token_given, token_given, MSG_NO_FD);

static const struct msg_field token_revoke[] = {
	MSG_FIELD_U32(struct guest_token_revoke, rid),
	MSG_FIELD_SPAN(struct guest_token_revoke, token, TOKEN_MAX),
	MSG_FIELD_SPAN(struct guest_token_revoke, attached, FAMILY_MAX),
};
const struct msg_type msg_guest_token_revoke = MSG_TYPE(0x0707,
    "guest_token_revoke", struct guest_token_revoke, token_revoke, MSG_NO_FD);
