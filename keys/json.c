/* SPDX-License-Identifier: ISC */
/* What for: strict JSON. Trusts: jansson's parser behind a scan of our own
 * for size, depth and NUL. At a bound: NULL, the input is refused. */
#include "keys/json.h"

#include <sys/random.h>

/* jansson seeds its hash tables at first use by opening /dev/urandom. Do it
 * before main, so that no process needs that file behind its walls. */
__attribute__((constructor)) static void
seed_tables(void)
{
	size_t seed = 0;

	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		abort();
	json_object_seed(seed | 1);
}

/* Brackets outside strings only; what is ill-formed the parser refuses. */
static bool
depth_within(struct span in, unsigned max)
{
	unsigned depth = 0;
	bool string = false;

	for (size_t i = 0; i < in.n; i++) {
		uint8_t c = in.p[i];

		if (string && c == '\\')
			i++;
		else if (c == '"')
			string = !string;
		else if (!string && (c == '[' || c == '{')) {
			if (++depth > max)
				return false;
		} else if (!string && (c == ']' || c == '}') && depth > 0)
			depth--;
	}
	return true;
}

json_t *
json_strict_within(struct span in, size_t max, unsigned depth)
{
	if (in.n == 0 || in.n > max || memchr(in.p, 0, in.n) != NULL)
		return NULL;
	if (!depth_within(in, depth))
		return NULL;
	return json_loadb(
	    (const char *)in.p, in.n, JSON_REJECT_DUPLICATES, NULL);
}

json_t *
json_strict(struct span in)
{
	return json_strict_within(in, JSON_BYTES_MAX, JSON_DEPTH_MAX);
}

static bool
listed(const char *const *names, const char *key)
{
	for (; *names != NULL; names++) {
		if (strcmp(*names, key) == 0)
			return true;
	}
	return false;
}

bool
json_only(const json_t *object, const char *const *names, const char **odd)
{
	const char *key;
	json_t *value;

	/* The iterator takes no const, and changes nothing. */
	json_object_foreach((json_t *)object, key, value)
	{
		if (listed(names, key))
			continue;
		if (odd != NULL)
			*odd = key;
		return false;
	}
	return json_is_object(object);
}

const char *
json_text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

int
json_text_copy(const json_t *object, const char *name, char *out, size_t size)
{
	const json_t *value = json_object_get(object, name);
	size_t n;

	if (value == NULL)
		return ERR_NOT_FOUND;
	n = json_string_length(value);
	if (!json_is_string(value) || n == 0 || n >= size)
		return ERR_FORMAT;
	return span_copy(span_of(json_string_value(value), n), out, size);
}

int
json_u64(const json_t *object, const char *name, uint64_t max, uint64_t *out)
{
	const json_t *value = json_object_get(object, name);
	json_int_t v;

	if (value == NULL)
		return ERR_NOT_FOUND;
	v = json_integer_value(value);
	if (!json_is_integer(value) || v < 0 || (uint64_t)v > max)
		return ERR_FORMAT;
	*out = (uint64_t)v;
	return 0;
}

int
json_flag(const json_t *object, const char *name, bool *out)
{
	const json_t *value = json_object_get(object, name);

	if (value == NULL)
		return ERR_NOT_FOUND;
	if (!json_is_boolean(value))
		return ERR_FORMAT;
	*out = json_is_true(value);
	return 0;
}
