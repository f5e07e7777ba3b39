/* SPDX-License-Identifier: ISC */
/* What for: the table of kinds and what all values share. Trusts: nothing.
 * At a bound: refuses with a sentence that does not show the value. */
#include "vault/kind.h"

#include <stdio.h>

static const struct kind *const table[] = {
    &kind_bearer,
    &kind_header,
    &kind_basic,
    &kind_query,
};
#define COUNT (sizeof(table) / sizeof(table[0]))

const struct kind *
kind_find(const char *name)
{
	for (size_t i = 0; i < COUNT; i++) {
		if (strcmp(table[i]->name, name) == 0)
			return table[i];
	}
	return NULL;
}

void
kind_names(char *out, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < COUNT && at < size; i++) {
		int n = snprintf(out + at, size - at, "%s%s",
		    i == 0 ? "" : ", ", table[i]->name);
		at += n > 0 ? (size_t)n : 0;
	}
}

static int
need(const char *name, const struct kind **out, char *why, size_t size)
{
	char names[128] = "";

	if ((*out = kind_find(name)) != NULL)
		return 0;
	kind_names(names, sizeof(names));
	snprintf(
	    why, size, "There is no kind \"%s\"; there are: %s.", name, names);
	return ERR_ARGUMENT;
}

int
kind_fill_slots(struct metadata *m, char *why, size_t size)
{
	const struct kind *k;
	int r = need(m->kind, &k, why, size);

	if (r != 0)
		return r;
	for (size_t i = 0; i < m->n_bindings; i++) {
		if (m->bindings[i].slot.type == SLOT_DEFAULT)
			k->default_slot(&m->bindings[i].slot);
	}
	return 0;
}

static const char *
wrong_for_slot(enum slot_type slot, struct span value)
{
	for (size_t i = 0; i < COUNT; i++) {
		if (table[i]->slot == slot)
			return table[i]->wrong_value(value);
	}
	return "is bound to a slot that no kind fills";
}

static const char *
wrong_length(const struct metadata *m, struct span value)
{
	if (value.n == 0)
		return "is empty";
	if (value.n < KIND_SCRUBBABLE_MIN && !m->unscrubbable)
		return "is under 12 bytes, too short to be scrubbed from "
		       "answers; its owner must accept that (unscrubbable)";
	return NULL;
}

int
kind_check_value(
    const struct metadata *m, struct span value, char *why, size_t size)
{
	const char *wrong = wrong_length(m, value);
	const struct kind *k;
	int r = need(m->kind, &k, why, size);

	if (r != 0)
		return r;
	if (wrong == NULL)
		wrong = k->wrong_value(value);
	for (size_t i = 0; wrong == NULL && i < m->n_bindings; i++)
		wrong = wrong_for_slot(m->bindings[i].slot.type, value);
	if (wrong == NULL)
		return 0;
	snprintf(why, size, "The value of \"%s\" %s.", m->name, wrong);
	return ERR_ARGUMENT;
}

const char *
kind_wrong_text(struct span v)
{
	if (v.n > 0 && (v.p[v.n - 1] == '\n' || v.p[v.n - 1] == '\r'))
		return "ends with a line break";
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] < 0x20 || v.p[i] == 0x7f)
			return "holds a control character";
	}
	return NULL;
}

const char *
kind_wrong_token(struct span v)
{
	const char *wrong = kind_wrong_text(v);

	for (size_t i = 0; wrong == NULL && i < v.n; i++) {
		if (v.p[i] <= 0x20 || v.p[i] >= 0x7f)
			wrong = "holds a space or a byte outside ASCII";
	}
	return wrong;
}
