/* SPDX-License-Identifier: ISC */
/* What for: the environment that a sandboxed command gets. Trusts: nothing
 * of the caller's environment beyond short plain values of a fixed list. At
 * a bound: the variable is left out. */
#include "cli/sandbox_env.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PLAIN_MAX 64

static const char *const fixed[][2] = {
    {"PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"},
    {"HOME", "/home/agent"},
    {"USER", "agent"},
    {"LOGNAME", "agent"},
    {"SHELL", "/bin/sh"},
};

static const char *const taken[] = {"TERM", "COLORTERM", "NO_COLOR", "LANG",
    "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_COLLATE", "LC_MESSAGES",
    "LC_MONETARY", "LC_NUMERIC", "LC_TIME", "TZ"};

/* How well-known keys begin, and how long such a word is at least. */
static const struct shape {
	const char *prefix;
	size_t least;
} shapes[] = {{"sk-", 20}, {"sk_live_", 12}, {"sk_test_", 12}, {"rk_live_", 12},
    {"rk_test_", 12}, {"whsec_", 16}, {"ghp_", 20}, {"gho_", 20}, {"ghu_", 20},
    {"ghs_", 20}, {"ghr_", 20}, {"github_pat_", 20}, {"glpat-", 16},
    {"gldt-", 16}, {"glrt-", 16}, {"xoxb-", 16}, {"xoxp-", 16}, {"xoxa-", 16},
    {"xoxs-", 16}, {"xapp-", 16}, {"AKIA", 20}, {"ASIA", 20}, {"AIza", 30},
    {"ya29.", 16}, {"GOCSPX-", 20}, {"npm_", 20}, {"pypi-", 20}, {"hf_", 20},
    {"dckr_pat_", 16}, {"SG.", 20}, {"shpat_", 20}, {"dop_v1_", 20},
    {"key-", 32}, {"eyJ", 24}, {"lin_api_", 16}, {"ntn_", 20}, {"figd_", 20},
    {"sntrys_", 20}, {"tskey-", 16}, {"hvs.", 16}, {"age-secret-key-", 20},
    {"pk.eyJ", 20}, {"gsk_", 20}, {"r8_", 20}, {"xai-", 20}, {"pplx-", 20},
    {"nvapi-", 20}, {"ATATT", 20}};

static const char *const credential_words[] = {"TOKEN", "SECRET", "PASSWORD",
    "PASSWD", "PASSPHRASE", "API_KEY", "APIKEY", "ACCESS_KEY", "PRIVATE_KEY",
    "CREDENTIAL", "AUTH"};

static bool
word_byte(char c)
{
	return isalnum((unsigned char)c) || strchr("-_.+/=~", c) != NULL;
}

/* A word of these bytes, at least as long, begins at p. */
static bool
shaped_at(const char *p, const struct shape *s)
{
	size_t n = strlen(s->prefix);

	if (strncasecmp(p, s->prefix, n) != 0)
		return false;
	while (p[n] != '\0' && word_byte(p[n]))
		n++;
	return n >= s->least;
}

/* "scheme://user:password@host" */
static bool
has_userinfo(const char *v)
{
	const char *p = strstr(v, "://"), *end;

	if (p == NULL)
		return false;
	p += 3;
	end = p + strcspn(p, "/?#");
	p = memchr(p, ':', (size_t)(end - p));
	return p != NULL && memchr(p, '@', (size_t)(end - p)) != NULL;
}

bool
env_key_shaped(const char *v)
{
	if (has_userinfo(v) || strstr(v, "PRIVATE KEY-----") != NULL)
		return true;
	for (const char *p = v; *p != '\0'; p++) {
		/* A key begins a word: task-0123… holds no sk-. */
		if (p > v && isalnum((unsigned char)p[-1]))
			continue;
		for (size_t i = 0; i < COUNT(shapes); i++)
			if (shaped_at(p, &shapes[i]))
				return true;
		if (strncasecmp(p, "Bearer ", 7) == 0 && strlen(p) > 20)
			return true;
	}
	return false;
}

/* One dense word with digits and letters: what a random key looks like. */
static bool
random_looking(const char *v)
{
	size_t digits = 0, letters = 0, n = strlen(v);

	for (size_t i = 0; i < n; i++) {
		if (!word_byte(v[i]))
			return false;
		digits += isdigit((unsigned char)v[i]) != 0;
		letters += isalpha((unsigned char)v[i]) != 0;
	}
	return n >= 16 && letters >= 4 && digits >= 3 && v[0] != '/';
}

static bool
credential_name(const char *name, size_t n)
{
	char upper[128];

	if (n >= sizeof(upper))
		return true;
	for (size_t i = 0; i < n; i++)
		upper[i] = (char)toupper((unsigned char)name[i]);
	upper[n] = '\0';
	for (size_t i = 0; i < COUNT(credential_words); i++)
		if (strstr(upper, credential_words[i]) != NULL)
			return true;
	return false;
}

static bool
variable_name(const char *s, size_t n)
{
	if (n == 0 || isdigit((unsigned char)s[0]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '_')
			return false;
	return true;
}

const char *
env_refusal(const char *pair)
{
	const char *eq = strchr(pair, '='), *v;
	size_t n = eq == NULL ? 0 : (size_t)(eq - pair);

	if (eq == NULL || !variable_name(pair, n))
		return "NAME=VALUE is wanted";
	v = eq + 1;
	if (strncmp(pair, "HATCHECK_", 9) == 0)
		return "names that begin with HATCHECK_ are ours";
	if (env_key_shaped(v))
		return "the value looks like a key, and a sandbox holds none";
	if (credential_name(pair, n) && random_looking(v))
		return "by its name and value it is a credential, and a "
		       "sandbox holds none";
	return NULL;
}

static bool
plain(const char *v)
{
	size_t n = strlen(v);

	if (n == 0 || n > PLAIN_MAX || env_key_shaped(v))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)v[i]) &&
		    strchr("-_.,:/+@", v[i]) == NULL)
			return false;
	return true;
}

static int
put(struct buf *out, const char *name, size_t n, const char *value)
{
	int r;

	if ((r = buf_put(out, "--setenv", sizeof("--setenv"))) != 0 ||
	    (r = buf_put(out, name, n)) != 0 || (r = buf_put_u8(out, 0)) != 0)
		return r;
	return buf_put(out, value, strlen(value) + 1);
}

static int
put_taken(struct buf *out, char *const env[])
{
	int r = 0;

	for (; r == 0 && *env != NULL; env++) {
		const char *eq = strchr(*env, '=');

		if (eq == NULL || !plain(eq + 1))
			continue;
		for (size_t i = 0; r == 0 && i < COUNT(taken); i++)
			if (strlen(taken[i]) == (size_t)(eq - *env) &&
			    strncmp(*env, taken[i], (size_t)(eq - *env)) == 0)
				r = put(
				    out, taken[i], strlen(taken[i]), eq + 1);
	}
	return r;
}

int
env_words(struct buf *out, char *const env[], const char *const pairs[],
    size_t n_pairs)
{
	int r = buf_put(out, "--clearenv", sizeof("--clearenv"));

	for (size_t i = 0; r == 0 && i < COUNT(fixed); i++)
		r = put(out, fixed[i][0], strlen(fixed[i][0]), fixed[i][1]);
	if (r == 0)
		r = put_taken(out, env);
	for (size_t i = 0; r == 0 && i < n_pairs; i++) {
		size_t n = strcspn(pairs[i], "=");

		r = pairs[i][n] != '='
			? ERR_ARGUMENT
			: put(out, pairs[i], n, pairs[i] + n + 1);
	}
	return r;
}
