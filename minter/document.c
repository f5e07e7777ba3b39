/* SPDX-License-Identifier: ISC */
/* What for: what each sibling must know of a session. Trusts: grants that
 * grant_check() passed. At a bound: document_check() says which. */
#include "minter/document.h"

#include "keys/ca.h"
#include "keys/json.h"
#include "messages/control.h"
#include "minter/channel.h"
#include "scope/grant_json.h"

#include <stdio.h>
#include <stdlib.h>

#define RULES_GRANTS_MAX (256 * 1024)
#define ENVIRONMENT_MAX (64 * 1024)

static char *
dump(json_t *o)
{
	char *text = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);

	json_decref(o);
	return text;
}

static json_t *
host_port(const struct grant_host *h)
{
	return json_sprintf("%s:%u", h->pattern, h->port);
}

static void
add_once(json_t *array, json_t *text)
{
	size_t i;
	json_t *t;

	json_array_foreach(array, i, t)
	{
		if (json_equal(t, text)) {
			json_decref(text);
			return;
		}
	}
	/* Out of memory shows as a missing entry: it grants less. */
	(void)json_array_append_new(array, text);
}

static bool
is_ip(const char *pattern)
{
	struct host h;

	return host_parse(span_str(pattern), &h) == 0 && h.is_ip;
}

/* The names of the session's certificate: of what is intercepted. */
static json_t *
certified(const struct grant_set *set)
{
	json_t *list = json_array();

	for (size_t i = 0; i < set->n; i++) {
		const struct grant *g = &set->g[i];

		for (size_t j = 0; !g->tunnel && j < g->n_hosts; j++) {
			const char *p = g->hosts[j].pattern;
			if (is_ip(p))
				continue;
			/* It is an array within its host. */
			/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
			bool below = strncmp(p, "*.", 2) == 0;
			add_once(list, json_string(below ? p + 2 : p));
		}
	}
	return list;
}

char *
document_for_vault(const struct grant_set *set)
{
	json_t *credentials = json_array();

	for (size_t i = 0; i < set->n; i++) {
		if (set->g[i].credential[0] != '\0')
			add_once(
			    credentials, json_string(set->g[i].credential));
	}
	return dump(json_pack("{s:o, s:o}", "credentials", credentials, "hosts",
	    certified(set)));
}

static json_t *
addresses_of(const struct grant *g)
{
	json_t *list = json_array();

	for (size_t i = 0; i < g->n_addresses; i++)
		add_once(list, json_string(g->addresses[i]));
	return list;
}

static json_t *
exception(const struct grant *g, const struct grant_host *h)
{
	unsigned port = g->upstream_port != 0 ? g->upstream_port : h->port;

	return json_pack("{s:s, s:i, s:o, s:i}", "host", h->pattern, "port",
	    (int)h->port, "addresses", addresses_of(g), "upstream_port",
	    (int)port);
}

char *
document_for_dialer(const struct grant_set *set)
{
	json_t *list = json_array();

	for (size_t i = 0; i < set->n; i++) {
		const struct grant *g = &set->g[i];
		for (size_t j = 0; g->n_addresses > 0 && j < g->n_hosts; j++)
			add_once(list, exception(g, &g->hosts[j]));
	}
	return dump(json_pack("{s:o}", "exceptions", list));
}

/* The host that a base URL of this grant leads to, or NULL. */
static const struct grant_host *
base_of(const struct grant *g)
{
	for (size_t i = 0; !g->tunnel && i < g->n_hosts; i++) {
		if (strncmp(g->hosts[i].pattern, "*.", 2) != 0)
			return &g->hosts[i];
	}
	return NULL;
}

static json_t *
hosts_of(const struct grant_set *set, bool tunnel)
{
	json_t *list = json_array();

	for (size_t i = 0; i < set->n; i++) {
		const struct grant *g = &set->g[i];
		for (size_t j = 0; g->tunnel == tunnel && j < g->n_hosts; j++)
			add_once(list, host_port(&g->hosts[j]));
	}
	return list;
}

char *
document_routes(const struct grant_set *set)
{
	json_t *bases = json_object();

	for (size_t i = 0; i < set->n; i++) {
		const struct grant_host *h = base_of(&set->g[i]);
		if (h != NULL)
			(void)json_object_set_new(
			    bases, set->g[i].name, host_port(h));
	}
	return dump(json_pack("{s:o, s:o, s:o}", "hosts", hosts_of(set, false),
	    "tunnels", hosts_of(set, true), "bases", bases));
}

/* DEMO_KEY, DEMO_API_KEY and DEMO_TOKEN give DEMO_BASE_URL. OpenAI's own
 * variable wants "/v1" inside, which a base here is not: left out. */
static json_t *
base_env(const json_t *key_env)
{
	static const char *const ends[] = {"_API_KEY", "_KEY", "_TOKEN"};
	json_t *list = json_array();
	size_t i, n = 0;
	json_t *v;

	json_array_foreach(key_env, i, v)
	{
		const char *name = json_string_value(v);
		for (size_t j = 0; j < 3; j++, n = 0) {
			size_t e = strlen(ends[j]);
			n = strlen(name);
			if (n > e && strcmp(name + n - e, ends[j]) == 0) {
				n -= e;
				break;
			}
		}
		if (n == 0 || strncmp(name, "OPENAI_", 7) == 0)
			continue;
		add_once(list, json_sprintf("%.*s_BASE_URL", (int)n, name));
		break;
	}
	return list;
}

static const json_t *
env_of(const struct session *s, const char *credential)
{
	size_t i;
	json_t *p;

	json_array_foreach(s->placeholders, i, p)
	{
		const char *name = json_text(p, "credential");
		if (name != NULL && strcmp(name, credential) == 0)
			return json_object_get(p, "env");
	}
	return NULL;
}

/* A variable can point at one grant: the credential's first. */
static bool
first_with_credential(const struct grant_set *set, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		if (strcmp(set->g[i].credential, set->g[at].credential) == 0 &&
		    base_of(&set->g[i]) != NULL)
			return false;
	}
	return set->g[at].credential[0] != '\0';
}

static json_t *
bases_of(const struct session *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->grants.n; i++) {
		const struct grant *g = &s->grants.g[i];

		if (base_of(g) == NULL)
			continue;
		json_t *env = first_with_credential(&s->grants, i)
				  ? base_env(env_of(s, g->credential))
				  : json_array();
		add_once(
		    list, json_pack("{s:s, s:o, s:o}", "grant", g->name, "path",
			      json_sprintf("/%s/%s", s->base_random, g->name),
			      "env", env));
	}
	return list;
}

static json_t *
environment(const struct session *s)
{
	return json_pack("{s:s, s:s, s:I, s:O, s:o, s:o, s:o}", "session",
	    s->id, "guest", s->guest, "expires", (json_int_t)s->expires,
	    "placeholders", s->placeholders, "bases", bases_of(s), "hosts",
	    hosts_of(&s->grants, false), "tunnels", hosts_of(&s->grants, true));
}

char *
document_environment(const struct session *s)
{
	return dump(environment(s));
}

char *
document_grants(const struct grant_set *set)
{
	return dump(grant_set_to_json(set));
}

char *
document_placeholders(const json_t *placeholders)
{
	json_t *list = json_array();
	size_t i;
	json_t *p;

	json_array_foreach(placeholders, i, p)
	    add_once(list, json_pack("{s:O, s:O}", "credential",
			       json_object_get(p, "credential"), "value",
			       json_object_get(p, "value")));
	return dump(list);
}

json_t *
document_session(const struct session *s)
{
	json_t *channel = channel_document(s);
	json_t *process =
	    s->process.pid == 0
		? NULL
		: json_pack("{s:I, s:I}", "pid", (json_int_t)s->process.pid,
		      "started", (json_int_t)s->process.started);

	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o*}", "id",
	    s->id, "guest", s->guest, "state", session_state_name(s->state),
	    "created", (json_int_t)s->created, "expires",
	    (json_int_t)s->expires, "channel", channel, "grants",
	    grant_set_to_json(&s->grants), "environment", environment(s),
	    "process", process);
}

json_t *
document_session_row(struct minter *m, const struct session_row *row)
{
	struct session *s = NULL;
	json_t *o = NULL;

	/* Only texts are used: no clock is needed. */
	if (session_load(row, "", row->expires, 0, &s) == 0) {
		s->m = m;
		o = document_session(s);
	}
	session_free(s);
	return o;
}

static bool
same_addresses(const struct grant *a, const struct grant *b)
{
	json_t *x = addresses_of(a), *y = addresses_of(b);
	bool same = json_equal(x, y) && a->upstream_port == b->upstream_port;

	json_decref(x);
	json_decref(y);
	return same;
}

/* One host and port cannot lead to two places. */
static const struct grant_host *
clash(const struct grant *a, const struct grant *b)
{
	for (size_t i = 0; i < a->n_hosts; i++) {
		for (size_t j = 0; j < b->n_hosts; j++) {
			if (a->hosts[i].port == b->hosts[j].port &&
			    strcmp(a->hosts[i].pattern, b->hosts[j].pattern) ==
				0 &&
			    !same_addresses(a, b))
				return &a->hosts[i];
		}
	}
	return NULL;
}

static bool
check_pairs(const struct grant_set *set, char *why, size_t size)
{
	for (size_t i = 0; i < set->n; i++) {
		for (size_t j = i + 1; j < set->n; j++) {
			const struct grant *a = &set->g[i], *b = &set->g[j];
			const struct grant_host *h;

			if (strcmp(a->name, b->name) == 0) {
				(void)snprintf(why, size,
				    "two grants are called %s", a->name);
				return false;
			}
			if ((h = clash(a, b)) != NULL) {
				(void)snprintf(why, size,
				    "grants %s and %s lead %s:%u to different "
				    "upstream addresses",
				    a->name, b->name, h->pattern, h->port);
				return false;
			}
		}
	}
	return true;
}

static bool
fits(char *text, size_t max, const char *what, char *why, size_t size)
{
	bool good = text != NULL && strlen(text) <= max;

	if (!good)
		(void)snprintf(why, size,
		    "the session's %s would be larger than %zu bytes", what,
		    max);
	free(text);
	return good;
}

static bool
check_names(const struct grant_set *set, char *why, size_t size)
{
	json_t *names = certified(set);
	size_t n = json_array_size(names);

	json_decref(names);
	if (n <= CA_NAMES_MAX)
		return true;
	(void)snprintf(why, size,
	    "a session's certificate has room for %d host names, these grants "
	    "have %zu; next: use *.NAME, or several sessions",
	    CA_NAMES_MAX, n);
	return false;
}

bool
document_check(const struct grant_set *set, char *why, size_t size)
{
	if (set->n > SESSION_GRANTS_MAX) {
		(void)snprintf(why, size,
		    "a session has at most %d grants, these are %zu",
		    SESSION_GRANTS_MAX, set->n);
		return false;
	}
	/* Half of the environment is left for placeholders. */
	return check_pairs(set, why, size) && check_names(set, why, size) &&
	       fits(document_grants(set), RULES_GRANTS_MAX, "grants", why,
		   size) &&
	       fits(document_for_vault(set), DESCRIPTOR_MAX, "vault document",
		   why, size) &&
	       fits(document_for_dialer(set), DESCRIPTOR_MAX, "dialer document",
		   why, size) &&
	       fits(document_routes(set), ENVIRONMENT_MAX / 2, "list of hosts",
		   why, size);
}
