/* SPDX-License-Identifier: ISC */
/* What for: sessions in memory, and to and from their rows. Trusts: its own
 * database, parsed strictly all the same. At a bound: refuses. */
#include "minter/session.h"

#include "keys/json.h"
#include "scope/grant_json.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
session_random_id(char out[static STATE_ID_MAX], const char *prefix)
{
	static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint8_t random[20];

	randombytes_buf(random, sizeof(random));
	memcpy(out, prefix, 2);
	for (size_t i = 0; i < sizeof(random); i++)
		out[2 + i] = base32[random[i] & 31];
	out[2 + sizeof(random)] = '\0';
}

bool
session_name_ok(const char *name)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t n = strlen(name);

	return n > 0 && n < STATE_NAME_MAX && strchr(first, name[0]) != NULL &&
	       strspn(name, rest) == n && strncmp(name, "s-", 2) != 0;
}

struct session *
session_new(void)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->state = SESSION_ACTIVE;
	s->placeholders = json_array();
	s->named = json_array();
	s->until = json_object();
	s->used = json_object();
	if (s->placeholders == NULL || s->named == NULL || s->until == NULL ||
	    s->used == NULL) {
		session_free(s);
		return NULL;
	}
	return s;
}

void
session_free(struct session *s)
{
	if (s == NULL)
		return;
	link_free(s->gate);
	link_free(s->courier);
	for (struct family *f = s->families, *next; f != NULL; f = next) {
		next = f->next;
		family_free(f);
	}
	grant_set_free(&s->grants);
	json_decref(s->placeholders);
	json_decref(s->named);
	json_decref(s->until);
	json_decref(s->used);
	free(s);
}

int
session_save(struct state *st, const struct session *s, const char *boot_id)
{
	json_t *set = grant_set_to_json(&s->grants);
	char *grants = set == NULL ? NULL : json_dumps(set, JSON_COMPACT);
	char *placeholders = json_dumps(s->placeholders, JSON_COMPACT);
	char *named = json_dumps(s->named, JSON_COMPACT);
	char *until = json_dumps(s->until, JSON_COMPACT);
	int r = ERR_NOMEM;

	if (grants != NULL && placeholders != NULL && named != NULL &&
	    until != NULL) {
		struct session_row row = {
		    .id = s->id,
		    .guest = s->guest,
		    .state = s->state,
		    .created = s->created,
		    .expires = s->expires,
		    .expires_ms = s->expires_ms,
		    .boot_id = boot_id,
		    .channel_dir = s->channel_dir,
		    .channel_ours = s->channel_ours,
		    .channel_uid = s->channel_uid,
		    .base_random = s->base_random,
		    .placeholders = placeholders,
		    .grants = grants,
		    .named = named,
		    .until = until,
		    .pid = s->process.pid,
		    .pid_started = (int64_t)s->process.started,
		};
		r = state_session_put(st, &row);
	}
	json_decref(set);
	free(grants);
	free(placeholders);
	free(named);
	free(until);
	return r;
}

static int
load_json(const char *text, bool array, json_t **out)
{
	json_t *o = json_strict(span_str(text));

	if (o == NULL || json_is_array(o) != array) {
		json_decref(o);
		return ERR_FORMAT;
	}
	json_decref(*out);
	*out = o;
	return 0;
}

static int
load_grants(const char *text, struct grant_set *out)
{
	json_t *o = json_strict(span_str(text));
	char why[256];
	int r = o == NULL ? ERR_FORMAT
			  : grant_set_from_json(o, out, why, sizeof(why));

	json_decref(o);
	return r;
}

/* After a reboot BOOTTIME began anew: the wall clock says what is left. */
static int
rebase_until(json_t *until, int64_t now, int64_t now_ms)
{
	const char *name;
	json_t *pair;

	json_object_foreach(until, name, pair)
	{
		int64_t wall = json_integer_value(json_array_get(pair, 0));
		int64_t ms = now_ms + (wall - now) * 1000;
		if (json_array_set_new(pair, 1, json_integer(ms)) != 0)
			return ERR_FORMAT;
	}
	return 0;
}

static int
load_texts(const struct session_row *row, struct session *s)
{
	int r;

	if ((r = span_copy(span_str(row->id), s->id, sizeof(s->id))) != 0 ||
	    (r = span_copy(span_str(row->guest), s->guest, sizeof(s->guest))) !=
		0 ||
	    (r = span_copy(span_str(row->channel_dir), s->channel_dir,
		 sizeof(s->channel_dir))) != 0)
		return r;
	return span_copy(
	    span_str(row->base_random), s->base_random, sizeof(s->base_random));
}

int
session_load(const struct session_row *row, const char *boot_id, int64_t now,
    int64_t now_ms, struct session **out)
{
	bool same_boot =
	    boot_id[0] != '\0' && strcmp(row->boot_id, boot_id) == 0;
	struct session *s = session_new();
	int r;

	if (s == NULL)
		return ERR_NOMEM;
	s->state = (enum session_state)row->state;
	s->created = row->created;
	s->expires = row->expires;
	s->expires_ms =
	    same_boot ? row->expires_ms : now_ms + (row->expires - now) * 1000;
	s->channel_ours = row->channel_ours;
	s->channel_uid = (uint32_t)row->channel_uid;
	s->process = (struct procid){
	    (uint32_t)row->pid, (uint64_t)row->pid_started};
	if ((r = load_texts(row, s)) != 0 ||
	    (r = load_grants(row->grants, &s->grants)) != 0 ||
	    (r = load_json(row->placeholders, true, &s->placeholders)) != 0 ||
	    (r = load_json(row->named, true, &s->named)) != 0 ||
	    (r = load_json(row->until, false, &s->until)) != 0 ||
	    (!same_boot && (r = rebase_until(s->until, now, now_ms)) != 0)) {
		session_free(s);
		return r;
	}
	*out = s;
	return 0;
}

struct grant *
session_grant(const struct session *s, const char *name)
{
	return grant_set_find(&s->grants, name);
}

static bool
set_has_credential(const struct grant_set *set, const char *credential)
{
	for (size_t i = 0; i < set->n; i++) {
		if (strcmp(set->g[i].credential, credential) == 0)
			return true;
	}
	return false;
}

bool
session_has_credential(const struct session *s, const char *credential)
{
	return set_has_credential(&s->grants, credential);
}

static bool
list_has(const json_t *list, const char *credential)
{
	size_t i;
	json_t *p;

	json_array_foreach(list, i, p)
	{
		const char *have = json_text(p, "credential");
		if (have != NULL && strcmp(have, credential) == 0)
			return true;
	}
	return false;
}

static int
add_placeholder(json_t *list, const struct metadata *m)
{
	uint8_t random[2 * PLACEHOLDER_LENGTH_MAX];
	char value[PLACEHOLDER_MAX];
	json_t *env = json_array();
	int r;

	randombytes_buf(random, sizeof(random));
	if ((r = placeholder_make(&m->placeholder,
		 span_of(random, sizeof(random)), value)) != 0) {
		json_decref(env);
		return r;
	}
	for (size_t i = 0; i < m->n_env; i++) {
		if (json_array_append_new(env, json_string(m->env[i])) != 0)
			r = ERR_NOMEM;
	}
	json_t *p = json_pack("{s:s, s:s, s:o}", "credential", m->name, "value",
	    value, "env", env);
	if (json_array_append_new(list, p) != 0)
		r = ERR_NOMEM;
	return r;
}

int
session_placeholders(json_t *list, const struct grant_set *set,
    const struct metadata *facts, size_t n_facts)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n_facts; i++) {
		if (set_has_credential(set, facts[i].name) &&
		    !list_has(list, facts[i].name))
			r = add_placeholder(list, &facts[i]);
	}
	return r;
}

void
session_placeholders_sweep(json_t *list, const struct grant_set *set)
{
	for (size_t i = json_array_size(list); i-- > 0;) {
		const char *name =
		    json_text(json_array_get(list, i), "credential");
		if (name == NULL || !set_has_credential(set, name))
			(void)json_array_remove(list, i); /* i is in range */
	}
}

struct family *
session_family(const struct session *s, const char *id)
{
	for (struct family *f = s->families; f != NULL; f = f->next) {
		if (strcmp(f->row.id, id) == 0)
			return f;
	}
	return NULL;
}

size_t
session_families_live(
    const struct session *s, int64_t now_ms, bool narrow_only)
{
	size_t n = 0;

	for (struct family *f = s->families; f != NULL; f = f->next)
		n += f->row.expires_ms > now_ms && (f->narrow || !narrow_only);
	return n;
}

void
family_free(struct family *f)
{
	if (f == NULL)
		return;
	grant_set_free(&f->details);
	free(f);
}

struct family *
session_parent(const struct session *s, const struct family *f)
{
	return f->row.parent[0] == '\0' ? NULL
					: session_family(s, f->row.parent);
}

bool
session_is_below(
    const struct session *s, const struct family *f, const char *id)
{
	for (; f != NULL; f = session_parent(s, f)) {
		if (strcmp(f->row.id, id) == 0)
			return true;
	}
	return false;
}

unsigned
session_depth(const struct session *s, const struct family *f)
{
	unsigned n = 0;

	for (; f != NULL; f = session_parent(s, f))
		n += f->narrow;
	return n;
}

void
session_used_sweep(struct session *s)
{
	const char *account;
	json_t *v;
	void *next;

	json_object_foreach_safe(s->used, next, account, v)
	{
		const char *slash = strchr(account, '/');
		char id[STATE_ID_MAX];

		if (slash != NULL &&
		    (span_copy(span_of(account, (size_t)(slash - account)), id,
			 sizeof(id)) != 0 ||
			session_family(s, id) == NULL))
			(void)json_object_del(s->used, account); /* is there */
	}
}

/* Ended, or its parent is not there. */
static bool
is_over(const struct session *s, const struct family *f, int64_t now_ms)
{
	return f->row.expires_ms <= now_ms ||
	       (f->row.parent[0] != '\0' && session_parent(s, f) == NULL);
}

void
session_families_sweep(struct session *s, int64_t now_ms)
{
	struct family **at = &s->families;

	while (*at != NULL) {
		struct family *f = *at;
		if (!is_over(s, f, now_ms)) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		family_free(f);
		at = &s->families; /* others may have stood below it */
	}
}

int
session_grants_copy(const struct grant_set *from, struct grant_set *out)
{
	json_t *o = grant_set_to_json(from);
	char why[256];
	int r = o == NULL ? ERR_NOMEM
			  : grant_set_from_json(o, out, why, sizeof(why));

	json_decref(o);
	return r;
}

void
session_grants_remove(struct grant_set *set, size_t i)
{
	grant_free(&set->g[i]);
	set->n--;
	memmove(&set->g[i], &set->g[i + 1], (set->n - i) * sizeof(set->g[0]));
}
