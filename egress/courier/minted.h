/* SPDX-License-Identifier: ISC */
/*
 * Does this answer hand out a new secret? The shapes of well-known token
 * endpoints (the table in minted.c), in JSON or as a form: two keys side by
 * side in the outermost object. A net below narrow grants, no more: nested
 * and unknown shapes are not seen. The registry token of Docker's token
 * service ("token" with "expires_in") is not refused: it is what a grant of
 * that service is for.
 *
 *	minted_start(&m, content_type);
 *	minted_run(&m, text, &n)	the first n bytes may pass
 *
 * From the key of a possible secret on, text waits until its object ends
 * or proves to be of such a shape (ERR_DENIED); what is still undecided
 * after MINTED_WAIT bytes, or at the end of the answer, is no token reply
 * and passes.
 */
#ifndef COURIER_MINTED_H
#define COURIER_MINTED_H

#include "lib/err.h"
#include "lib/span.h"

#define MINTED_WAIT (32 * 1024)
#define MINTED_KEY_MAX 24

struct minted {
	enum { MINTED_NOT, MINTED_JSON, MINTED_FORM } kind;
	unsigned seen;	/* bits of the table's keys */
	uint64_t n;	/* bytes looked at */
	uint64_t since; /* where waiting began */
	bool waits;
	bool found; /* with ERR_DENIED */
	/* JSON. */
	uint32_t depth;
	bool in_string, escaped, expect_key;
	/* The key that is being read; longer ones match nothing. */
	char key[MINTED_KEY_MAX];
	size_t key_n;
	bool in_key;
};

/* content_type: as the answer says, or empty. */
void minted_start(struct minted *m, struct span content_type);
/* *pass: how many bytes may pass of all that was looked at. */
MUST_USE int minted_run(struct minted *m, struct span text, uint64_t *pass);

#endif
