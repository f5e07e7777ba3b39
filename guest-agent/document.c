/* SPDX-License-Identifier: ISC */
/*
 * Reads the environment document.
 * Trusts the host's choice of names and values, not their form.
 * Sizes are bounded by json.h and http.h; a bad document is refused whole.
 */
#include "guest-agent/document.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool
is_variable(const char *s)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz_0123456789";

	return s != NULL && *s != '\0' && (*s < '0' || *s > '9') &&
	       s[strspn(s, set)] == '\0';
}

static bool
is_plain(const char *s)
{
	if (s == NULL || *s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s > '~' || strchr("'\"\\`$", *s) != NULL)
			return false;
	return true;
}

static bool
names_ok(const struct json *item)
{
	const struct json *e = json_first(json_get(item, "env"));

	for (; e != NULL; e = json_next(e))
		if (!is_variable(json_text(e)))
			return false;
	return true;
}

const char *
document_check(const struct json *doc)
{
	const struct json *e;

	if (json_text(json_get(doc, "session")) == NULL)
		return "it names no session";
	e = json_first(json_get(doc, "placeholders"));
	for (; e != NULL; e = json_next(e))
		if (!is_plain(json_text(json_get(e, "value"))) ||
		    !is_plain(json_text(json_get(e, "credential"))) ||
		    !names_ok(e))
			return "a placeholder is malformed";
	e = json_first(json_get(doc, "bases"));
	for (; e != NULL; e = json_next(e)) {
		const char *path = json_text(json_get(e, "path"));

		if (!is_plain(path) || *path != '/' || !names_ok(e))
			return "a base URL is malformed";
	}
	e = json_first(json_get(doc, "hosts"));
	for (; e != NULL; e = json_next(e))
		if (!is_plain(json_text(e)))
			return "a host is malformed";
	return NULL;
}

const char *
document_placeholder(const struct json *doc, const char *credential)
{
	const struct json *e = json_first(json_get(doc, "placeholders"));

	for (; e != NULL; e = json_next(e))
		if (strcmp(json_text(json_get(e, "credential")), credential) ==
		    0)
			return json_text(json_get(e, "value"));
	return NULL;
}

/* "*.label" stands for exactly one label more. */
static bool
host_matches(const char *pattern, const char *host)
{
	const char *dot;

	if (strncmp(pattern, "*.", 2) != 0)
		return strcasecmp(pattern, host) == 0;
	dot = strchr(host, '.');
	return dot != NULL && dot != host && strcasecmp(pattern + 1, dot) == 0;
}

/* Both sides as host:port; 443 when it is not said. */
static bool
listed(const struct json *hosts, const char *wanted)
{
	char want[512], have[512];

	snprintf(want, sizeof(want), "%s%s", wanted,
	    strchr(wanted, ':') ? "" : ":443");
	for (; hosts != NULL; hosts = json_next(hosts)) {
		const char *h = json_text(hosts);

		if (h == NULL)
			continue;
		snprintf(have, sizeof(have), "%s%s", h,
		    strchr(h, ':') ? "" : ":443");
		if (host_matches(have, want))
			return true;
	}
	return false;
}

const char *
document_for_host(const struct json *doc, const char *host)
{
	const struct json *all = json_first(json_get(doc, "placeholders"));
	const struct json *found = NULL, *e;

	if (!listed(json_first(json_get(doc, "hosts")), host))
		return NULL;
	for (e = all; e != NULL; e = json_next(e)) {
		const struct json *hosts = json_get(e, "hosts");

		if (hosts != NULL && !listed(json_first(hosts), host))
			continue;
		if (found != NULL)
			return NULL; /* two accounts: the user must choose */
		found = e;
	}
	return json_text(json_get(found, "value"));
}
