/* SPDX-License-Identifier: ISC */
/* What for: replies that hand out new secrets (requirement 13). Trusts:
 * nothing. At a bound: it is no such reply. */
#include "egress/courier/minted.h"

/* Keys, as bits; those that hold the secret first. */
enum {
	ACCESS_TOKEN = 1 << 0,
	CLIENT_SECRET = 1 << 1,
	TOKEN = 1 << 2,
	SECRETS = ACCESS_TOKEN | CLIENT_SECRET | TOKEN,
	TOKEN_TYPE = 1 << 3,
	CLIENT_ID = 1 << 4,
	EXPIRES_AT = 1 << 5,
	OK = 1 << 6,
	READONLY = 1 << 7
};
static const struct {
	const char *name;
	unsigned bit;
} keys[] = {{"access_token", ACCESS_TOKEN}, {"client_secret", CLIENT_SECRET},
    {"token", TOKEN}, {"token_type", TOKEN_TYPE}, {"client_id", CLIENT_ID},
    {"expires_at", EXPIRES_AT}, {"ok", OK}, {"readonly", READONLY}};

static const unsigned shapes[] = {
    ACCESS_TOKEN | TOKEN_TYPE, /* OAuth 2.0 (RFC 6749, 5.1; RFC 8693) */
    CLIENT_SECRET | CLIENT_ID, /* client registration (RFC 7591, 3.2.1) */
    TOKEN | EXPIRES_AT,	       /* GitHub: installations, runners */
    TOKEN | OK,		       /* npm login; Slack tooling tokens */
    TOKEN | READONLY,	       /* npm tokens */
};

static bool
ends_with(struct span s, const char *end)
{
	size_t n = strlen(end);

	return s.n >= n && span_caseeq(span_from(s, s.n - n), span_str(end));
}

void
minted_start(struct minted *m, struct span content_type)
{
	size_t n = 0;

	*m = (struct minted){.kind = MINTED_NOT};
	while (n < content_type.n && content_type.p[n] != ';' &&
	       content_type.p[n] > ' ')
		n++;
	content_type.n = n;
	if (ends_with(content_type, "json"))
		m->kind = MINTED_JSON;
	else if (ends_with(content_type, "/x-www-form-urlencoded"))
		m->kind = MINTED_FORM;
	m->in_key = m->kind == MINTED_FORM;
}

/* A key of the outermost object is whole. */
static int
on_key(struct minted *m)
{
	unsigned bit = 0;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (span_is(span_of(m->key, m->key_n), keys[i].name))
			bit = keys[i].bit;
	}
	m->seen |= bit;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		m->found |= (m->seen & shapes[i]) == shapes[i];
	}
	if (m->found)
		return ERR_DENIED;
	if ((bit & SECRETS) != 0 && !m->waits) {
		m->waits = true;
		m->since = m->n;
	}
	return 0;
}

static void
add_to_key(struct minted *m, uint8_t c)
{
	if (m->key_n < MINTED_KEY_MAX)
		m->key[m->key_n++] = (char)c;
}

static void
clear(struct minted *m)
{
	m->kind = MINTED_NOT;
	m->waits = false;
}

static int
in_string(struct minted *m, uint8_t c)
{
	if (m->escaped) {
		m->escaped = false;
	} else if (c == '\\') {
		m->escaped = true;
	} else if (c == '"') {
		m->in_string = false;
		return m->in_key ? on_key(m) : 0;
	}
	if (m->in_key)
		add_to_key(m, c);
	return 0;
}

static void
open_string(struct minted *m)
{
	m->in_string = true;
	m->in_key = m->depth == 1 && m->expect_key;
	m->expect_key = false;
	m->key_n = 0;
}

static int
on_json(struct minted *m, uint8_t c)
{
	if (m->in_string)
		return in_string(m, c);
	switch (c) {
	case ' ':
	case '\t':
	case '\r':
	case '\n':
		return 0;
	case '"':
		open_string(m);
		return 0;
	case '{':
	case '[':
		m->expect_key = c == '{' && m->depth == 0;
		m->depth++;
		return 0;
	case '}':
	case ']':
		if (--m->depth == 0)
			clear(m);
		return 0;
	case ',':
		m->expect_key = m->depth == 1;
		return 0;
	default:
		return 0;
	}
}

/* The first byte that is no blank opens an object, or there is none.
 * (0xef: a byte order mark may stand before it.) */
static int
json_byte(struct minted *m, uint8_t c)
{
	if (m->depth == 0 && c > ' ' && c != '{' && c != 0xef && c != 0xbb &&
	    c != 0xbf) {
		clear(m);
		return 0;
	}
	return on_json(m, c);
}

static int
on_form(struct minted *m, uint8_t c)
{
	if (c == '&') {
		m->in_key = true;
		m->key_n = 0;
	} else if (c == '=' && m->in_key) {
		m->in_key = false;
		return on_key(m);
	} else if (m->in_key) {
		add_to_key(m, c);
	}
	return 0;
}

/* Runs within strings and nested values are most of it. */
static size_t
skip(const struct minted *m, struct span s)
{
	size_t n = 0;

	if (m->kind != MINTED_JSON || !m->in_string || m->in_key || m->escaped)
		return 0;
	while (n < s.n && s.p[n] != '"' && s.p[n] != '\\')
		n++;
	return n;
}

int
minted_run(struct minted *m, struct span text, uint64_t *pass)
{
	uint64_t end = m->n + text.n;
	int r = 0;

	while (text.n > 0 && m->kind != MINTED_NOT && r == 0) {
		size_t n = skip(m, text);
		m->n += n;
		text = span_from(text, n);
		if (text.n == 0)
			break;
		m->n++;
		r = m->kind == MINTED_JSON ? json_byte(m, text.p[0])
					   : on_form(m, text.p[0]);
		text = span_from(text, 1);
		if (m->waits && m->n - m->since > MINTED_WAIT)
			clear(m);
	}
	if (r != 0)
		return r;
	m->n = end;
	if (m->waits && m->n - m->since > MINTED_WAIT)
		clear(m);
	*pass = m->waits ? m->since : end;
	return 0;
}
