/* SPDX-License-Identifier: ISC */
/*
 * Requests to the guest API, and what their answers mean.
 * Trusts the host's words after checking their form.
 * A token or document that is too big is refused, not cut.
 */
#include "guest-agent/api.h"

#include "guest-agent/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GRANT_FIRST "grant_type=client_credentials"
#define GRANT_NEXT                                                         \
	"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3A"           \
	"token-exchange&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3A" \
	"token-type%3Aaccess_token&subject_token="

static enum api_result
unreachable(const struct channel *c, struct api_why *why)
{
	snprintf(why->text, sizeof(why->text),
	    "no answer from the host at %s: %s", c->path, strerror(errno));
	return API_RETRY;
}

/* A problem document (RFC 9457), or an OAuth error, in one line. */
static enum api_result
refused(const struct http_reply *r, struct api_why *why)
{
	struct json *doc = json_parse(r->body.p, r->body.n);
	const char *title = json_text(json_get(doc, "title"));
	const char *detail = json_text(json_get(doc, "detail"));
	const char *hint = json_text(json_get(doc, "hint"));

	if (title == NULL)
		title = json_text(json_get(doc, "error"));
	if (detail == NULL)
		detail = json_text(json_get(doc, "error_description"));
	snprintf(why->text, sizeof(why->text),
	    "the host refused (%d%s%s%s%s)%s%s", r->status, title ? ": " : "",
	    title ? title : "", detail ? ": " : "", detail ? detail : "",
	    hint ? "; " : "", hint ? hint : "");
	json_free(doc);
	return r->status >= 500 || r->status == 429 ? API_RETRY : API_REFUSED;
}

static enum api_result
call(const struct channel *c, const char *method, const char *path,
    const char *form, struct http_reply *r, struct api_why *why)
{
	if (http_call(c, method, path, form, r) != 0)
		return unreachable(c, why);
	if (r->status == 200)
		return API_OK;
	return refused(r, why);
}

static enum api_result
malformed(const char *what, struct api_why *why)
{
	snprintf(
	    why->text, sizeof(why->text), "the host's %s is malformed", what);
	return API_REFUSED;
}

/* b64token of RFC 6750: nothing in it can end a line or a header. */
static bool
is_token(const char *s)
{
	size_t n = s == NULL ? 0 : strlen(s);

	return n > 0 && n <= API_TOKEN_MAX &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "0123456789-._~+/=") == n;
}

static enum api_result
read_token(
    const struct http_reply *r, struct api_token *out, struct api_why *why)
{
	struct json *doc = json_parse(r->body.p, r->body.n);
	const char *text = json_text(json_get(doc, "access_token"));
	const char *type = json_text(json_get(doc, "token_type"));
	enum api_result result = API_OK;
	long long lifetime;

	if (!is_token(text) || type == NULL || strcmp(type, "Bearer") != 0 ||
	    !json_integer(json_get(doc, "expires_in"), &lifetime) ||
	    lifetime <= 0 || lifetime > 86400) {
		result = malformed("token answer", why);
	} else {
		memcpy(out->text, text, strlen(text) + 1);
		out->lifetime = lifetime;
	}
	json_free(doc);
	return result;
}

/* Frees form. */
static enum api_result
ask_token(const struct channel *c, struct text *form, struct api_token *out,
    struct api_why *why)
{
	struct http_reply r = {0};
	enum api_result result =
	    call(c, "POST", "/v1/token", form->p, &r, why);

	if (result == API_OK)
		result = read_token(&r, out, why);
	http_free(&r);
	text_free(form);
	return result;
}

enum api_result
api_token(const struct channel *c, const char *old, struct api_token *out,
    struct api_why *why)
{
	struct text form = {0};

	text_addf(&form, "%s", old ? GRANT_NEXT : GRANT_FIRST);
	if (old != NULL)
		text_add_form(&form, old);
	return ask_token(c, &form, out, why);
}

enum api_result
api_narrow(const struct channel *c, const char *details, const char *act,
    struct api_token *out, struct api_why *why)
{
	struct text form = {0};

	text_addf(&form, GRANT_FIRST "&authorization_details=");
	text_add_form(&form, details);
	if (act != NULL) {
		text_addf(&form, "&act=");
		text_add_form(&form, act);
	}
	return ask_token(c, &form, out, why);
}

void
api_revoke(const struct channel *c, const char *token)
{
	struct text form = {0};
	struct http_reply r = {0};

	text_addf(&form, "token=");
	text_add_form(&form, token);
	/* It expires by itself in minutes: nothing to do about a failure. */
	(void)http_call(c, "POST", "/v1/revoke", form.p, &r);
	http_free(&r);
	text_free(&form);
}

enum api_result
api_ca(const struct channel *c, char **out, struct api_why *why)
{
	struct http_reply r = {0};
	enum api_result result = call(c, "GET", "/v1/ca", NULL, &r, why);

	if (result == API_OK) {
		if (r.body.p == NULL || strlen(r.body.p) != r.body.n ||
		    strstr(r.body.p, "-----BEGIN CERTIFICATE-----") == NULL ||
		    strstr(r.body.p, "PRIVATE KEY") != NULL)
			result = malformed("CA", why);
		else
			*out = text_copy(r.body.p, r.body.n);
	}
	http_free(&r);
	return result;
}

enum api_result
api_document(const struct channel *c, const char *path, struct json **out,
    struct api_why *why)
{
	struct http_reply r = {0};
	enum api_result result = call(c, "GET", path, NULL, &r, why);

	if (result == API_OK) {
		*out = json_parse(r.body.p, r.body.n);
		if (*out == NULL)
			result = malformed("answer", why);
	}
	http_free(&r);
	return result;
}
