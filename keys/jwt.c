/* SPDX-License-Identifier: ISC */
/* What for: making and believing session tokens. Trusts: the key set it is
 * handed; no byte of a token before its signature is checked decides more
 * than which key checks it. At a bound: refused. */
#include "keys/jwt.h"

#include "keys/json.h"

#include <stdlib.h>

#define TYPE "hatcheck-grant"
#define HEADER_MAX 256
#define CLAIMS_DEPTH (1 + JWT_ACT_MAX) /* authorization_details takes 3 */

static const char *const words[] = {
    [JWT_GOOD] = "good",
    [JWT_MALFORMED] = "malformed",
    [JWT_HEADER] = "header",
    [JWT_KEY] = "unknown-key",
    [JWT_SIGNATURE] = "signature",
    [JWT_CLAIMS] = "claims",
    [JWT_ISSUER] = "issuer",
    [JWT_AUDIENCE] = "audience",
    [JWT_LIFETIME] = "lifetime",
    [JWT_NOT_YET] = "not-yet",
    [JWT_EXPIRED] = "expired",
    [JWT_CHANNEL] = "channel",
};

const char *
jwt_result_text(enum jwt_result r)
{
	size_t n = sizeof(words) / sizeof(words[0]);

	return (size_t)r < n ? words[r] : "unknown";
}

/* The claims that are plain text, once for both directions. "channel" and
 * "act" are apart: they are objects. */
#define TEXT(claim)                                        \
	{                                                  \
#claim, offsetof(struct jwt_claims, claim) \
	}
static const struct {
	const char *name;
	size_t offset;
} texts[] = {
    TEXT(iss), TEXT(aud), TEXT(sub), TEXT(client_id), TEXT(jti), TEXT(fam)};
#define N_TEXTS (sizeof(texts) / sizeof(texts[0]))

static char *
text_at(struct jwt_claims *c, size_t i)
{
	return (char *)c + texts[i].offset;
}

static const char *
text_of(const struct jwt_claims *c, size_t i)
{
	return (const char *)c + texts[i].offset;
}

/* Printable ASCII but quote and backslash, no space. */
static bool
text_good(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		if (*s <= ' ' || *s > '~' || *s == '"' || *s == '\\')
			return false;
	}
	return true;
}

static bool
name_good(const char *s)
{
	static const char word[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";

	return s[0] != '\0' && strchr("._-", s[0]) == NULL &&
	       s[strspn(s, word)] == '\0';
}

static bool
life_good(const struct jwt_claims *c)
{
	return c->iat > 0 && c->exp > c->iat && c->exp - c->iat <= JWT_LIFE_MAX;
}

static bool
claims_good(const struct jwt_claims *c)
{
	for (size_t i = 0; i < N_TEXTS; i++) {
		if (!text_good(text_of(c, i)))
			return false;
	}
	if (!text_good(c->channel) || c->n_act > JWT_ACT_MAX ||
	    c->n_grants > JWT_GRANTS_MAX)
		return false;
	for (size_t i = 0; i < c->n_act; i++) {
		if (!text_good(c->act[i]))
			return false;
	}
	for (size_t i = 0; i < c->n_grants; i++) {
		if (!name_good(c->grants[i]))
			return false;
	}
	return true;
}

/* Making. Every text is free of quotes and backslashes (claims_good), so
 * the JSON is written straight. */

static int
put_text(struct buf *b, const char *name, const char *value)
{
	return buf_printf(b, "\"%s\":\"%s\",", name, value);
}

static int
put_grants(struct buf *b, const struct jwt_claims *c)
{
	int r = buf_put_str(b, "\"authorization_details\":[");

	for (size_t i = 0; r == 0 && i < c->n_grants; i++)
		r = buf_printf(b, "%s{\"type\":\"" TYPE "\",\"name\":\"%s\"}",
		    i == 0 ? "" : ",", c->grants[i]);
	return r != 0 ? r : buf_put_str(b, "]}");
}

static int
put_act(struct buf *b, const struct jwt_claims *c)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n_act; i++)
		r = buf_printf(b, "%s\"act\":{\"sub\":\"%s\"",
		    i == 0 ? "" : ",", c->act[i]);
	for (size_t i = 0; r == 0 && i < c->n_act; i++)
		r = buf_put_str(b, "}");
	return r != 0 || c->n_act == 0 ? r : buf_put_str(b, ",");
}

static int
put_claims(struct buf *b, const struct jwt_claims *c)
{
	int r = buf_put_str(b, "{");

	for (size_t i = 0; r == 0 && i < N_TEXTS; i++)
		r = put_text(b, texts[i].name, text_of(c, i));
	if (r == 0)
		r = buf_printf(b,
		    "\"iat\":%lld,\"exp\":%lld,\"cnf\":{\"hck\":\"%s\"},",
		    (long long)c->iat, (long long)c->exp, c->channel);
	if (r == 0)
		r = put_act(b, c);
	return r != 0 ? r : put_grants(b, c);
}

/* token = b64url(header) . b64url(claims), then . b64url(signature) */
static int
put_token(struct buf *token, struct buf *part, const struct jwt_claims *c,
    const struct signing *keys)
{
	uint8_t signature[SIGNING_SIGNATURE];
	int r;

	if ((r = buf_printf(part,
		 "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\"}",
		 signing_kid(keys))) != 0 ||
	    (r = b64url_put(buf_span(part), token)) != 0 ||
	    (r = buf_put_str(token, ".")) != 0)
		return r;
	buf_reset(part);
	if ((r = put_claims(part, c)) != 0 ||
	    (r = b64url_put(buf_span(part), token)) != 0 ||
	    (r = signing_sign(keys, buf_span(token), signature)) != 0 ||
	    (r = buf_put_str(token, ".")) != 0)
		return r;
	return b64url_put(span_of(signature, sizeof(signature)), token);
}

int
jwt_sign(
    const struct jwt_claims *c, const struct signing *keys, struct buf *out)
{
	struct buf *token = NULL, *part = NULL;
	int r = ERR_NOMEM;

	if (!claims_good(c) || !life_good(c))
		return ERR_ARGUMENT;
	/* One more byte: b64url_put() needs room for a NUL. */
	if ((token = buf_new(JWT_MAX + 1)) == NULL ||
	    (part = buf_new(JWT_MAX)) == NULL)
		goto out;
	if ((r = put_token(token, part, c, keys)) == 0)
		r = buf_len(token) > JWT_MAX
			? ERR_TOO_BIG
			: buf_put_span(out, buf_span(token));
out:
	buf_free(token);
	buf_free(part);
	return r;
}

/* Believing. */

struct parts {
	struct span header, claims, signature; /* as they stand */
	struct span signed_part;
};

/* Three parts and two dots, no more. */
static int
split(struct span token, struct parts *out)
{
	const uint8_t *dot, *last;

	if (token.n == 0 || token.n > JWT_MAX)
		return ERR_FORMAT;
	if ((dot = memchr(token.p, '.', token.n)) == NULL ||
	    (last = memrchr(token.p, '.', token.n)) == dot)
		return ERR_FORMAT;
	out->header = span_of(token.p, (size_t)(dot - token.p));
	out->claims = span_of(dot + 1, (size_t)(last - dot - 1));
	out->signature = span_from(token, (size_t)(last - token.p) + 1);
	out->signed_part = span_of(token.p, (size_t)(last - token.p));
	if (memchr(out->claims.p, '.', out->claims.n) != NULL)
		return ERR_FORMAT;
	return 0;
}

/* The decoded part as strict JSON, or NULL. */
static json_t *
part_json(struct span part, size_t max, unsigned depth)
{
	uint8_t bytes[JWT_MAX];
	size_t n = 0;

	if (b64url_get(part, bytes, sizeof(bytes), &n) != 0)
		return NULL;
	return json_strict_within(span_of(bytes, n), max, depth);
}

static bool
is_text(const json_t *o, const char *name, const char *want)
{
	const char *have = json_text(o, name);

	return have != NULL && strcmp(have, want) == 0;
}

static enum jwt_result
read_header(struct span part, char kid[JWKS_KID_MAX])
{
	static const char *const names[] = {"typ", "alg", "kid", NULL};
	json_t *h = part_json(part, HEADER_MAX, 1);
	enum jwt_result r = JWT_HEADER;

	if (h == NULL)
		return JWT_MALFORMED;
	if (json_only(h, names, NULL) && is_text(h, "typ", "at+jwt") &&
	    is_text(h, "alg", "EdDSA") &&
	    json_text_copy(h, "kid", kid, JWKS_KID_MAX) == 0)
		r = JWT_GOOD;
	json_decref(h);
	return r;
}

static enum jwt_result
check_signature(const struct parts *p, const char *kid, const struct jwks *keys)
{
	uint8_t signature[SIGNING_SIGNATURE + 2];
	size_t n = 0;

	if (b64url_get(p->signature, signature, sizeof(signature), &n) != 0)
		return JWT_MALFORMED;
	switch (jwks_verify(
	    keys, span_str(kid), p->signed_part, span_of(signature, n))) {
	case 0:
		return JWT_GOOD;
	case ERR_NOT_FOUND:
		return JWT_KEY;
	default:
		return JWT_SIGNATURE;
	}
}

/* An object whose only member is this text. */
static int
read_inner(const json_t *o, const char *name, char *out, size_t size)
{
	const char *const names[] = {name, NULL};

	if (!json_only(o, names, NULL))
		return ERR_FORMAT;
	return json_text_copy(o, name, out, size);
}

static int
read_time(const json_t *o, const char *name, int64_t *out)
{
	uint64_t v = 0;
	int r = json_u64(o, name, (uint64_t)INT64_MAX / 2, &v);

	if (r == 0)
		*out = (int64_t)v;
	return r;
}

static int
read_grants(const json_t *array, struct jwt_claims *c)
{
	static const char *const names[] = {"type", "name", NULL};
	size_t n = json_array_size(array);

	if (!json_is_array(array) || n > JWT_GRANTS_MAX)
		return ERR_FORMAT;
	for (size_t i = 0; i < n; i++) {
		const json_t *o = json_array_get(array, i);

		if (!json_only(o, names, NULL) || !is_text(o, "type", TYPE) ||
		    json_text_copy(o, "name", c->grants[i], JWT_NAME_MAX) != 0)
			return ERR_FORMAT;
	}
	c->n_grants = n;
	return 0;
}

static int
read_act(const json_t *o, struct jwt_claims *c)
{
	static const char *const names[] = {"sub", "act", NULL};

	for (; o != NULL; o = json_object_get(o, "act")) {
		if (c->n_act == JWT_ACT_MAX || !json_only(o, names, NULL) ||
		    json_text_copy(o, "sub", c->act[c->n_act],
			sizeof(c->act[0])) != 0)
			return ERR_FORMAT;
		c->n_act++;
	}
	return 0;
}

static int
read_claims(const json_t *o, struct jwt_claims *c)
{
	static const char *const names[] = {"iss", "aud", "sub", "client_id",
	    "jti", "fam", "iat", "exp", "cnf", "act", "authorization_details",
	    NULL};

	if (!json_only(o, names, NULL))
		return ERR_FORMAT;
	for (size_t i = 0; i < N_TEXTS; i++) {
		if (json_text_copy(
			o, texts[i].name, text_at(c, i), JWT_TEXT_MAX) != 0)
			return ERR_FORMAT;
	}
	if (read_time(o, "iat", &c->iat) != 0 ||
	    read_time(o, "exp", &c->exp) != 0 ||
	    read_inner(json_object_get(o, "cnf"), "hck", c->channel,
		sizeof(c->channel)) != 0 ||
	    read_act(json_object_get(o, "act"), c) != 0 ||
	    read_grants(json_object_get(o, "authorization_details"), c) != 0)
		return ERR_FORMAT;
	return claims_good(c) ? 0 : ERR_FORMAT;
}

static enum jwt_result
check_expected(const struct jwt_claims *c, const struct jwt_expect *e)
{
	if (strcmp(c->iss, e->iss) != 0)
		return JWT_ISSUER;
	if (strcmp(c->aud, e->aud) != 0)
		return JWT_AUDIENCE;
	if (!life_good(c))
		return JWT_LIFETIME;
	if (c->iat > e->now + JWT_SKEW)
		return JWT_NOT_YET;
	if (e->now >= c->exp)
		return JWT_EXPIRED;
	if (e->channel != NULL && strcmp(c->channel, e->channel) != 0)
		return JWT_CHANNEL;
	return JWT_GOOD;
}

enum jwt_result
jwt_verify(
    struct span token, const struct jwt_expect *expect, struct jwt_claims *out)
{
	struct parts p;
	struct jwt_claims c = {0};
	char kid[JWKS_KID_MAX];
	enum jwt_result r;

	if (split(token, &p) != 0)
		return JWT_MALFORMED;
	if ((r = read_header(p.header, kid)) != JWT_GOOD ||
	    (r = check_signature(&p, kid, expect->keys)) != JWT_GOOD)
		return r;
	json_t *o = part_json(p.claims, JWT_MAX, CLAIMS_DEPTH);
	if (o == NULL)
		return JWT_MALFORMED;
	int bad = read_claims(o, &c);
	json_decref(o);
	if (bad != 0)
		return JWT_CLAIMS;
	if ((r = check_expected(&c, expect)) == JWT_GOOD)
		*out = c;
	return r;
}
