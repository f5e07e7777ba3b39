/* SPDX-License-Identifier: ISC */
/*
 * Credentials on loan from the vault: asked for when first needed, held
 * for LEASE_MS at most, dropped when the vault says that they changed, or
 * when its link breaks. The owner of the link feeds the messages in.
 *
 * There is no callback per ask: leases_get() says ERR_SEQUENCE while an
 * answer is awaited, and its caller tries again after leases_given().
 */
#ifndef COURIER_LEASE_H
#define COURIER_LEASE_H

#include "egress/courier/scrub.h"
#include "egress/courier/verdict.h"
#include "lib/link.h"
#include "lib/secret.h"
#include "messages/lease.h"
#include "scope/metadata.h"

struct lease {
	char name[GRANT_NAME_MAX];
	uint32_t version;
	struct metadata metadata;
	struct keep *secret;
	uint8_t digest[VERDICT_DIGEST]; /* of version and secret */
};

struct leases;

MUST_USE int leases_new(struct leases **out);
void leases_free(struct leases *l);

/* The vault's link, or NULL when there is none: forgets everything. */
void leases_use(struct leases *l, struct link *vault);

/* 0 and the lease (borrowed until control returns to the loop);
 * ERR_SEQUENCE: asked for, try again; ERR_UNAVAILABLE, ERR_LOCKED,
 * ERR_DENIED, ERR_NOT_FOUND: cannot be had now. */
MUST_USE int
leases_get(struct leases *l, const char *name, const struct lease **out);

/* ERR_FORMAT: the vault misbehaves. After a good one: try all waiting
 * again, then leases_settle(), which lets failures be asked for anew. */
MUST_USE int leases_given(struct leases *l, const struct lease_given *m);
void leases_settle(struct leases *l);
void leases_changed(struct leases *l, struct span credential);
/* Drop what is older than LEASE_MS. */
void leases_sweep(struct leases *l, uint64_t now_ms);

/* What upstreams said of them. */
struct verdicts *leases_verdicts(struct leases *l);
/* An upstream rejects the value of that digest: have it, if it is still what
 * is held, asked for anew. 0: there is another one already; ERR_SEQUENCE and
 * the others as of leases_get(). */
MUST_USE int leases_doubt(struct leases *l, const char *name,
    const uint8_t digest[VERDICT_DIGEST]);
/* Tell the vault, for its owner's eyes. */
void leases_tell_rejected(
    struct leases *l, const struct lease *lease, const char *host);

/* What to scrub for: all that is leased now or was within LEASE_MS, since
 * answers to it may still be under way. Borrowed; NULL: cannot be made,
 * so nothing may be passed on. */
struct scrub_set *leases_scrub_set(struct leases *l);

#endif
