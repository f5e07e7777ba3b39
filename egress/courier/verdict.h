/* SPDX-License-Identifier: ISC */
/*
 * What upstreams say of the credentials that we put in: whether a 401 means
 * that one is dead. Pure bookkeeping of one session: no I/O, and no clock
 * but the caller's.
 *
 * A value that has been answered with something else than a 401 at a host
 * works there; VERDICT_STREAK 401s in a row must come then before it is
 * doubted, for a path may answer so to anybody. One that never did is
 * doubted at its first. Who doubts asks the vault once more: if it has
 * nothing else to give, that value is dead at that host, and is not put in
 * again until it changes. It is asked for again, at most once in
 * VERDICT_AGAIN_MS: the keychain may have been changed behind us.
 *
 * All of it is the session's own: what one guest makes an upstream say of a
 * credential takes it from nobody else.
 */
#ifndef COURIER_VERDICT_H
#define COURIER_VERDICT_H

#include "egress/http/head.h"
#include "scope/grant.h"
#include "scope/host.h"

#define VERDICT_STREAK 5
#define VERDICT_AGAIN_MS 10000
#define VERDICT_DIGEST 16 /* of a value and its version */

struct verdict {
	struct verdict *next;
	char credential[GRANT_NAME_MAX];
	char host[HOST_MAX];
	uint16_t port;
	uint8_t digest[VERDICT_DIGEST]; /* of the value that this is about */
	unsigned streak;		/* 401s since any other answer */
	bool works, dead;
	uint64_t asked_ms; /* the vault, of a dead one */
};

/* Zero-filled: none. A session's credentials and their bindings bound it. */
struct verdicts {
	struct verdict *first;
	size_t n;
};

void verdicts_free(struct verdicts *all);

/* A 401 asks for something else than what was sent when its challenges name
 * other schemes only: then it says nothing of it. scheme: "bearer", "basic",
 * or NULL for a value in a place of its own. */
bool verdict_is_rejection(const struct head *answer, const char *scheme);

/* The record for a credential at a host, made when there is none; one of
 * another value is about this one from now on. NULL: out of memory. */
struct verdict *verdicts_of(struct verdicts *all, const char *credential,
    const uint8_t digest[VERDICT_DIGEST], const char *host, uint16_t port);

/* The same, but NULL when there is none, or it is of another value. */
struct verdict *
verdicts_about(const struct verdicts *all, const char *credential,
    const uint8_t digest[VERDICT_DIGEST], const char *host, uint16_t port);

/* An answer came. True: doubt it. */
bool verdict_answer(struct verdict *v, bool rejected);
/* The vault was asked and has nothing else. */
void verdict_bury(struct verdict *v, uint64_t now_ms);
/* A dead one may be asked for again: says so once in VERDICT_AGAIN_MS. */
bool verdict_ask_again(struct verdict *v, uint64_t now_ms);

#endif
