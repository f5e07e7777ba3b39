/* SPDX-License-Identifier: ISC */
/*
 * What the minter says that this session may do: its grants, placeholders,
 * families with their time, and what was cut. No I/O.
 *
 * A cut holds at once and stays: of the session and of a family for good,
 * of a grant or credential until rules have come that do not name it (so
 * that only a new grant brings it back).
 */
#ifndef COURIER_RULES_H
#define COURIER_RULES_H

#include "lib/secret.h"
#include "messages/rules.h"
#include "scope/grant.h"
#include "scope/reason.h"

#define RULES_FAMILIES_MAX 4096

struct rules;

MUST_USE int rules_new(struct rules **out);
void rules_free(struct rules *r);

/* The minter is a sibling: ERR_FORMAT is its misbehaviour. On failure the
 * old rules stand. */
MUST_USE int rules_load(struct rules *r, const struct rules_session *m);
MUST_USE int rules_put_family(struct rules *r, const struct rules_family *m);
MUST_USE int rules_cut(struct rules *r, const struct rules_cut *m);
/* The minter is gone: NOT_READY until rules come again. What is known, cuts
 * above all, stays. */
void rules_suspend(struct rules *r);
/* Forget families that ended a while ago, to make room. */
void rules_sweep(struct rules *r, uint64_t now_ms);

/* REASON_NONE: the family and all above it live. jti (optional) is borrowed until the
 * next change. */
enum reason rules_check_family(const struct rules *r, struct span family,
    uint64_t now_ms, const char **jti);
/* A family and those above it, from the inside out, and what they may less
 * than the session: all borrowed until the next change. */
#define RULES_LINE_MAX 16
struct rules_line {
	size_t n, n_within;
	const char *family[RULES_LINE_MAX], *act[RULES_LINE_MAX];
	const struct grant_set *within[RULES_LINE_MAX];
	const char *narrow[RULES_LINE_MAX]; /* whose within[] are */
};
bool rules_knows(const struct rules *r, struct span family);
void rules_line(
    const struct rules *r, struct span family, struct rules_line *out);
/* REASON_NONE or REVOKED. An empty credential is none. */
enum reason rules_check_cut(
    const struct rules *r, const char *grant, const char *credential);

const struct grant_set *rules_grants(const struct rules *r);
/* The grant of that name, or NULL. */
const struct grant *rules_grant(const struct rules *r, const char *name);
/* Does the grant name host:port? */
bool rules_grant_names(const struct grant *g, const char *host, uint16_t port);

/* The credential that this placeholder of ours stands for, or NULL. Looks
 * at all of them in constant time. */
const char *rules_placeholder(const struct rules *r, struct span value);

#endif
