/* SPDX-License-Identifier: ISC */
/* What for: which credentials upstreams reject, for their owner. Trusts: a
 * courier, for what is shown. At a bound: one word per credential. */
#include "vault/rejected.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rejected *
find(struct rejected *r, const char *name)
{
	while (r != NULL && strcmp(r->name, name) != 0)
		r = r->next;
	return r;
}

void
rejected_note(struct rejected **all, const char *name, uint32_t version,
    const char *host, int64_t at)
{
	struct rejected *r = find(*all, name);

	if (r == NULL) {
		if ((r = calloc(1, sizeof(*r))) == NULL)
			return;
		r->next = *all;
		*all = r;
	}
	(void)snprintf(r->name, sizeof(r->name), "%s", name);
	(void)snprintf(r->host, sizeof(r->host), "%s", host);
	r->version = version;
	r->at = at;
}

void
rejected_free(struct rejected **all)
{
	while (*all != NULL) {
		struct rejected *r = *all;
		*all = r->next;
		free(r);
	}
}

void
rejected_show(const struct rejected *all, json_t *metadata)
{
	const char *name = json_string_value(json_object_get(metadata, "name"));
	json_int_t version =
	    json_integer_value(json_object_get(metadata, "version"));

	for (const struct rejected *r = all; r != NULL && name != NULL;
	     r = r->next) {
		if (r->version == version && strcmp(r->name, name) == 0)
			(void)json_object_set_new(metadata, "rejected",
			    json_pack("{s:s, s:I}", "host", r->host, "at",
				(json_int_t)r->at));
	}
}
