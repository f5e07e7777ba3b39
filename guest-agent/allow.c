/* SPDX-License-Identifier: ISC */
/*
 * The short form of rules, as JSON.
 * Trusts nothing that was typed: what could not be quoted is refused.
 * At a bound: a usage error.
 */
#include "guest-agent/allow.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define TTL_MAX (365 * 86400L)

/* Printable ASCII that needs no escape in JSON. */
static bool
is_plain(const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s < ' ' || *s > '~' || *s == '"' || *s == '\\')
			return false;
	}
	return true;
}

static void
add_methods(struct text *out, const char *s, size_t n)
{
	text_addf(out, "\"methods\":[\"");
	for (size_t i = 0; i < n; i++) {
		if (s[i] == ',')
			text_addf(out, "\",\"");
		else
			text_add(out, &s[i], 1);
	}
	text_addf(out, "\"]");
}

static void
add_request(struct text *out, const char *rule)
{
	const char *blank = strchr(rule, ' ');
	const char *host = blank == NULL ? rule : blank + 1;
	const char *path = strchr(host, '/');

	if (path == NULL || path == host || blank == rule ||
	    strchr(host, ' ') != NULL)
		die(EXIT_USAGE,
		    "--allow: 'METHOD,METHOD HOST/PATH', 'HOST/PATH' or a "
		    "grant's name is wanted");
	text_addf(out, ",\"hosts\":[\"%.*s\"],\"allow\":[{",
	    (int)(path - host), host);
	if (blank == NULL)
		add_methods(out, "*", 1);
	else
		add_methods(out, rule, (size_t)(blank - rule));
	text_addf(out, ",\"paths\":[\"%s\"]}]", path);
}

static long
seconds(const char *ttl)
{
	static const char units[] = "smhd";
	static const long each[] = {1, 60, 3600, 86400};
	char *end;
	long n = strtol(ttl, &end, 10);
	const char *unit = *end == '\0' ? units : strchr(units, *end);

	if (*ttl < '0' || *ttl > '9' || unit == NULL || n < 1 || n > TTL_MAX ||
	    (*end != '\0' && end[1] != '\0') ||
	    n > TTL_MAX / each[unit - units])
		die(EXIT_USAGE, "--ttl: a time such as 90, 10m or 2h is wanted");
	return n * each[unit - units];
}

static void
add_one(struct text *out, const char *rule, long life)
{
	if (!is_plain(rule) || *rule == '\0')
		die(EXIT_USAGE, "--allow: only plain characters are allowed");
	text_addf(out, "{\"type\":\"hatcheck-grant\"");
	if (strchr(rule, '/') == NULL && strchr(rule, ' ') == NULL)
		text_addf(out, ",\"name\":\"%s\"", rule);
	else
		add_request(out, rule);
	if (life > 0)
		text_addf(out, ",\"ttl\":%ld", life);
	text_addf(out, "}");
}

void
allow_details(
    const char *const *rules, int n, const char *ttl, struct text *out)
{
	long life = ttl == NULL ? 0 : seconds(ttl);

	text_addf(out, "[");
	for (int i = 0; i < n; i++) {
		if (i > 0)
			text_addf(out, ",");
		add_one(out, rules[i], life);
	}
	text_addf(out, "]");
	if (out->bad)
		die(EXIT_RUN, "out of memory");
}
