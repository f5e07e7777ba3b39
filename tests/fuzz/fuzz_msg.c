/* SPDX-License-Identifier: ISC */
/* Every message between siblings: the first byte picks the type, the rest
 * is its payload. What decodes encodes to the same bytes. */
#include "messages/bounds.h"
#include "messages/ca.h"
#include "messages/control.h"
#include "messages/dial.h"
#include "messages/guest.h"
#include "messages/keeper.h"
#include "messages/lease.h"
#include "messages/rules.h"
#include "messages/traffic.h"
#include "messages/vault_cli.h"
#include "tests/fuzz/fuzz.h"

static const struct msg_type *const types[] = {
    &msg_ca_ask,
    &msg_ca_given,
    &msg_ca_stale,
    &msg_bounds,
    &msg_proxy,
    &msg_ready,
    &msg_peer,
    &msg_descriptor,
    &msg_session_gone,
    &msg_stop,
    &msg_session_start,
    &msg_session_update,
    &msg_session_end,
    &msg_done,
    &msg_session_lost,
    &msg_process,
    &msg_shutdown,
    &msg_conn,
    &msg_taken,
    &msg_refused,
    &msg_dial_ask,
    &msg_dial_done,
    &msg_dial_cancel,
    &msg_guest_session,
    &msg_guest_family,
    &msg_guest_cut,
    &msg_guest_cut_done,
    &msg_guest_token_ask,
    &msg_guest_token_given,
    &msg_guest_token_revoke,
    &msg_keeper_state,
    &msg_keeper_get,
    &msg_keeper_put,
    &msg_keeper_got,
    &msg_keeper_credential,
    &msg_keeper_credential_info,
    &msg_lease_ask,
    &msg_lease_given,
    &msg_lease_changed,
    &msg_lease_settled,
    &msg_lease_rejected,
    &msg_rules_session,
    &msg_rules_family,
    &msg_rules_cut,
    &msg_rules_cut_done,
    &msg_rules_audit_head,
    &msg_rules_used,
    &msg_traffic_connect,
    &msg_traffic_connect_done,
    &msg_traffic_conn_end,
    &msg_traffic_tunnel,
    &msg_traffic_request,
    &msg_traffic_interim,
    &msg_traffic_response,
    &msg_traffic_bytes,
    &msg_traffic_end,
    &msg_traffic_window,
    &msg_traffic_reset,
    &msg_traffic_refused,
    &msg_traffic_note,
    &msg_traffic_cut,
    &msg_vault_request,
    &msg_vault_reply,
};
#define N_TYPES (sizeof(types) / sizeof(types[0]))

static void
headers(struct span list)
{
	struct span name, value;

	while (headers_next(&list, &name, &value) == 0)
		MUST(name.n + value.n <= TRAFFIC_HEAD_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_Alignas(8) uint8_t m[MSG_STRUCT_MAX] = {0};
	struct span in = span_of(data, size);
	struct msg_header h;

	if (size == 0)
		return 0;
	(void)msg_header_decode(in, &h); /* only must not crash */
	headers(in);
	const struct msg_type *t = types[data[0] % N_TYPES];
	struct span payload = span_from(in, 1);
	if (msg_decode(t, payload, m) != 0)
		return 0;
	struct buf *out = buf_new(MSG_MAX + MSG_HEADER_LEN);
	MUST(msg_encode(t, m, t->fd == MSG_MUST_FD, out) == 0);
	MUST(span_eq(span_from(buf_span(out), MSG_HEADER_LEN), payload));
	buf_free(out);
	return 0;
}
