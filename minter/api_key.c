/* SPDX-License-Identifier: ISC */
/* What for: key.rotate, key.list, and the metadata of RFC 8414. Trusts: the
 * caller is the owner. At a bound: says why. */
#include "minter/api.h"

#include "minter/keyring.h"
#include "minter/token.h"

#include <stdlib.h>

struct rotating {
	struct minter *m;
	struct admin_call *call;
};

static json_t *
keys(struct minter *m)
{
	struct jwks set = {0};
	json_t *list = json_array();

	if (keyring_public(m, &set) != 0)
		set.n = 0;
	for (size_t i = 0; i < set.n; i++)
		(void)json_array_append_new(
		    list, json_pack("{s:s, s:b}", "kid", set.keys[i].kid,
			      "current", i == 0));
	return json_pack("{s:o, s:I, s:I, s:I}", "keys", list, "made",
	    (json_int_t)signing_made(m->token_keys), "rotates",
	    (json_int_t)signing_made(m->token_keys) + KEYRING_AGE_S,
	    "overlap", (json_int_t)KEYRING_OVERLAP_S);
}

static void
on_rotated(void *ctx, int err)
{
	struct rotating *t = ctx;

	if (err == 0)
		admin_reply(t->call, keys(t->m));
	else if (err == ERR_SEQUENCE)
		admin_problem(t->call, 409, "a rotation is under way",
		    "hatcheck key list", "One at a time.");
	else if (t->m->failed != NULL)
		api_storage_problem(t->m, t->call);
	else
		admin_problem(t->call, 503, "the key was not rotated",
		    "hatcheck status; then again",
		    "The vault did not store a new one: %s. The present key "
		    "stays.",
		    err_text(err));
	free(t);
}

void
api_key_rotate(void *ctx, struct admin_call *call, const json_t *body)
{
	static const char *const names[] = {NULL};
	struct rotating *t;

	if (!api_only(call, body, names) || !api_ready(ctx, call))
		return;
	if ((t = calloc(1, sizeof(*t))) == NULL) {
		api_no_memory(call);
		return;
	}
	*t = (struct rotating){ctx, call};
	keyring_rotate(ctx, on_rotated, t);
}

void
api_key_list(void *ctx, struct admin_call *call, const json_t *body)
{
	static const char *const names[] = {NULL};

	if (api_only(call, body, names) && api_ready(ctx, call))
		admin_reply(call, keys(ctx));
}

/* What a guest's client finds where, and what can be asked for. */
void
api_token_metadata(void *ctx, struct admin_call *call, const json_t *body)
{
	static const char *const names[] = {NULL};

	(void)ctx;
	if (!api_only(call, body, names))
		return;
	admin_reply(call,
	    json_pack("{s:s, s:s, s:s, s:s, s:[], s:[s,s], s:[s], s:[s], s:[s]}",
		"issuer", MINTER_ISSUER, "token_endpoint",
		MINTER_ISSUER "/v1/token", "revocation_endpoint",
		MINTER_ISSUER "/v1/revoke", "jwks_uri",
		MINTER_ISSUER "/v1/jwks", "response_types_supported",
		"grant_types_supported", TOKEN_CLIENT_CREDENTIALS,
		TOKEN_EXCHANGE, "token_endpoint_auth_methods_supported",
		"none", "revocation_endpoint_auth_methods_supported", "none",
		"authorization_details_types_supported", "hatcheck-grant"));
}
