/* SPDX-License-Identifier: ISC */
/*
 * Grants as JSON: the one canonical form between processes, in the minter's
 * database, on the admin API and (RFC 9396 authorization_details) in
 * requests. Strict: duplicate or unknown keys and wrong types are refused.
 *
 *	{"type":"hatcheck-grant","name":"demo-read","credential":"demo",
 *	 "hosts":["api.demo.test:443"],
 *	 "allow":[{"methods":["GET"],"paths":["/v1/**"],"query":["page"]}],
 *	 "limits":{"requests":1000,"rate":50,"rate_ms":1000,
 *	  "bytes_up":1,"bytes_down":1,"concurrent":16},
 *	 "ttl":28800,"tunnel":false,"absolute":false,
 *	 "upstream":{"addresses":["127.0.0.1"],"port":9443,"ca_pem":"..."}}
 */
#ifndef SCOPE_GRANT_JSON_H
#define SCOPE_GRANT_JSON_H

#include "keys/json.h" /* json_strict() */
#include "scope/grant.h"

/* json: one grant. why: a sentence when it fails. Runs grant_check(). */
MUST_USE int grant_from_json(
    const json_t *json, struct grant *out, char *why, size_t size);
MUST_USE int grant_set_from_json(
    const json_t *array, struct grant_set *out, char *why, size_t size);
/* A new reference, keys in the order above, only what is set. */
json_t *grant_to_json(const struct grant *g);
json_t *grant_set_to_json(const struct grant_set *s);

#endif
