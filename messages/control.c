/* SPDX-License-Identifier: ISC */
/* What for: the tables of control.h. Trusts: nothing. At a bound: lib/msg
 * refuses. */
#include "messages/control.h"

const struct msg_type msg_ready = MSG_TYPE_EMPTY(0x0101, "ready", MSG_NO_FD);
const struct msg_type msg_stop = MSG_TYPE_EMPTY(0x0102, "stop", MSG_NO_FD);
const struct msg_type msg_shutdown =
    MSG_TYPE_EMPTY(0x0103, "shutdown", MSG_NO_FD);

static const struct msg_field peer[] = {
	MSG_FIELD_U8(struct ctl_peer, role),
	MSG_FIELD_SPAN(struct ctl_peer, session, SESSION_ID_MAX),
	MSG_FIELD_SPAN(struct ctl_peer, descriptor, DESCRIPTOR_MAX),
};
const struct msg_type msg_peer =
    MSG_TYPE(0x0104, "peer", struct ctl_peer, peer, MSG_MUST_FD);

static const struct msg_field descriptor[] = {
	MSG_FIELD_SPAN(struct ctl_descriptor, session, SESSION_ID_MAX),
	MSG_FIELD_SPAN(struct ctl_descriptor, descriptor, DESCRIPTOR_MAX),
};
const struct msg_type msg_descriptor = MSG_TYPE(
    0x0105, "descriptor", struct ctl_descriptor, descriptor, MSG_NO_FD);

static const struct msg_field session_gone[] = {
	MSG_FIELD_SPAN(struct ctl_session_gone, session, SESSION_ID_MAX),
};
const struct msg_type msg_session_gone = MSG_TYPE(0x0106, "session_gone",
    struct ctl_session_gone, session_gone, MSG_NO_FD);

static const struct msg_field session_start[] = {
	MSG_FIELD_U32(struct ctl_session_start, rid),
	MSG_FIELD_SPAN(struct ctl_session_start, session, SESSION_ID_MAX),
	MSG_FIELD_SPAN(struct ctl_session_start, guest, NAME_MAX_),
	MSG_FIELD_SPAN(struct ctl_session_start, channel, 4096),
	MSG_FIELD_U32(struct ctl_session_start, channel_uid),
	MSG_FIELD_U32(struct ctl_session_start, pid),
	MSG_FIELD_U64(struct ctl_session_start, pid_started),
	MSG_FIELD_SPAN(struct ctl_session_start, for_vault, DESCRIPTOR_MAX),
	MSG_FIELD_SPAN(struct ctl_session_start, for_dialer, DESCRIPTOR_MAX),
};
const struct msg_type msg_session_start = MSG_TYPE(0x0107, "session_start",
    struct ctl_session_start, session_start, MSG_NO_FD);

static const struct msg_field session_update[] = {
	MSG_FIELD_U32(struct ctl_session_update, rid),
	MSG_FIELD_SPAN(struct ctl_session_update, session, SESSION_ID_MAX),
	MSG_FIELD_SPAN(struct ctl_session_update, for_vault, DESCRIPTOR_MAX),
	MSG_FIELD_SPAN(struct ctl_session_update, for_dialer, DESCRIPTOR_MAX),
};
const struct msg_type msg_session_update = MSG_TYPE(0x0108, "session_update",
    struct ctl_session_update, session_update, MSG_NO_FD);

static const struct msg_field session_end[] = {
	MSG_FIELD_U32(struct ctl_session_end, rid),
	MSG_FIELD_U8(struct ctl_session_end, kind),
	MSG_FIELD_SPAN(struct ctl_session_end, session, SESSION_ID_MAX),
};
const struct msg_type msg_session_end = MSG_TYPE(0x0109, "session_end",
    struct ctl_session_end, session_end, MSG_NO_FD);

static const struct msg_field done[] = {
	MSG_FIELD_U32(struct ctl_done, rid),
	MSG_FIELD_U32(struct ctl_done, err),
	MSG_FIELD_SPAN(struct ctl_done, session, SESSION_ID_MAX),
	MSG_FIELD_SPAN(struct ctl_done, channel_dir, 4096),
	MSG_FIELD_SPAN(struct ctl_done, detail, 512),
};
const struct msg_type msg_done =
    MSG_TYPE(0x010a, "done", struct ctl_done, done, MSG_NO_FD);

static const struct msg_field session_lost[] = {
	MSG_FIELD_SPAN(struct ctl_session_lost, session, SESSION_ID_MAX),
	MSG_FIELD_SPAN(struct ctl_session_lost, why, 256),
};
const struct msg_type msg_session_lost = MSG_TYPE(0x010b, "session_lost",
    struct ctl_session_lost, session_lost, MSG_NO_FD);

static const struct msg_field process[] = {
	MSG_FIELD_U8(struct ctl_process, role),
	MSG_FIELD_U8(struct ctl_process, state),
	MSG_FIELD_U32(struct ctl_process, pid),
	MSG_FIELD_U32(struct ctl_process, restarts),
	MSG_FIELD_SPAN(struct ctl_process, session, SESSION_ID_MAX),
};
const struct msg_type msg_process =
    MSG_TYPE(0x010c, "process", struct ctl_process, process, MSG_NO_FD);

static const struct msg_field proxy[] = {
	MSG_FIELD_U8(struct ctl_proxy, kind),
	MSG_FIELD_SPAN(struct ctl_proxy, host, 255),
	MSG_FIELD_U16(struct ctl_proxy, port),
	MSG_FIELD_SPAN(struct ctl_proxy, no_proxy, CTL_NO_PROXY_MAX),
};
const struct msg_type msg_proxy =
    MSG_TYPE(0x010e, "proxy", struct ctl_proxy, proxy, MSG_NO_FD);

const struct msg_type msg_conn = MSG_TYPE_EMPTY(0x010f, "conn", MSG_MUST_FD);
const struct msg_type msg_taken = MSG_TYPE_EMPTY(0x0110, "taken", MSG_NO_FD);

static const struct msg_field refused[] = {
	MSG_FIELD_U32(struct ctl_refused, cid),
	MSG_FIELD_U32(struct ctl_refused, port),
	MSG_FIELD_U32(struct ctl_refused, count),
	MSG_FIELD_SPAN(struct ctl_refused, session, SESSION_ID_MAX),
	MSG_FIELD_SPAN(struct ctl_refused, why, 64),
};
const struct msg_type msg_refused =
    MSG_TYPE(0x0111, "refused", struct ctl_refused, refused, MSG_NO_FD);

const struct msg_type msg_audit_long =
    MSG_TYPE_EMPTY(0x0118, "audit_long", MSG_NO_FD);

static const struct msg_field given[] = {
	MSG_FIELD_SPAN(struct ctl_given, session, SESSION_ID_MAX),
};
const struct msg_type msg_given =
    MSG_TYPE(0x011a, "given", struct ctl_given, given, MSG_MUST_FD);

static const struct msg_field audit_next[] = {
	MSG_FIELD_U64(struct ctl_audit_next, closed),
};
const struct msg_type msg_audit_next = MSG_TYPE(
    0x0119, "audit_next", struct ctl_audit_next, audit_next, MSG_MUST_FD);

static const struct msg_field session_kill[] = {
	MSG_FIELD_SPAN(struct ctl_session_kill, session, SESSION_ID_MAX),
};
const struct msg_type msg_session_kill = MSG_TYPE(0x010d, "session_kill",
    struct ctl_session_kill, session_kill, MSG_NO_FD);
