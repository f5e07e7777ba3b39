/* SPDX-License-Identifier: ISC */
/* What for: the session as the minter describes it, typed.
 * Trusts: the minter for what is true, not for its form.
 * At a bound: the message's own limits; ERR_FORMAT. */
#include "egress/gate/session.h"

#include "keys/json.h"

#include <stdlib.h>

static int
add_base(struct session *s, const char *name, const json_t *where)
{
	struct session_base *b = &s->bases[s->n_bases];
	const char *text = json_string_value(where);
	int r;

	if (text == NULL)
		return ERR_FORMAT;
	(void)((r = span_copy(span_str(name), b->grant, sizeof(b->grant))) ||
	       (r = host_parse_authority(
		    span_str(text), 0, &b->host, &b->port)));
	if (r == 0)
		s->n_bases++;
	return r;
}

static int
read_bases(struct session *s, const json_t *routes)
{
	json_t *bases = json_object_get(routes, "bases");
	const char *name;
	json_t *where;
	int r;

	if (bases == NULL)
		return 0;
	if (!json_is_object(bases))
		return ERR_FORMAT;
	s->bases = calloc(json_object_size(bases) + 1, sizeof(*s->bases));
	if (s->bases == NULL)
		return ERR_NOMEM;
	json_object_foreach(bases, name, where)
	{
		if ((r = add_base(s, name, where)) != 0)
			return r;
	}
	return 0;
}

static int
read_routes(struct session *s, struct span text)
{
	json_t *routes = json_strict(text);
	int r = ERR_FORMAT;

	if (routes != NULL && json_is_object(routes))
		r = read_bases(s, routes);
	json_decref(routes);
	return r;
}

int
session_new(const struct guest_session *m, struct session **out)
{
	struct session *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return ERR_NOMEM;
	s->uid = m->channel_uid;
	s->expires_ms = m->expires_ms;
	(void)((r = span_copy(m->session, s->id, sizeof(s->id))) ||
	       (r = span_copy(m->guest, s->guest, sizeof(s->guest))) ||
	       (r = span_copy(m->issuer, s->issuer, sizeof(s->issuer))) ||
	       (r = span_copy(m->channel, s->channel, sizeof(s->channel))) ||
	       (r = span_copy(m->base_random, s->random, sizeof(s->random))) ||
	       (r = jwks_parse(m->jwks, &s->jwks)) ||
	       (r = read_routes(s, m->routes)));
	if (r == 0 && (s->environment = span_dup(m->environment)) == NULL)
		r = ERR_FORMAT;
	if (r != 0) {
		session_free(s);
		return r;
	}
	*out = s;
	return 0;
}

void
session_free(struct session *s)
{
	if (s == NULL)
		return;
	free(s->environment);
	free(s->bases);
	free(s);
}

const struct session_base *
session_base_find(const struct session *s, struct span name)
{
	for (size_t i = 0; i < s->n_bases; i++) {
		if (span_is(name, s->bases[i].grant))
			return &s->bases[i];
	}
	return NULL;
}
