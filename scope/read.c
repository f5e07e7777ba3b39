/* SPDX-License-Identifier: ISC */
/* What for: JSON lists of strings and hosts. Trusts: jansson. At a bound:
 * ERR_FORMAT. */
#include "scope/read.h"

#include "scope/why.h"

#include <stdio.h>
#include <stdlib.h>

static bool
strings_good(const json_t *array, size_t max)
{
	size_t n = json_array_size(array);

	if (!json_is_array(array) || n > max)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (json_string_length(json_array_get(array, i)) == 0)
			return false;
	}
	return true;
}

static void
strings_free(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

int
read_strings(const json_t *array, size_t max, char ***out, size_t *n)
{
	size_t want = json_array_size(array);
	char **list;

	if (!strings_good(array, max))
		return ERR_FORMAT;
	if ((list = calloc(want + 1, sizeof(*list))) == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < want; i++) {
		const char *s = json_string_value(json_array_get(array, i));

		/* span_dup() and not strdup(): gcc 12's analyzer knows the
		 * latter and thinks that the array leaks it. */
		if ((list[i] = span_dup(span_str(s))) == NULL) {
			strings_free(list, i);
			return ERR_NOMEM;
		}
	}
	*out = list;
	*n = want;
	return 0;
}

int
read_hosts(const json_t *array, size_t max, struct grant_host **out, size_t *n,
    char *why, size_t size)
{
	size_t want = json_array_size(array);
	struct grant_host *list;

	if (!strings_good(array, max))
		return why_say(why, size,
		    "hosts: not an array of at most %zu strings", max);
	if ((list = calloc(want + 1, sizeof(*list))) == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < want; i++) {
		const char *s = json_string_value(json_array_get(array, i));

		if (grant_host_parse(span_str(s), &list[i]) != 0) {
			free(list);
			return why_say(why, size,
			    "host \"%s\" is no host name, or \"*.\" and a "
			    "name that one owner holds",
			    WHY_TEXT(s));
		}
	}
	*out = list;
	*n = want;
	return 0;
}

json_t *
write_strings(char *const *list, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++) {
		if (json_array_append_new(a, json_string(list[i])) != 0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}

json_t *
write_hosts(const struct grant_host *hosts, size_t n, bool port_always)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++) {
		char text[HOST_MAX + 6];

		if (port_always)
			(void)snprintf(text, sizeof(text), "%s:%u",
			    hosts[i].pattern, hosts[i].port);
		else
			grant_host_text(&hosts[i], text);
		if (json_array_append_new(a, json_string(text)) != 0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}
