/* SPDX-License-Identifier: ISC */
/*
 * The minter's own audit chain, log/audit/minter.jsonl, and its further files
 * (lib/segments.h): administrative acts,
 * tokens (jti only), revocations, and signed anchors of the couriers' chain
 * heads. The public half of the audit key is kept in keys.json beside it.
 *
 * A failure is final (lib/chainlog.h): audit_ok() is false from then on, on
 * every call, and the minter must let nothing pass any more.
 *
 *	r = audit_act(a, "grant_removed", json_pack("{s:s}", "grant", name));
 */
#ifndef MINTER_AUDIT_H
#define MINTER_AUDIT_H

#include "keys/signing.h"
#include "lib/chainlog.h"

#include <jansson.h>

#define AUDIT_CHAIN "minter"
#define AUDIT_FILE "minter.jsonl"
#define AUDIT_KEYS "keys.json"

struct audit;

/* dirfd: the audit directory, taken over; reads keys.json if there is
 * one. why: a sentence when it fails. */
MUST_USE int audit_open(int dirfd, struct audit **out, char *why, size_t size);
void audit_free(struct audit *a);

/* One line: {"event":event,"time":ms, ...fields}. fields is consumed. It
 * survives kill -9 at once, and a power cut after the next sync. */
MUST_USE int audit_line(struct audit *a, const char *event, json_t *fields);
MUST_USE int audit_sync(struct audit *a);
/* Both: for what must be on disk before it takes effect. */
MUST_USE int audit_act(struct audit *a, const char *event, json_t *fields);
/* Go on in another file once one has so many bytes. */
void audit_segment(struct audit *a, uint64_t bytes);
bool audit_unsynced(const struct audit *a);
bool audit_ok(const struct audit *a);

/* Sign with keys (borrowed) from now on; adds the public half to
 * keys.json. */
MUST_USE int
audit_use_key(struct audit *a, const struct signing *keys, int64_t now);
/* ERR_SEQUENCE before audit_use_key(). */
MUST_USE int audit_anchor(
    struct audit *a, const char *session, const struct chainlog_head *head);
/* An anchor of this chain itself, if it has lines after the last signed one. */
MUST_USE int audit_seal(struct audit *a);

/* Lines from to last of a chain are about to be removed: said, signed and
 * synced. why: a literal. whole: and with them all that there is of it. */
MUST_USE int audit_removed(struct audit *a, const char *chain, uint64_t from,
    const struct chainlog_head *last, const char *why, bool whole);
/* A line of this chain's oldest files, said again (minter/carry.h); borrowed.
 * Not synced. */
MUST_USE int audit_carry(struct audit *a, json_t *line);

/* What is signed: "hatcheck-anchor" NUL session NUL head after, and
 * "hatcheck-removed" NUL session NUL from upto after. from is 8 bytes,
 * big-endian; the others are a line each, its seq and then its hash: after is
 * the one that the signed line follows in the minter's own chain, so that
 * nobody without the key writes that chain anew, with other hashes. */
MUST_USE int
audit_anchor_message(const char *session, const struct chainlog_head *head,
    const struct chainlog_head *after, struct buf *out);
MUST_USE int audit_removed_message(const char *session, uint64_t from,
    const struct chainlog_head *upto, const struct chainlog_head *after,
    struct buf *out);

#endif
