/* SPDX-License-Identifier: ISC */
/*
 * The JSON documents that a session's grants turn into, one for each
 * sibling that needs to know (shapes: docs/ARCHITECTURE.md). Pure. Strings
 * are new (free() them); NULL when memory is out.
 */
#ifndef MINTER_DOCUMENT_H
#define MINTER_DOCUMENT_H

#include "minter/session.h"

/* Can this set be had at once, within every message's limits? On false why
 * is a sentence. */
bool document_check(const struct grant_set *set, char *why, size_t size);

char *document_for_vault(const struct grant_set *set);
char *document_for_dialer(const struct grant_set *set);
/* For the gate. */
char *document_routes(const struct grant_set *set);
char *document_environment(const struct session *s);
/* For the courier. */
char *document_grants(const struct grant_set *set);
char *document_placeholders(const json_t *placeholders);
/* For the admin API. A new reference. */
json_t *document_session(const struct session *s);
json_t *document_session_row(struct minter *m, const struct session_row *row);

#endif
