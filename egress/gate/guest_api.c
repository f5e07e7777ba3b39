/* SPDX-License-Identifier: ISC */
/* What for: the guest API of docs/guest-api.md.
 * Trusts: the channel for who asks; the minter for tokens.
 * At a bound: LIMIT_API_BODY; refuses and closes. */
#include "egress/gate/guest_api.h"

#include "egress/gate/form.h"
#include "egress/http/h1_write.h"
#include "lib/chainlog.h"

#include <stdlib.h>

#define FORM_TYPE "application/x-www-form-urlencoded"
#define ACCESS_TOKEN "urn:ietf:params:oauth:token-type:access_token"

/* False: the answer comes later, or c is gone. */
typedef bool api_run(struct conn *c);
static api_run run_token, run_revoke, run_jwks, run_ca, run_environment,
    run_status;

struct api_endpoint {
	const char *path;
	bool post; /* POST with a form; else GET and HEAD */
	api_run *run;
};

static const struct api_endpoint endpoints[] = {
    {"/v1/token", true, run_token},
    {"/v1/revoke", true, run_revoke},
    {"/v1/jwks", false, run_jwks},
    {"/v1/ca", false, run_ca},
    {"/v1/environment", false, run_environment},
    {"/v1/status", false, run_status},
};

static const struct api_endpoint *
find(struct span path)
{
	for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
		if (span_is(path, endpoints[i].path))
			return &endpoints[i];
	}
	return NULL;
}

/* Is it one of ours but for the version? */
static bool
lacks_version(struct span path)
{
	for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
		if (span_is(path, endpoints[i].path + 3))
			return true;
	}
	return false;
}

/* ------------------------------------------------------------- answers */

static bool
write_answer(
    struct conn *c, uint16_t status, const char *type, struct span body)
{
	struct head h;
	int r;

	head_init(&h);
	h.close = c->x.close;
	if ((r = answer_make(status, type, body, &h)) == 0)
		r = exchange_put_answer(&c->x, &h, body);
	head_clear(&h);
	if (r != 0) {
		conn_free(c);
		return false;
	}
	if (!c->front->flush(&c->x))
		return false;
	c->front->over(&c->x);
	return true;
}

static bool
oauth_error(
    struct conn *c, uint16_t status, struct span error, struct span description)
{
	struct buf *b = buf_new(4096);
	bool live = false;
	int r = b == NULL ? ERR_NOMEM : 0;

	(void)(r || (r = buf_put_str(b, "{\"error\":")) ||
	       (r = chainlog_put_string(b, error, 64)));
	if (r == 0 && description.n > 0)
		(void)((r = buf_put_str(b, ",\"error_description\":")) ||
		       (r = chainlog_put_string(b, description, 256)));
	if (r == 0 && buf_put_str(b, "}\n") == 0)
		live = write_answer(c, status, "application/json", buf_span(b));
	else
		conn_free(c);
	buf_free(b);
	return live;
}

static bool
invalid(struct conn *c, const char *why)
{
	return oauth_error(c, 400, span_str("invalid_request"), span_str(why));
}

static bool
problem(struct conn *c, unsigned reason, uint16_t status)
{
	struct problem p = {.reason = reason, .status = status};

	exchange_answer(&c->x, &p, c->x.close);
	return false;
}

/* ----------------------------------------------------------- documents */

static bool
run_jwks(struct conn *c)
{
	struct buf *b = buf_new(JWKS_JSON_MAX);
	bool live;

	if (b == NULL || jwks_encode(&c->g->session->jwks, b) != 0)
		live = problem(c, REASON_INTERNAL, 0);
	else
		live = write_answer(
		    c, 200, "application/jwk-set+json", buf_span(b));
	buf_free(b);
	return live;
}

static bool
run_ca(struct conn *c)
{
	return write_answer(c, 200, "application/x-pem-file",
	    leaf_cache_root_pem(c->g->leaves));
}

static bool
run_environment(struct conn *c)
{
	return write_answer(
	    c, 200, "application/json", span_str(c->g->session->environment));
}

static int
status_document(const struct session *s, struct buf *b)
{
	uint64_t now = gate_now().boot_ms;
	uint64_t left = s->expires_ms > now ? s->expires_ms - now : 0;
	int r;

	(void)((r = buf_put_str(b, "{\"session\":")) ||
	       (r = chainlog_put_string(b, span_str(s->id), 64)) ||
	       (r = buf_put_str(b, ",\"guest\":")) ||
	       (r = chainlog_put_string(b, span_str(s->guest), 64)) ||
	       (r = buf_printf(b, ",\"expires_in\":%llu}\n",
		    (unsigned long long)(left / 1000))));
	return r;
}

static bool
run_status(struct conn *c)
{
	struct buf *b = buf_new(1024);
	bool live;

	if (b == NULL || status_document(c->g->session, b) != 0)
		live = problem(c, REASON_INTERNAL, 0);
	else
		live = write_answer(c, 200, "application/json", buf_span(b));
	buf_free(b);
	return live;
}

/* -------------------------------------------------------------- tokens */

/* The minter is asked; guest_api_given() goes on. */
static bool
ask_minter(struct conn *c, const struct msg_type *t, const void *m)
{
	c->x.sent_all = true;
	if (gate_tell(c->g->minter, t, m)) {
		conn_deadline(c, LIMIT_CONNECT_S);
		return false;
	}
	return problem(c, REASON_NOT_READY, 0);
}

/* The family whose connection this is for good. */
static struct span
attached(const struct conn *c)
{
	return span_str(c->bound ? c->family : NULL);
}

static bool
run_token(struct conn *c)
{
	struct form_field f[] = {{"grant_type"}, {"subject_token"},
	    {"subject_token_type"}, {"authorization_details"}, {"act"}};
	struct buf *values = buf_new(LIMIT_API_BODY);
	struct guest_token_ask m;
	bool live;

	if (values == NULL ||
	    form_parse(buf_span(c->x.api_body), f, 5, values) != 0) {
		live = invalid(c, "not a strict form, or an unknown name");
	} else if (!f[0].present || f[0].value.n > 128 ||
		   f[1].value.n > TOKEN_MAX || f[2].value.n > 128 ||
		   f[3].value.n > 32 * 1024 || f[4].value.n > 128) {
		live = invalid(c, "grant_type is missing, or a value too long");
	} else {
		m = (struct guest_token_ask){.rid = c->x.id,
		    .grant_type = f[0].value,
		    .subject_token = f[1].value,
		    .subject_token_type = f[2].value,
		    .authorization_details = f[3].value,
		    .act = f[4].value,
		    .attached = attached(c)};
		live = ask_minter(c, &msg_guest_token_ask, &m);
	}
	buf_free(values);
	return live;
}

static bool
run_revoke(struct conn *c)
{
	struct form_field f[] = {{"token"}, {"token_type_hint"}};
	struct buf *values = buf_new(LIMIT_API_BODY);
	struct guest_token_revoke m = {.rid = c->x.id};
	bool live;

	if (values == NULL ||
	    form_parse(buf_span(c->x.api_body), f, 2, values) != 0 ||
	    !f[0].present) {
		live = invalid(c, "not a strict form with token");
	} else if (f[0].value.n > TOKEN_MAX) {
		/* It is nobody's: RFC 7009 wants 200. */
		live = write_answer(c, 200, NULL, (struct span){0});
	} else {
		m.token = f[0].value;
		m.attached = attached(c);
		live = ask_minter(c, &msg_guest_token_revoke, &m);
	}
	buf_free(values);
	return live;
}

static int
token_document(const struct guest_token_given *m, bool renewed, struct buf *b)
{
	int r;

	(void)((r = buf_put_str(b, "{\"access_token\":")) ||
	       (r = chainlog_put_string(b, m->token, TOKEN_MAX)) ||
	       (r = buf_printf(b,
		    ",\"token_type\":\"Bearer\",\"expires_in\":%u",
		    m->expires_in)));
	if (r == 0 && renewed)
		r = buf_put_str(
		    b, ",\"issued_token_type\":\"" ACCESS_TOKEN "\"");
	return r != 0 ? r : buf_put_str(b, "}\n");
}

static bool
give_token(struct conn *c, const struct guest_token_given *m)
{
	struct span form = buf_span(c->x.api_body);
	/* A renewal named its subject; the body is still here. */
	bool renewed =
	    form.n > 0 && memmem(form.p, form.n, "subject_token=", 14) != NULL;
	struct buf *b = buf_new(3 * TOKEN_MAX);
	bool live;

	if (b == NULL || token_document(m, renewed, b) != 0)
		live = problem(c, REASON_INTERNAL, 0);
	else
		live = write_answer(c, 200, "application/json", buf_span(b));
	buf_free(b);
	return live;
}

void
guest_api_given(struct conn *c, const struct guest_token_given *m)
{
	bool live;

	if (c->x.kind != EXCHANGE_API || !c->x.sent_all)
		return;
	if (m->status != 200)
		live = oauth_error(c,
		    m->status >= 400 && m->status <= 599 ? m->status : 500,
		    m->error, m->description);
	else if (m->token.n == 0)
		live = write_answer(c, 200, NULL, (struct span){0});
	else
		live = give_token(c, m);
	if (live)
		conn_process(c);
}

/* ------------------------------------------------------------ requests */

static bool
is_form(const struct head *h)
{
	struct span type;

	if (head_count(h, "content-type") != 1 ||
	    !head_get(h, "content-type", &type))
		return false;
	const uint8_t *semicolon = memchr(type.p, ';', type.n);
	if (semicolon != NULL) /* ;charset=… changes nothing */
		type.n = (size_t)(semicolon - type.p);
	while (type.n > 0 && type.p[type.n - 1] == ' ')
		type.n--;
	return span_caseeq(type, span_str(FORM_TYPE));
}

/* REASON_NONE, or why not; details in p. */
static enum reason
admit(const struct head *h, struct span path, const struct api_endpoint *e,
    struct problem *p)
{
	static const char hint[] = "The API is versioned: ask below /v1/.";
	bool get = span_is(h->method, "GET") || span_is(h->method, "HEAD");

	if (e == NULL) {
		if (lacks_version(path))
			p->hint = span_of(hint, sizeof(hint) - 1);
		return REASON_NOT_FOUND;
	}
	if (e->post ? !span_is(h->method, "POST") : !get) {
		p->status = 405;
		p->allow = e->post ? "POST" : "GET, HEAD";
		return REASON_UNSUPPORTED;
	}
	if (h->upgrade)
		return REASON_UNSUPPORTED;
	if (e->post && !is_form(h)) {
		p->status = 415;
		return REASON_BAD_REQUEST;
	}
	if (h->body == HEAD_BODY_LENGTH && h->length > LIMIT_API_BODY) {
		p->status = 413;
		return REASON_BAD_REQUEST;
	}
	return REASON_NONE;
}

static bool
go_on(struct conn *c)
{
	struct head h;
	int r;

	head_init(&h);
	h.status = 100;
	r = h1_put_head(&h, true, c->out);
	head_clear(&h);
	if (r == 0)
		return conn_write_out(c);
	conn_free(c);
	return false;
}

void
guest_api_start(struct conn *c, struct head *h, struct span path)
{
	const struct api_endpoint *e = find(path);
	struct problem p = {.reason = REASON_NONE};

	p.reason = admit(h, path, e, &p);
	if (p.reason != REASON_NONE) {
		conn_note(c, p.reason, h, NULL, 0);
		conn_refuse(&c->x, &p, h);
		return;
	}
	exchange_clear(&c->x);
	c->x.kind = EXCHANGE_API;
	c->x.id = gate_new_id(c->g, c->slot);
	c->x.to_head = span_is(h->method, "HEAD");
	c->x.close = h->close;
	c->x.api = e;
	c->x.api_body = buf_new(LIMIT_API_BODY);
	if (c->x.api_body == NULL)
		conn_free(c);
	else if (h->expect)
		(void)go_on(c); /* our last act on it */
}

bool
guest_api_body(struct conn *c, struct span bytes)
{
	struct problem p = {.reason = REASON_BAD_REQUEST, .status = 413};

	if (buf_put_span(c->x.api_body, bytes) == 0)
		return true;
	exchange_answer(&c->x, &p, true);
	return false;
}

bool
guest_api_end(struct conn *c)
{
	c->x.sent_all = true;
	return c->x.api->run(c);
}
