/* SPDX-License-Identifier: ISC */
/* What for: credential metadata as JSON, and what follows from it. Trusts:
 * jansson for the syntax; every name and type is checked here. At a bound:
 * ERR_FORMAT and a sentence. */
#include "scope/metadata.h"

#include "keys/json.h"
#include "scope/path.h"
#include "scope/read.h"
#include "scope/why.h"

#include <stdio.h>
#include <stdlib.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

static const char *const slot_names[] = {
    [SLOT_DEFAULT] = "default",
    [SLOT_BEARER] = "bearer",
    [SLOT_HEADER] = "header",
    [SLOT_BASIC] = "basic",
    [SLOT_QUERY] = "query",
};

static const struct {
	const char *name, *letters;
} alphabets[] = {
    [PLACEHOLDER_BASE62] = {"base62", UPPER LOWER DIGIT},
    [PLACEHOLDER_HEX] = {"hex", DIGIT "abcdef"},
    [PLACEHOLDER_BASE64URL] = {"base64url", UPPER LOWER DIGIT "-_"},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const char *
slot_type_name(enum slot_type t)
{
	return (size_t)t < COUNT(slot_names) ? slot_names[t] : "unknown";
}

void
metadata_init(struct metadata *m)
{
	*m = (struct metadata){.placeholder = {"hck_", 40, PLACEHOLDER_BASE62}};
}

static void
bindings_free(struct binding *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(b[i].hosts);
	free(b);
}

void
metadata_free(struct metadata *m)
{
	bindings_free(m->bindings, m->n_bindings);
	for (size_t i = 0; i < m->n_env; i++)
		free(m->env[i]);
	free(m->env);
	metadata_init(m);
}

/* Checks on values. */

static bool
made_of(const char *s, const char *first, const char *all)
{
	return s[0] != '\0' && strchr(first, s[0]) != NULL &&
	       s[strspn(s, all)] == '\0';
}

static bool
printable(const char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e)
			return false;
	}
	return true;
}

/* Header fields that frame or route a message are the proxy's alone. */
static bool
header_ours(const char *name)
{
	static const char *const ours[] = {"host", "content-length",
	    "content-encoding", "content-type", "transfer-encoding",
	    "connection", "keep-alive", "proxy-connection",
	    "proxy-authorization", "proxy-authenticate", "te", "trailer",
	    "upgrade", "expect", "range", "date"};

	for (size_t i = 0; i < COUNT(ours); i++) {
		if (strcmp(ours[i], name) == 0)
			return true;
	}
	return false;
}

/* "Bearer " may lead a header's value, but nothing may trail. */
static bool
prefix_good(const char *prefix)
{
	return printable(prefix) && prefix[0] != ' ';
}

static int
check_slot(const struct slot *s, char *why, size_t size)
{
	bool good = s->type <= SLOT_QUERY;

	if (s->type == SLOT_HEADER)
		good = made_of(s->name, LOWER, LOWER DIGIT "-") &&
		       !header_ours(s->name) && prefix_good(s->prefix);
	else if (s->type == SLOT_BASIC)
		good = printable(s->user) && strchr(s->user, ':') == NULL;
	else if (s->type == SLOT_QUERY)
		good = made_of(s->name, UPPER LOWER DIGIT "_~-.",
		    UPPER LOWER DIGIT "_~-.");
	return good ? 0
		    : why_say(why, size,
			  "slot: its name, prefix or user is "
			  "not allowed there");
}

static int
check_binding(const struct binding *b, char *why, size_t size)
{
	char canonical[HOST_MAX];

	if (b->n_hosts == 0 || b->n_hosts > GRANT_HOSTS_MAX)
		return why_say(why, size, "binding: 1 to %d hosts are needed",
		    GRANT_HOSTS_MAX);
	for (size_t i = 0; i < b->n_hosts; i++) {
		const char *p = b->hosts[i].pattern;

		if (b->hosts[i].port == 0 ||
		    host_pattern_parse(span_str(p), canonical) != 0 ||
		    strcmp(p, canonical) != 0 ||
		    strcmp(p, "hatcheck.internal") == 0)
			return why_say(why, size,
			    "binding: host \"%s\" is not allowed", WHY_TEXT(p));
	}
	return check_slot(&b->slot, why, size);
}

static int
check_placeholder(const struct placeholder_shape *s, char *why, size_t size)
{
	static const char letters[] = UPPER LOWER DIGIT "_.-";

	if ((size_t)s->alphabet >= COUNT(alphabets) ||
	    s->prefix[strspn(s->prefix, letters)] != '\0')
		return why_say(why, size,
		    "placeholder: prefix of letters, digits and _ . - only");
	if (s->length < PLACEHOLDER_LENGTH_MIN ||
	    s->length > PLACEHOLDER_LENGTH_MAX ||
	    s->length < strlen(s->prefix) + PLACEHOLDER_FREE_MIN)
		return why_say(why, size,
		    "placeholder: length %d to %d, and %d more than the "
		    "prefix",
		    PLACEHOLDER_LENGTH_MIN, PLACEHOLDER_LENGTH_MAX,
		    PLACEHOLDER_FREE_MIN);
	return 0;
}

/* A note is shown to people: UTF-8 without controls (C1 ones neither). */
static bool
note_good(const char *s)
{
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c == 0x7f)
			return false;
		if (c == 0xc2 && (unsigned char)s[1] < 0xa0)
			return false;
	}
	return true;
}

static int
check_env(const struct metadata *m, char *why, size_t size)
{
	if (m->n_env > METADATA_ENV_MAX)
		return why_say(why, size, "env: at most %d", METADATA_ENV_MAX);
	for (size_t i = 0; i < m->n_env; i++) {
		if (!made_of(m->env[i], UPPER "_", UPPER DIGIT "_") ||
		    strlen(m->env[i]) > 64)
			return why_say(why, size,
			    "env: \"%s\" is no variable name",
			    WHY_TEXT(m->env[i]));
	}
	return 0;
}

static int
check_bindings(const struct metadata *m, char *why, size_t size)
{
	if (m->n_bindings > METADATA_BINDINGS_MAX)
		return why_say(
		    why, size, "bindings: at most %d", METADATA_BINDINGS_MAX);
	for (size_t i = 0; i < m->n_bindings; i++) {
		if (check_binding(&m->bindings[i], why, size) != 0)
			return ERR_FORMAT;
	}
	return 0;
}

int
metadata_check(const struct metadata *m, char *why, size_t size)
{
	if (!grant_name_good(m->name))
		return why_say(why, size,
		    "name \"%s\": lower-case letters, digits and . _ - only",
		    WHY_TEXT(m->name));
	if (!made_of(m->kind, LOWER, LOWER DIGIT "-"))
		return why_say(
		    why, size, "kind \"%s\" is no kind", WHY_TEXT(m->kind));
	if (m->preset[0] != '\0' && !grant_name_good(m->preset))
		return why_say(
		    why, size, "preset \"%s\" is no name", WHY_TEXT(m->preset));
	if (!note_good(m->note))
		return why_say(why, size, "note: control characters");
	if (m->created < 0 || m->rotated < 0)
		return why_say(why, size, "created, rotated: before 1970");
	if (check_bindings(m, why, size) != 0 || check_env(m, why, size) != 0)
		return ERR_FORMAT;
	return check_placeholder(&m->placeholder, why, size);
}

/* Decoding. */

struct ctx {
	char *why;
	size_t size;
};

static int
wrong(const struct ctx *c, const char *key)
{
	return why_say(
	    c->why, c->size, "%s: missing or of the wrong type", key);
}

static int
only(const struct ctx *c, const json_t *o, const char *what,
    const char *const *names)
{
	const char *odd = "";

	if (!json_is_object(o))
		return why_say(c->why, c->size, "%s: not an object", what);
	if (!json_only(o, names, &odd))
		return why_say(c->why, c->size, "%s: unknown key \"%s\"", what,
		    WHY_TEXT(odd));
	return 0;
}

/* Optional, and may be empty. */
static int
text(const struct ctx *c, const json_t *o, const char *key, char *out,
    size_t size)
{
	const json_t *v = json_object_get(o, key);

	if (v == NULL)
		return 0;
	if (!json_is_string(v) ||
	    span_copy(span_of(json_string_value(v), json_string_length(v)), out,
		size) != 0)
		return wrong(c, key);
	return 0;
}

static int
number(const struct ctx *c, const json_t *o, const char *key, uint64_t max,
    uint64_t *out)
{
	int r = json_u64(o, key, max, out);

	return r == 0 || r == ERR_NOT_FOUND ? 0 : wrong(c, key);
}

static int
read_slot_type(const struct ctx *c, const json_t *j, struct slot *s)
{
	const char *type = json_text(j, "type");

	for (size_t i = SLOT_BEARER; i < COUNT(slot_names); i++) {
		if (type != NULL && strcmp(type, slot_names[i]) == 0) {
			s->type = (enum slot_type)i;
			return 0;
		}
	}
	return wrong(c, "slot type");
}

/* Each type has members of its own, and takes no others. */
static int
read_slot(const struct ctx *c, const json_t *j, struct slot *s)
{
	static const char *const names[][4] = {
	    [SLOT_BEARER] = {"type", NULL},
	    [SLOT_HEADER] = {"type", "name", "prefix", NULL},
	    [SLOT_BASIC] = {"type", "user", NULL},
	    [SLOT_QUERY] = {"type", "name", NULL},
	};

	if (j == NULL)
		return 0;
	if (read_slot_type(c, j, s) != 0 ||
	    only(c, j, "slot", names[s->type]) != 0 ||
	    text(c, j, "name", s->name, sizeof(s->name)) != 0 ||
	    text(c, j, "prefix", s->prefix, sizeof(s->prefix)) != 0 ||
	    text(c, j, "user", s->user, sizeof(s->user)) != 0)
		return ERR_FORMAT;
	return 0;
}

static int
read_binding(const struct ctx *c, const json_t *j, struct binding *b)
{
	static const char *const names[] = {"hosts", "slot", NULL};
	int r;

	if ((r = only(c, j, "binding", names)) != 0 ||
	    (r = read_hosts(json_object_get(j, "hosts"), GRANT_HOSTS_MAX,
		 &b->hosts, &b->n_hosts, c->why, c->size)) != 0)
		return r;
	return read_slot(c, json_object_get(j, "slot"), &b->slot);
}

static int
read_bindings(const struct ctx *c, const json_t *array, struct metadata *m)
{
	size_t n = json_array_size(array);
	int r;

	if (array == NULL)
		return 0;
	if (!json_is_array(array) || n > METADATA_BINDINGS_MAX)
		return wrong(c, "bindings");
	if ((m->bindings = calloc(n + 1, sizeof(*m->bindings))) == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		m->n_bindings = i + 1;
		r = read_binding(c, json_array_get(array, i), &m->bindings[i]);
		if (r != 0)
			return r;
	}
	return 0;
}

static int
read_placeholder(
    const struct ctx *c, const json_t *j, struct placeholder_shape *s)
{
	static const char *const names[] = {
	    "prefix", "length", "alphabet", NULL};
	const char *alphabet = json_text(j, "alphabet");
	uint64_t length = s->length;

	if (j == NULL)
		return 0;
	if (only(c, j, "placeholder", names) != 0 ||
	    text(c, j, "prefix", s->prefix, sizeof(s->prefix)) != 0 ||
	    number(c, j, "length", PLACEHOLDER_LENGTH_MAX, &length) != 0)
		return ERR_FORMAT;
	s->length = length;
	if (json_object_get(j, "alphabet") == NULL)
		return 0;
	for (size_t i = 0; i < COUNT(alphabets); i++) {
		if (alphabet != NULL &&
		    strcmp(alphabet, alphabets[i].name) == 0) {
			s->alphabet = (enum placeholder_alphabet)i;
			return 0;
		}
	}
	return wrong(c, "alphabet");
}

static int
read_plain(const struct ctx *c, const json_t *j, struct metadata *m)
{
	uint64_t version = 0, created = 0, rotated = 0;
	int r;

	if (json_text_copy(j, "name", m->name, sizeof(m->name)) != 0)
		return wrong(c, "name");
	if (json_text_copy(j, "kind", m->kind, sizeof(m->kind)) != 0)
		return wrong(c, "kind");
	if (text(c, j, "note", m->note, sizeof(m->note)) != 0 ||
	    text(c, j, "preset", m->preset, sizeof(m->preset)) != 0 ||
	    number(c, j, "version", UINT32_MAX, &version) != 0 ||
	    number(c, j, "created", INT64_MAX, &created) != 0 ||
	    number(c, j, "rotated", INT64_MAX, &rotated) != 0)
		return ERR_FORMAT;
	m->version = (uint32_t)version;
	m->created = (int64_t)created;
	m->rotated = (int64_t)rotated;
	r = json_flag(j, "unscrubbable", &m->unscrubbable);
	if (r != 0 && r != ERR_NOT_FOUND)
		return wrong(c, "unscrubbable");
	r = json_flag(j, "echoes", &m->echoes);
	return r == 0 || r == ERR_NOT_FOUND ? 0 : wrong(c, "echoes");
}

static int
read_env(const struct ctx *c, const json_t *array, struct metadata *m)
{
	if (array == NULL)
		return 0;
	int r = read_strings(array, METADATA_ENV_MAX, &m->env, &m->n_env);
	return r == ERR_FORMAT ? wrong(c, "env") : r;
}

static int
read_metadata(const struct ctx *c, const json_t *j, struct metadata *m)
{
	static const char *const names[] = {"name", "kind", "version",
	    "created", "rotated", "note", "bindings", "placeholder", "env",
	    "preset", "unscrubbable", "echoes", NULL};
	int r;

	if ((r = only(c, j, "metadata", names)) != 0 ||
	    (r = read_plain(c, j, m)) != 0 ||
	    (r = read_bindings(c, json_object_get(j, "bindings"), m)) != 0 ||
	    (r = read_placeholder(
		 c, json_object_get(j, "placeholder"), &m->placeholder)) != 0 ||
	    (r = read_env(c, json_object_get(j, "env"), m)) != 0)
		return r;
	return metadata_check(m, c->why, c->size);
}

int
metadata_from_json(
    const json_t *json, struct metadata *out, char *why, size_t size)
{
	struct ctx c = {why, size};
	struct metadata m;

	metadata_init(&m);
	(void)why_say(why, size, "out of memory");
	int r = read_metadata(&c, json, &m);
	if (r != 0) {
		metadata_free(&m);
		return r;
	}
	*out = m;
	return 0;
}

int
metadata_parse(struct span json, struct metadata *out, char *why, size_t size)
{
	json_t *j = json_strict_within(json, METADATA_JSON_MAX, JSON_DEPTH_MAX);

	if (j == NULL)
		return why_say(why, size, "metadata: no strict JSON");
	int r = metadata_from_json(j, out, why, size);
	json_decref(j);
	return r;
}

int
metadata_bindings_from_json(
    const json_t *array, struct metadata *m, char *why, size_t size)
{
	struct ctx c = {why, size};
	struct metadata fresh;

	metadata_init(&fresh);
	(void)why_say(why, size, "out of memory");
	int r = array == NULL ? wrong(&c, "bindings")
			      : read_bindings(&c, array, &fresh);
	if (r == 0)
		r = check_bindings(&fresh, why, size);
	if (r != 0) {
		metadata_free(&fresh);
		return r;
	}
	bindings_free(m->bindings, m->n_bindings);
	m->bindings = fresh.bindings;
	m->n_bindings = fresh.n_bindings;
	return 0;
}

/* Encoding. jansson's setters refuse a NULL value: memory that ran out
 * shows in the sum. */

static json_t *
done(json_t *o, int r)
{
	if (r == 0)
		return o;
	json_decref(o);
	return NULL;
}

static int
set_text(json_t *o, const char *key, const char *value)
{
	return json_object_set_new(o, key, json_string(value));
}

static json_t *
slot_to_json(const struct slot *s)
{
	json_t *o = json_object();
	int r = set_text(o, "type", slot_type_name(s->type));

	if (s->type == SLOT_HEADER || s->type == SLOT_QUERY)
		r |= set_text(o, "name", s->name);
	if (s->type == SLOT_HEADER)
		r |= set_text(o, "prefix", s->prefix);
	if (s->type == SLOT_BASIC)
		r |= set_text(o, "user", s->user);
	return done(o, r);
}

static json_t *
bindings_to_json(const struct metadata *m)
{
	json_t *a = json_array();
	int r = 0;

	for (size_t i = 0; i < m->n_bindings; i++) {
		const struct binding *b = &m->bindings[i];
		json_t *o = json_object();

		r |= json_object_set_new(
		    o, "hosts", write_hosts(b->hosts, b->n_hosts, false));
		if (b->slot.type != SLOT_DEFAULT)
			r |= json_object_set_new(
			    o, "slot", slot_to_json(&b->slot));
		r |= json_array_append_new(a, o);
	}
	return done(a, r);
}

static json_t *
placeholder_to_json(const struct placeholder_shape *s)
{
	json_t *o = json_object();
	int r = set_text(o, "prefix", s->prefix);

	r |= json_object_set_new(
	    o, "length", json_integer((json_int_t)s->length));
	r |= set_text(o, "alphabet", alphabets[s->alphabet].name);
	return done(o, r);
}

json_t *
metadata_to_json(const struct metadata *m)
{
	json_t *o = json_object();
	int r = set_text(o, "name", m->name);

	r |= set_text(o, "kind", m->kind);
	if (m->version > 0) {
		r |=
		    json_object_set_new(o, "version", json_integer(m->version));
		r |=
		    json_object_set_new(o, "created", json_integer(m->created));
		r |=
		    json_object_set_new(o, "rotated", json_integer(m->rotated));
	}
	r |= set_text(o, "note", m->note);
	r |= json_object_set_new(o, "bindings", bindings_to_json(m));
	r |= json_object_set_new(
	    o, "placeholder", placeholder_to_json(&m->placeholder));
	r |= json_object_set_new(o, "env", write_strings(m->env, m->n_env));
	if (m->preset[0] != '\0')
		r |= set_text(o, "preset", m->preset);
	r |= json_object_set_new(
	    o, "unscrubbable", json_boolean(m->unscrubbable));
	if (m->echoes)
		r |= json_object_set_new(o, "echoes", json_true());
	return done(o, r);
}

/* What follows from it. */

const struct slot *
metadata_slot_for(const struct metadata *m, const char *host, uint16_t port)
{
	for (size_t i = 0; i < m->n_bindings; i++) {
		const struct binding *b = &m->bindings[i];

		for (size_t j = 0; j < b->n_hosts; j++) {
			if (b->hosts[j].port == port &&
			    host_pattern_match(b->hosts[j].pattern, host))
				return &b->slot;
		}
	}
	return NULL;
}

bool
metadata_covers(const struct metadata *m, const char *pattern, uint16_t port)
{
	for (size_t i = 0; i < m->n_bindings; i++) {
		const struct binding *b = &m->bindings[i];

		for (size_t j = 0; j < b->n_hosts; j++) {
			if (b->hosts[j].port == port &&
			    host_pattern_within(b->hosts[j].pattern, pattern))
				return true;
		}
	}
	return false;
}

/* Sixteen bits a letter: what the remainder favours is under one part in a
 * thousand, and a placeholder opens nothing. */
int
placeholder_make(const struct placeholder_shape *s, struct span random,
    char out[static PLACEHOLDER_MAX])
{
	const char *letters = alphabets[s->alphabet].letters;
	size_t n_letters = strlen(letters);
	size_t prefix = strlen(s->prefix);

	if (s->length > PLACEHOLDER_LENGTH_MAX || prefix > s->length)
		return ERR_ARGUMENT;
	if (random.n < 2 * (s->length - prefix))
		return ERR_TRUNCATED;
	memcpy(out, s->prefix, prefix);
	const uint8_t *r = random.p;
	for (size_t i = prefix; i < s->length; i++, r += 2) {
		unsigned v = (unsigned)r[0] << 8 | r[1];

		out[i] = letters[v % n_letters];
	}
	out[s->length] = '\0';
	return 0;
}

bool
placeholder_looks_like(const struct placeholder_shape *s, struct span value)
{
	const char *letters = alphabets[s->alphabet].letters;
	size_t prefix = strlen(s->prefix);

	if (value.n != s->length || prefix > value.n ||
	    memcmp(value.p, s->prefix, prefix) != 0)
		return false;
	for (size_t i = prefix; i < value.n; i++) {
		if (value.p[i] == 0 || strchr(letters, value.p[i]) == NULL)
			return false;
	}
	return true;
}
