/* SPDX-License-Identifier: ISC */
/* What for: finding credentials in a request. Trusts: nothing that a guest
 * wrote. At a bound: what is not understood is foreign. */
#include "egress/courier/carriers.h"

#include "messages/traffic.h"

#include <sodium.h>
#include <stdio.h>

#define BASIC_MAX 4096

enum place {
	PLACE_CREDENTIAL,
	PLACE_REMOVED, /* and noted */
	PLACE_HEARSAY, /* removed */
	PLACE_OVERRIDE /* refused */
};

struct row {
	const char *name; /* lower case */
	enum place place;
};

/* Headers in which services take a credential. */
static const struct row headers_table[] = {
    {"authorization", PLACE_CREDENTIAL},
    {"proxy-authorization", PLACE_REMOVED},
    {"cookie", PLACE_REMOVED},
    {"cookie2", PLACE_REMOVED},
    {"api-key", PLACE_CREDENTIAL},
    {"api-token", PLACE_CREDENTIAL},
    {"auth-token", PLACE_CREDENTIAL},
    {"access-token", PLACE_CREDENTIAL},
    {"token", PLACE_CREDENTIAL},
    {"private-token", PLACE_CREDENTIAL},
    {"job-token", PLACE_CREDENTIAL},
    {"deploy-token", PLACE_CREDENTIAL},
    {"client-secret", PLACE_CREDENTIAL},
    {"x-api-key", PLACE_CREDENTIAL},
    {"x-api-token", PLACE_CREDENTIAL},
    {"x-api-secret", PLACE_CREDENTIAL},
    {"x-app-key", PLACE_CREDENTIAL},
    {"x-application-key", PLACE_CREDENTIAL},
    {"x-access-token", PLACE_CREDENTIAL},
    {"x-auth", PLACE_CREDENTIAL},
    {"x-auth-key", PLACE_CREDENTIAL},
    {"x-auth-email", PLACE_CREDENTIAL},
    {"x-auth-token", PLACE_CREDENTIAL},
    {"x-auth-user-service-key", PLACE_CREDENTIAL},
    {"x-subject-token", PLACE_CREDENTIAL},
    {"x-authorization", PLACE_CREDENTIAL},
    {"x-forwarded-authorization", PLACE_CREDENTIAL},
    {"x-original-authorization", PLACE_CREDENTIAL},
    {"x-client-secret", PLACE_CREDENTIAL},
    {"x-session-token", PLACE_CREDENTIAL},
    {"x-secret-key", PLACE_CREDENTIAL},
    {"x-token", PLACE_CREDENTIAL},
    {"x-user-token", PLACE_CREDENTIAL},
    {"x-amz-security-token", PLACE_CREDENTIAL},
    {"x-amz-access-token", PLACE_CREDENTIAL},
    {"x-goog-api-key", PLACE_CREDENTIAL},
    {"x-goog-iam-authorization-token", PLACE_CREDENTIAL},
    {"x-goog-iap-jwt-assertion", PLACE_CREDENTIAL},
    {"x-ms-token-aad-access-token", PLACE_CREDENTIAL},
    {"ocp-apim-subscription-key", PLACE_CREDENTIAL},
    {"x-functions-key", PLACE_CREDENTIAL},
    {"x-github-token", PLACE_CREDENTIAL},
    {"x-gitlab-token", PLACE_CREDENTIAL},
    {"x-vault-token", PLACE_CREDENTIAL},
    {"x-consul-token", PLACE_CREDENTIAL},
    {"x-nomad-token", PLACE_CREDENTIAL},
    {"x-figma-token", PLACE_CREDENTIAL},
    {"x-shopify-access-token", PLACE_CREDENTIAL},
    {"x-shopify-storefront-access-token", PLACE_CREDENTIAL},
    {"x-algolia-api-key", PLACE_CREDENTIAL},
    {"x-postmark-server-token", PLACE_CREDENTIAL},
    {"x-postmark-account-token", PLACE_CREDENTIAL},
    {"x-honeycomb-team", PLACE_CREDENTIAL},
    {"x-insert-key", PLACE_CREDENTIAL},
    {"x-license-key", PLACE_CREDENTIAL},
    {"x-query-key", PLACE_CREDENTIAL},
    {"x-pm-apikey", PLACE_CREDENTIAL},
    {"x-n8n-api-key", PLACE_CREDENTIAL},
    {"x-rapidapi-key", PLACE_CREDENTIAL},
    {"x-redmine-api-key", PLACE_CREDENTIAL},
    {"x-subscription-token", PLACE_CREDENTIAL},
    {"x-tableau-auth", PLACE_CREDENTIAL},
    {"x-jfrog-art-api", PLACE_CREDENTIAL},
    {"x-jwt-assertion", PLACE_CREDENTIAL},
    {"x-nuget-apikey", PLACE_CREDENTIAL},
    {"xi-api-key", PLACE_CREDENTIAL},
    {"dd-api-key", PLACE_CREDENTIAL},
    {"dd-application-key", PLACE_CREDENTIAL},
    {"fastly-key", PLACE_CREDENTIAL},
    {"cf-access-client-secret", PLACE_CREDENTIAL},
    {"cf-access-token", PLACE_CREDENTIAL},
    {"circle-token", PLACE_CREDENTIAL},
    {"fly-api-token", PLACE_CREDENTIAL},
    {"linear-api-key", PLACE_CREDENTIAL},
    {"mailgun-api-key", PLACE_CREDENTIAL},
    {"plaid-secret", PLACE_CREDENTIAL},
    {"notion-token", PLACE_CREDENTIAL},
    /* What proxies say of whom and where they asked for. The guest is no
     * proxy of the upstream's, and only one host was checked. */
    {"forwarded", PLACE_HEARSAY},
    {"x-host", PLACE_HEARSAY},
    {"x-original-host", PLACE_HEARSAY},
    {"x-http-host-override", PLACE_HEARSAY},
    {"remote-user", PLACE_HEARSAY},
    {"x-remote-user", PLACE_HEARSAY},
    /* Another method or path than the one that was checked. */
    {"x-http-method-override", PLACE_OVERRIDE},
    {"x-http-method", PLACE_OVERRIDE},
    {"x-method-override", PLACE_OVERRIDE},
    {"x-original-method", PLACE_OVERRIDE},
    {"x-original-url", PLACE_OVERRIDE},
    {"x-original-uri", PLACE_OVERRIDE},
    {"x-rewrite-url", PLACE_OVERRIDE},
    {"x-rewrite-uri", PLACE_OVERRIDE},
    {"x-override-url", PLACE_OVERRIDE},
};

/* Of these there are too many: x-forwarded-host, -user, -uri, ... */
#define FORWARDED "x-forwarded-"

/* Query keys. */
static const char *const query_table[] = {"key", "api-key", "api-token",
    "app-key", "app-secret", "api-secret", "access-key", "access-token",
    "access-key-id", "awsaccesskeyid", "secret-access-key", "auth", "auth-key",
    "auth-token", "authorization", "bearer", "bearer-token", "client-secret",
    "credential", "credentials", "code-verifier", "id-token", "jwt",
    "assertion", "client-assertion", "oauth-token", "oauth-signature", "pass",
    "passwd", "password", "private-token", "job-token", "refresh-token",
    "secret", "secret-key", "session-token", "sessionid", "sid", "sig", "sign",
    "signature", "subscription-key", "subject-token", "token",
    "x-amz-credential", "x-amz-security-token", "x-amz-signature",
    "x-goog-credential", "x-goog-signature", "x-api-key"};

/* How names are written: header fields as they are; keys of a query with
 * escapes, and with "[...]" where an upstream makes arrays of them. */
enum spelling { SPELLED_PLAIN, SPELLED_QUERY };

/* Take one byte of a name; -1 at its end. */
static int
name_byte(struct span *s, enum spelling how)
{
	int c = s->n == 0 ? -1 : s->p[0];
	size_t used = 1;

	if (how == SPELLED_QUERY && c == '%' && s->n >= 3 &&
	    span_hex(s->p[1]) >= 0 && span_hex(s->p[2]) >= 0) {
		c = span_hex(s->p[1]) << 4 | span_hex(s->p[2]);
		used = 3;
	}
	if (c < 0 || (how == SPELLED_QUERY && c == '['))
		return -1;
	*s = span_from(*s, used);
	return c;
}

/* The next letter or digit in lower case. What lies between is skipped:
 * upstreams read api-key, api_key, api.key and apiKey as one name. */
static int
next_letter(struct span *s, enum spelling how)
{
	int c;

	while ((c = name_byte(s, how)) >= 0) {
		if (c >= 'A' && c <= 'Z')
			return c + ('a' - 'A');
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		    c >= 0x80)
			return c;
	}
	return -1;
}

static bool
same_name(struct span s, const char *name, enum spelling how)
{
	struct span n = span_str(name);
	int a, b;

	do {
		a = next_letter(&s, how);
		b = next_letter(&n, SPELLED_PLAIN);
	} while (a == b && a >= 0);
	return a == b;
}

static bool
begins_like(struct span s, const char *name)
{
	struct span n = span_str(name);
	int a, b;

	do {
		b = next_letter(&n, SPELLED_PLAIN);
		a = b < 0 ? -1 : next_letter(&s, SPELLED_PLAIN);
	} while (a == b && b >= 0);
	return b < 0;
}

static bool
in_slots(struct span name, enum slot_type type, const struct slot *const *slots,
    size_t n)
{
	enum spelling how = type == SLOT_QUERY ? SPELLED_QUERY : SPELLED_PLAIN;

	for (size_t i = 0; i < n; i++) {
		if (slots[i]->type == type &&
		    same_name(name, slots[i]->name, how))
			return true;
	}
	return false;
}

static const struct row *
header_row(struct span name, enum spelling how)
{
	static const struct row forwarded = {FORWARDED, PLACE_HEARSAY};
	size_t n = sizeof(headers_table) / sizeof(headers_table[0]);

	for (size_t i = 0; i < n; i++) {
		if (same_name(name, headers_table[i].name, how))
			return &headers_table[i];
	}
	return begins_like(name, FORWARDED) ? &forwarded : NULL;
}

bool
carriers_is_header(
    struct span name, const struct slot *const *slots, size_t n_slots)
{
	return header_row(name, SPELLED_PLAIN) != NULL ||
	       in_slots(name, SLOT_HEADER, slots, n_slots);
}

bool
carriers_is_query(
    struct span key, const struct slot *const *slots, size_t n_slots)
{
	for (size_t i = 0; i < sizeof(query_table) / sizeof(query_table[0]);
	     i++) {
		if (same_name(key, query_table[i], SPELLED_QUERY))
			return true;
	}
	return in_slots(key, SLOT_QUERY, slots, n_slots);
}

struct scan {
	const struct slot *const *slots;
	size_t n_slots;
	carriers_resolve *resolve;
	void *ctx;
	struct carriers *out;
};

/* One carrier holds this: all of them must agree. */
static void
note(struct scan *s, const char *credential, const char *where)
{
	struct carriers *c = s->out;

	if (c->carried == CARRIED_FOREIGN)
		return;
	bool same =
	    c->carried == CARRIED_NOTHING ||
	    (credential != NULL && strcmp(credential, c->credential) == 0);
	c->where = where;
	c->credential = credential;
	c->carried =
	    credential != NULL && same ? CARRIED_PLACEHOLDER : CARRIED_FOREIGN;
}

static bool
strip_scheme(struct span *v, const char *scheme)
{
	size_t n = strlen(scheme);

	if (v->n <= n || v->p[n] != ' ' ||
	    !span_caseeq(span_of(v->p, n), span_str(scheme)))
		return false;
	*v = span_from(*v, n);
	while (v->n > 0 && v->p[0] == ' ')
		*v = span_from(*v, 1);
	return true;
}

/* user:password with the placeholder as one of them. */
static const char *
resolve_basic(struct scan *s, struct span v, bool *empty)
{
	uint8_t plain[BASIC_MAX];
	size_t n = 0;
	const char *end = NULL, *found;

	if (sodium_base642bin(plain, sizeof(plain), (const char *)v.p, v.n,
		NULL, &n, &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    end != (const char *)v.p + v.n)
		return NULL;
	uint8_t *colon = memchr(plain, ':', n);
	size_t user = colon == NULL ? n : (size_t)(colon - plain);
	struct span pass = span_from(span_of(plain, n), user + 1);
	*empty = user == 0 && pass.n == 0;
	found = s->resolve(s->ctx, pass);
	if (found == NULL)
		found = s->resolve(s->ctx, span_of(plain, user));
	sodium_memzero(plain, sizeof(plain));
	return found;
}

static void
look_at_value(struct scan *s, struct span v, const char *where)
{
	bool empty = v.n == 0;
	const char *found = NULL;

	if (!empty && strip_scheme(&v, "basic"))
		found = resolve_basic(s, v, &empty);
	else if (!empty) {
		if (!strip_scheme(&v, "bearer"))
			(void)strip_scheme(&v, "token"); /* or bare */
		found = s->resolve(s->ctx, v);
	}
	if (!empty)
		note(s, found, where);
}

/* A slot may write a word of its own before the value. */
static struct span
without_prefix(const struct scan *s, struct span name, struct span value)
{
	for (size_t i = 0; i < s->n_slots; i++) {
		const struct slot *slot = s->slots[i];
		size_t n = strlen(slot->prefix);
		if (slot->type == SLOT_HEADER && n > 0 && value.n >= n &&
		    same_name(name, slot->name, SPELLED_PLAIN) &&
		    memcmp(value.p, slot->prefix, n) == 0)
			return span_from(value, n);
	}
	return value;
}

static void
look_at_header(struct scan *s, struct span name, struct span value)
{
	const struct row *row = header_row(name, SPELLED_PLAIN);

	if (row != NULL && row->place == PLACE_OVERRIDE) {
		s->out->overrides = s->out->overrides || value.n > 0;
		return;
	}
	if (row != NULL && row->place == PLACE_REMOVED) {
		s->out->dropped = s->out->dropped || value.n > 0;
		return;
	}
	if (row != NULL && row->place == PLACE_HEARSAY)
		return;
	if (row != NULL || in_slots(name, SLOT_HEADER, s->slots, s->n_slots))
		look_at_value(s, without_prefix(s, name, value), "header");
}

/* The next parameter of a query; both "&" and ";" part them. */
static bool
next_parameter(struct span *query, struct span *out)
{
	size_t n = 0;

	if (query->n == 0)
		return false;
	while (n < query->n && query->p[n] != '&' && query->p[n] != ';')
		n++;
	*out = span_of(query->p, n);
	*query = span_from(*query, n + 1);
	return true;
}

/* _method, as frameworks spell it; method alone is anybody's key. */
static bool
is_override(struct span key)
{
	struct span rest = key;
	const struct row *row = header_row(key, SPELLED_QUERY);
	int first = name_byte(&rest, SPELLED_QUERY);

	return (row != NULL && row->place == PLACE_OVERRIDE) ||
	       (first != 'm' && first != 'M' &&
		   same_name(key, "_method", SPELLED_QUERY));
}

static bool
look_at_parameter(struct scan *s, struct span p)
{
	const uint8_t *eq = p.n == 0 ? NULL : memchr(p.p, '=', p.n);
	size_t n = eq == NULL ? p.n : (size_t)(eq - p.p);
	struct span value = span_from(p, n + 1);

	if (is_override(span_of(p.p, n)))
		s->out->overrides = true;
	if (!carriers_is_query(span_of(p.p, n), s->slots, s->n_slots))
		return false;
	s->out->in_query = true;
	if (value.n > 0)
		note(s, s->resolve(s->ctx, value), "query");
	return true;
}

static int
scan_query(struct scan *s, struct span query, struct buf *clean)
{
	const char *sep = "?";
	struct span p;
	int r = 0;

	while (r == 0 && next_parameter(&query, &p)) {
		if (look_at_parameter(s, p))
			continue;
		if ((r = buf_put_str(clean, sep)) == 0)
			r = buf_put_span(clean, p);
		sep = "&";
	}
	return r;
}

/* A query that holds no carrier stays byte for byte as it was. */
static int
scan_target(struct scan *s, struct span target, struct buf *clean)
{
	const uint8_t *mark = memchr(target.p, '?', target.n);
	size_t n = mark == NULL ? target.n : (size_t)(mark - target.p);
	struct buf *query = buf_new(target.n + 1);
	int r = query == NULL ? ERR_NOMEM
			      : buf_put_span(clean, span_of(target.p, n));

	if (r == 0)
		r = scan_query(s, span_from(target, n + 1), query);
	if (r == 0)
		r = buf_put_span(clean,
		    s->out->in_query ? buf_span(query) : span_from(target, n));
	buf_free(query);
	return r;
}

int
carriers_scan(struct span headers, struct span target,
    const struct slot *const *slots, size_t n_slots, carriers_resolve *resolve,
    void *ctx, struct buf *clean, struct carriers *out)
{
	struct carriers c = {0};
	struct scan s = {.slots = slots,
	    .n_slots = n_slots,
	    .resolve = resolve,
	    .ctx = ctx,
	    .out = &c};
	struct span name, value;
	int r;

	while ((r = headers_next(&headers, &name, &value)) == 0)
		look_at_header(&s, name, value);
	if (r != ERR_NOT_FOUND)
		return r;
	if (target.n == 0)
		return ERR_FORMAT;
	if ((r = scan_target(&s, target, clean)) != 0)
		return r;
	*out = c;
	return 0;
}

static bool
is_own_origin(struct span origin, const char *host, uint16_t port)
{
	char own[HOST_MAX + 24];

	(void)snprintf(own, sizeof(own), "https://%s:%u", host, port);
	if (span_caseeq(origin, span_str(own)))
		return true;
	(void)snprintf(own, sizeof(own), "https://%s", host);
	return port == 443 && span_caseeq(origin, span_str(own));
}

bool
carriers_cross_site(struct span headers, const char *host, uint16_t port)
{
	struct span name, value;

	while (headers_next(&headers, &name, &value) == 0) {
		if (span_is(name, "origin") &&
		    !is_own_origin(value, host, port))
			return true;
		if (span_is(name, "sec-fetch-site") &&
		    !span_is(value, "same-origin") && !span_is(value, "none"))
			return true;
	}
	return false;
}
