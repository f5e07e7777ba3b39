/* SPDX-License-Identifier: ISC */
/* What for: a session's exceptions to the address rule. Trusts: the minter
 * for what they say, not for their form. At a bound: ERR_FORMAT, and the
 * session is not served. */
#include "egress/dialer/exceptions.h"

#include "scope/grant_json.h"

#include <stdlib.h>

struct exception {
	char host[HOST_MAX];
	uint16_t port;
	struct address_list to;
};

struct exceptions {
	struct exception *e;
	size_t n;
};

static int
get_addresses(const json_t *list, uint16_t port, struct address_list *out)
{
	size_t n = json_array_size(list);

	if (n == 0 || n > ADDRESS_LIST_MAX)
		return ERR_FORMAT;
	for (size_t i = 0; i < n; i++) {
		const char *s = json_string_value(json_array_get(list, i));
		if (s == NULL || address_parse(s, port, &out->a[i]) != 0)
			return ERR_FORMAT;
	}
	out->n = n;
	return 0;
}

static bool
is_port(json_int_t v, json_int_t least)
{
	return v >= least && v <= UINT16_MAX;
}

static int
get_exception(json_t *json, struct exception *out)
{
	const char *host;
	json_int_t port, to = 0;
	json_t *list;

	if (json_unpack(json, "{s:s, s:I, s:o, s?I !}", "host", &host, "port",
		&port, "addresses", &list, "upstream_port", &to) != 0 ||
	    host_pattern_parse(span_str(host), out->host) != 0 ||
	    !is_port(port, 1) || !is_port(to, 0))
		return ERR_FORMAT;
	out->port = (uint16_t)port;
	return get_addresses(
	    list, to == 0 ? out->port : (uint16_t)to, &out->to);
}

static int
get_all(const json_t *list, struct exceptions *e)
{
	size_t n = json_array_size(list);
	int r;

	if (!json_is_array(list))
		return ERR_FORMAT;
	if ((e->e = calloc(n + 1, sizeof(*e->e))) == NULL)
		return ERR_NOMEM;
	for (e->n = 0; e->n < n; e->n++) {
		r = get_exception(json_array_get(list, e->n), &e->e[e->n]);
		if (r != 0)
			return r;
	}
	return 0;
}

int
exceptions_parse(struct span text, struct exceptions **out)
{
	struct exceptions *e = calloc(1, sizeof(*e));
	json_t *json = json_strict(text), *list;
	int r = ERR_FORMAT;

	if (e == NULL)
		r = ERR_NOMEM;
	else if (json != NULL &&
		 json_unpack(json, "{s:o !}", "exceptions", &list) == 0)
		r = get_all(list, e);
	json_decref(json);
	if (r != 0) {
		exceptions_free(e);
		return r;
	}
	*out = e;
	return 0;
}

void
exceptions_free(struct exceptions *e)
{
	if (e == NULL)
		return;
	free(e->e);
	free(e);
}

const struct address_list *
exceptions_find(const struct exceptions *e, const char *host, uint16_t port)
{
	for (size_t i = 0; i < e->n; i++) {
		if (e->e[i].port == port &&
		    host_pattern_match(e->e[i].host, host))
			return &e->e[i].to;
	}
	return NULL;
}
