/* SPDX-License-Identifier: ISC */
/*
 * The environment of commands in the guest: one table says which variable
 * is for which client (vars.c); placeholders and base URLs come from the
 * session's document.
 */
#ifndef GUEST_VARS_H
#define GUEST_VARS_H

#include "guest-agent/channel.h"
#include "guest-agent/files.h"
#include "guest-agent/json.h"

struct vars {
	struct var {
		const char *name;
		char *value;
	} * list;
	size_t n;
};

/* All variables, in order. Names borrow from doc and the table. */
void vars_make(struct vars *v, const struct files *f, int port,
    const struct channel *c, const struct json *doc);
/* Into our own environment. */
void vars_apply(const struct vars *v);
/* To stdout; shell: "sh", "fish" or "json". False: no such shell. */
bool vars_print(const struct vars *v, const char *shell);
void vars_free(struct vars *v);

#endif
