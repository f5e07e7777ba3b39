/* SPDX-License-Identifier: ISC */
/* What for: the tables of vault_cli.h. Trusts: nothing. At a bound: lib/msg
 * refuses. */
#include "messages/vault_cli.h"

#include "lib/secret.h"

static const struct msg_field request[] = {
	MSG_FIELD_SPAN(struct vault_request, verb, 32),
	MSG_FIELD_SPAN(struct vault_request, json, 64 * 1024),
	MSG_FIELD_SPAN(struct vault_request, secret, KEEP_MAX),
};
const struct msg_type msg_vault_request = MSG_TYPE(
    0x0501, "vault_request", struct vault_request, request, MSG_NO_FD);

static const struct msg_field reply[] = {
	MSG_FIELD_U32(struct vault_reply, err),
	MSG_FIELD_SPAN(struct vault_reply, json, 256 * 1024),
	MSG_FIELD_SPAN(struct vault_reply, what, 1024),
	MSG_FIELD_SPAN(struct vault_reply, next, 1024),
};
const struct msg_type msg_vault_reply =
    MSG_TYPE(0x0502, "vault_reply", struct vault_reply, reply, MSG_NO_FD);
