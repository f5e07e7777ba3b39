/* SPDX-License-Identifier: ISC */
/* What for: YAML, made as strict as our JSON. Trusts: libyaml for the
 * syntax. At a bound: ERR_FORMAT and a sentence that begins with file and
 * line. */
#include "scope/yaml.h"

#include "scope/why.h"

#include <stdlib.h>
#include <yaml.h>

/* Where something stands: node is a container and its first line when key
 * is NULL and at is NO_ITEM. */
#define NO_ITEM SIZE_MAX
struct place {
	const json_t *parent;
	const char *key; /* owned */
	size_t at;
	unsigned line;
};

struct yaml_doc {
	json_t *root;
	struct place *places;
	size_t n, room;
};

/* One container that is still open. */
struct level {
	json_t *node;
	char *key; /* of the value to come; owned */
	unsigned key_line;
};

struct reader {
	struct yaml_doc *doc;
	struct level levels[YAML_DEPTH_MAX];
	size_t depth;
	const char *path;
	char *why;
	size_t size;
};

void
yaml_doc_free(struct yaml_doc *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->n; i++)
		free((char *)d->places[i].key); /* strdup()ed below */
	free(d->places);
	json_decref(d->root);
	free(d);
}

const json_t *
yaml_root(const struct yaml_doc *d)
{
	return d->root;
}

static unsigned
find(const struct yaml_doc *d, const json_t *parent, const char *key, size_t at)
{
	for (size_t i = 0; i < d->n; i++) {
		const struct place *p = &d->places[i];

		if (p->parent == parent && p->at == at &&
		    (p->key == NULL) == (key == NULL) &&
		    (key == NULL || strcmp(p->key, key) == 0))
			return p->line;
	}
	return 0;
}

unsigned
yaml_line(const struct yaml_doc *d, const json_t *parent, const char *key)
{
	unsigned line = find(d, parent, key, NO_ITEM);

	return line != 0 ? line : find(d, parent, NULL, NO_ITEM);
}

unsigned
yaml_line_at(const struct yaml_doc *d, const json_t *array, size_t i)
{
	unsigned line = find(d, array, NULL, i);

	return line != 0 ? line : find(d, array, NULL, NO_ITEM);
}

static int
wrong(const struct reader *r, unsigned line, const char *what)
{
	return why_say(r->why, r->size, "%s:%u: %s", r->path, line, what);
}

/* Takes key. */
static int
remember(struct yaml_doc *d, const json_t *parent, char *key, size_t at,
    unsigned line)
{
	if (d->n == d->room) {
		size_t room = d->room == 0 ? 64 : 2 * d->room;
		struct place *p = reallocarray(d->places, room, sizeof(*p));

		if (p == NULL) {
			free(key);
			return ERR_NOMEM;
		}
		d->places = p;
		d->room = room;
	}
	d->places[d->n++] = (struct place){parent, key, at, line};
	return 0;
}

/* Put a finished or just opened value where it belongs. Takes node. */
static int
place_value(struct reader *r, json_t *node, unsigned line)
{
	struct level *top;

	if (node == NULL)
		return ERR_NOMEM;
	if (r->depth == 0) {
		if (!json_is_object(node) && !json_is_array(node)) {
			json_decref(node);
			return wrong(r, line, "not a mapping");
		}
		r->doc->root = node;
		return 0;
	}
	top = &r->levels[r->depth - 1];
	if (json_is_array(top->node)) {
		size_t at = json_array_size(top->node);

		if (json_array_append_new(top->node, node) != 0)
			return ERR_NOMEM;
		return remember(r->doc, top->node, NULL, at, line);
	}
	char *key = top->key;
	top->key = NULL;
	if (json_object_set_new(top->node, key, node) != 0) {
		free(key);
		return ERR_NOMEM;
	}
	return remember(r->doc, top->node, key, NO_ITEM, top->key_line);
}

static int
open_level(struct reader *r, json_t *node, unsigned line)
{
	int e;

	if (r->depth == YAML_DEPTH_MAX) {
		json_decref(node);
		return wrong(r, line, "nested too deep");
	}
	if ((e = place_value(r, node, line)) != 0 ||
	    (e = remember(r->doc, node, NULL, NO_ITEM, line)) != 0)
		return e;
	r->levels[r->depth++] = (struct level){.node = node};
	return 0;
}

static bool
wants_key(const struct reader *r)
{
	return r->depth > 0 && json_is_object(r->levels[r->depth - 1].node) &&
	       r->levels[r->depth - 1].key == NULL;
}

static int
take_key(struct reader *r, struct span s, unsigned line)
{
	struct level *top = &r->levels[r->depth - 1];
	char *key = span_dup(s);

	if (key == NULL)
		return ERR_NOMEM;
	if (json_object_get(top->node, key) != NULL) {
		int e =
		    why_say(r->why, r->size, "%s:%u: key \"%s\" is given twice",
			r->path, line, WHY_TEXT(key));
		free(key);
		return e;
	}
	top->key = key;
	top->key_line = line;
	return 0;
}

static bool
is_null(struct span s)
{
	return s.n == 0 || span_is(s, "~") || span_is(s, "null") ||
	       span_is(s, "Null") || span_is(s, "NULL");
}

static int
take_scalar(struct reader *r, const yaml_event_t *e, unsigned line)
{
	struct span s = span_of(e->data.scalar.value, e->data.scalar.length);
	bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	uint64_t n;

	if (e->data.scalar.anchor != NULL || e->data.scalar.tag != NULL)
		return wrong(r, line, "anchors and tags are not allowed");
	if (s.n > 0 && memchr(s.p, 0, s.n) != NULL)
		return wrong(r, line, "a NUL byte is not allowed");
	if (plain && is_null(s))
		return wrong(r, line, "a value is missing");
	if (wants_key(r))
		return take_key(r, s, line);
	if (plain && (span_is(s, "true") || span_is(s, "false")))
		return place_value(r, json_boolean(span_is(s, "true")), line);
	if (plain && span_u64(s, INT64_MAX, &n) == 0)
		return place_value(r, json_integer((json_int_t)n), line);
	return place_value(r, json_stringn((const char *)s.p, s.n), line);
}

static int
take_container(struct reader *r, const yaml_event_t *e, unsigned line)
{
	bool map = e->type == YAML_MAPPING_START_EVENT;
	const void *anchor =
	    map ? e->data.mapping_start.anchor : e->data.sequence_start.anchor;
	const void *tag =
	    map ? e->data.mapping_start.tag : e->data.sequence_start.tag;

	if (anchor != NULL || tag != NULL)
		return wrong(r, line, "anchors and tags are not allowed");
	if (wants_key(r))
		return wrong(r, line, "a key must be a plain word");
	return open_level(r, map ? json_object() : json_array(), line);
}

static int
take_event(struct reader *r, const yaml_event_t *e)
{
	unsigned line = (unsigned)e->start_mark.line + 1;

	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return take_scalar(r, e, line);
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		return take_container(r, e, line);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		r->depth--;
		return 0;
	case YAML_ALIAS_EVENT:
		return wrong(r, line, "aliases are not allowed");
	case YAML_DOCUMENT_START_EVENT:
		return r->doc->root == NULL
			   ? 0
			   : wrong(r, line, "a second document is not allowed");
	default:
		return 0;
	}
}

static int
parse(struct reader *r, yaml_parser_t *parser)
{
	bool end = false;
	int e = 0;

	while (e == 0 && !end) {
		yaml_event_t event;

		if (yaml_parser_parse(parser, &event) != 1)
			return wrong(r, (unsigned)parser->problem_mark.line + 1,
			    parser->problem != NULL ? parser->problem
						    : "no YAML");
		e = take_event(r, &event);
		end = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	}
	if (e == 0 && r->doc->root == NULL)
		return wrong(r, 1, "the file is empty");
	return e;
}

static int
read_text(struct span text, struct reader *r)
{
	yaml_parser_t parser;
	int e;

	if (text.n > YAML_BYTES_MAX)
		return wrong(r, 1, "the file is too big");
	if (text.n > 0 && memchr(text.p, 0, text.n) != NULL)
		return wrong(r, 1, "a NUL byte is not allowed");
	if (yaml_parser_initialize(&parser) != 1)
		return ERR_NOMEM;
	/* Else a UTF-16 mark could make it read other bytes than we did. */
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(
	    &parser, text.n == 0 ? (const uint8_t *)"" : text.p, text.n);
	e = parse(r, &parser);
	yaml_parser_delete(&parser);
	for (size_t i = 0; i < YAML_DEPTH_MAX; i++)
		free(r->levels[i].key);
	return e;
}

int
yaml_strict(struct span text, const char *path, struct yaml_doc **out,
    char *why, size_t size)
{
	struct reader r = {.path = path, .why = why, .size = size};
	int e;

	(void)why_say(why, size, "out of memory");
	if ((r.doc = calloc(1, sizeof(*r.doc))) == NULL)
		return ERR_NOMEM;
	if ((e = read_text(text, &r)) != 0) {
		yaml_doc_free(r.doc);
		return e;
	}
	*out = r.doc;
	return 0;
}
