/* SPDX-License-Identifier: ISC */
/*
 * The admin API's calls (docs/admin-api.md), and what several of them share.
 * Helpers that return bool have answered the call when they return false
 * (api_facts_failed and api_not_covered: when they return true).
 */
#ifndef MINTER_API_H
#define MINTER_API_H

#include "minter/admin.h"
#include "minter/facts.h"
#include "minter/minter.h"

extern const struct admin_route api_routes[];
extern const size_t api_n_routes;

bool
api_only(struct admin_call *call, const json_t *body, const char *const *names);
/* A string member, 1 to size - 1 bytes. */
bool api_text(struct admin_call *call, const json_t *body, const char *name,
    char *out, size_t size);
/* Storage works. */
bool api_working(struct minter *m, struct admin_call *call);
/* Storage works and the signing keys are there. */
bool api_ready(struct minter *m, struct admin_call *call);
bool
api_grant_exists(struct minter *m, struct admin_call *call, const char *name);
/* A live session by id or guest name. */
bool api_session(struct minter *m, struct admin_call *call, const char *key,
    struct session **out);

bool api_facts_failed(
    struct minter *m, struct admin_call *call, int err, const char *missing);
bool api_not_covered(struct admin_call *call, const struct facts *f,
    const struct grant_set *set);

void api_no_memory(struct admin_call *call);
void api_clock_problem(struct admin_call *call);
void api_storage_problem(struct minter *m, struct admin_call *call);
void api_no_keys(struct minter *m, struct admin_call *call);

bool api_list_has(const json_t *list, const char *text);

/* Each in a file of its own. */
admin_handler api_revoke, api_explain, api_suggest, api_token_list,
    api_token_inspect, api_metrics, api_key_rotate, api_key_list,
    api_token_metadata;

#endif
