/* SPDX-License-Identifier: ISC */
/* What for: session tokens. Trusts: the gate for nothing but which session
 * it belongs to. At a bound: an RFC 6749 error, never a token. */
#include "minter/token.h"

#include "keys/json.h"
#include "lib/log.h"
#include "minter/channel.h"
#include "minter/child.h"
#include "minter/cut.h"
#include "minter/keyring.h"
#include "minter/pair.h"

#include <stdlib.h>

#define NOTE_DETAILS_MAX 2048

struct answer {
	uint16_t status;
	const char *error, *description;
	struct buf *token;
	uint32_t expires_in;
	char family[STATE_ID_MAX];
	char text[256]; /* where description is not a literal */
};

static int
send_answer(struct session *s, uint32_t rid, const struct answer *a)
{
	struct guest_token_given g = {.rid = rid,
	    .status = a->status,
	    .expires_in = a->expires_in,
	    .family = span_str(a->family),
	    .error = span_str(a->error),
	    .description = span_str(a->description)};

	if (a->token != NULL)
		g.token = buf_span(a->token);
	return link_send(s->gate, &msg_guest_token_given, &g, -1);
}

static void
refuse(struct answer *a, unsigned status, const char *error,
    const char *description)
{
	a->status = (uint16_t)status;
	a->error = error;
	a->description = description;
}

/* No token outlives the session or the first of its grants to end; a
 * child's neither what it was made for nor its parent's. What is left of
 * them is counted in BOOTTIME, so that a wall clock that is put ahead ends
 * no session before its time. */
static int64_t
expiry(const struct session *s, const struct family *f, int64_t now)
{
	const struct family *parent = f == NULL ? NULL : session_parent(s, f);
	int64_t end_ms = s->expires_ms, exp, left;
	const char *name;
	json_t *pair;

	json_object_foreach (s->until, name, pair) {
		int64_t ms = json_integer_value(json_array_get(pair, 1));
		end_ms = ms < end_ms ? ms : end_ms;
	}
	if (parent != NULL && parent->row.expires_ms < end_ms)
		end_ms = parent->row.expires_ms;
	left = (end_ms - clock_boot_ms()) / 1000;
	exp = now + (left < TOKEN_LIFE ? left : TOKEN_LIFE);
	if (f != NULL && f->row.until != 0 && f->row.until < exp)
		exp = f->row.until;
	return exp;
}

static void
fill_grants(const struct grant_set *set, struct jwt_claims *c)
{
	for (size_t i = 0; i < set->n && c->n_grants < JWT_GRANTS_MAX; i++) {
		const char *name = set->g[i].name;
		size_t j = 0;

		while (j < c->n_grants && strcmp(c->grants[j], name) != 0)
			j++;
		if (j == c->n_grants)
			(void)snprintf(
			    c->grants[c->n_grants++], JWT_NAME_MAX, "%s", name);
	}
}

static void
fill_act(const struct session *s, const struct family *f, struct jwt_claims *c)
{
	for (; f != NULL && c->n_act < JWT_ACT_MAX; f = session_parent(s, f)) {
		if (f->narrow)
			(void)snprintf(
			    c->act[c->n_act++], JWT_TEXT_MAX, "%s", f->row.act);
	}
}

static void
fill_claims(const struct session *s, const struct family *of,
    const struct family_row *f, struct jwt_claims *c)
{
	memset(c, 0, sizeof(*c));
	(void)snprintf(c->iss, sizeof(c->iss), "%s", MINTER_ISSUER);
	(void)snprintf(c->aud, sizeof(c->aud), "%s", MINTER_AUDIENCE);
	(void)snprintf(c->sub, sizeof(c->sub), "%s", s->id);
	(void)snprintf(c->client_id, sizeof(c->client_id), "%s", s->guest);
	(void)snprintf(c->jti, sizeof(c->jti), "%s", f->jti);
	(void)snprintf(c->fam, sizeof(c->fam), "%s", f->id);
	channel_claim(s, c->channel);
	c->iat = f->issued;
	c->exp = f->expires;
	fill_grants(of->narrow ? &of->details : &s->grants, c);
	fill_act(s, of, c);
}

static int
store_family(struct minter *m, const struct family_row *f)
{
	int r;

	if ((r = state_begin(m->state)) != 0)
		return r;
	if ((r = state_family_put(m->state, f)) != 0) {
		state_rollback(m->state);
		return r;
	}
	return state_commit(m->state);
}

/* What a child may, when it fits into a line; else how long it is. */
static void
note_details(json_t *line, const char *details)
{
	size_t n = strlen(details);

	if (n > NOTE_DETAILS_MAX)
		(void)json_object_set_new(
		    line, "details_length", json_integer((json_int_t)n));
	else
		(void)json_object_set_new(
		    line, "details", json_strict(span_str(details)));
}

static int
record(struct minter *m, const struct session *s, const struct family *of,
    const struct family_row *f, const char *how)
{
	json_t *line = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "session",
	    s->id, "guest", s->guest, "family", f->id, "jti", f->jti, "how",
	    how, "expires", (json_int_t)f->expires);

	if (of->narrow) {
		(void)json_object_set_new(
		    line, "parents", child_parents(s, of));
		(void)json_object_set_new(
		    line, "act", json_string(of->row.act));
	}
	if (f->details != NULL)
		note_details(line, f->details);
	int r = minter_note(m, "token", line);
	return r != 0 ? r : store_family(m, f);
}

static void
insert(struct session *s, struct family *f)
{
	f->next = s->families;
	s->families = f;
}

/* A token of f: of one of the session's, or of a fresh one, which is the
 * session's when 0 is returned. */
static int
mint(struct minter *m, struct session *s, struct family *f, int64_t now,
    struct answer *a)
{
	struct jwt_claims *c = calloc(1, sizeof(*c));
	struct family_row row = f->row;
	bool fresh = row.jti[0] == '\0';
	char *details = fresh && f->narrow ? child_details(f) : NULL;
	int r = ERR_NOMEM;

	row.issued = now;
	row.expires = expiry(s, f, now);
	row.expires_ms = clock_boot_ms() + (row.expires - now) * 1000;
	row.details = details;
	session_random_id(row.jti, "t-");
	memcpy(row.session, s->id, sizeof(row.session));
	if (c == NULL || (fresh && f->narrow && details == NULL) ||
	    (a->token = buf_new(TOKEN_MAX)) == NULL)
		goto out;
	fill_claims(s, f, &row, c);
	if ((r = jwt_sign(c, m->token_keys, a->token)) != 0 ||
	    (r = record(m, s, f, &row,
		 !fresh	     ? "renewed"
		 : f->narrow ? "child"
			     : "first")) != 0)
		goto out;
	row.details = NULL;
	f->row = row;
	if (fresh)
		insert(s, f);
	pair_family(m, s, f);
	a->status = 200;
	a->expires_in = (uint32_t)(row.expires - now);
	memcpy(a->family, row.id, sizeof(a->family));
out:
	free(details);
	free(c);
	return r;
}

static bool
check_first(
    const struct session *s, const struct guest_token_ask *q, struct answer *a)
{
	if (q->subject_token.n != 0 || q->subject_token_type.n != 0)
		refuse(a, 400, "invalid_request",
		    "subject_token belongs to a token exchange");
	else if (session_families_live(s, clock_boot_ms(), false) >=
		 SESSION_FAMILIES_MAX)
		refuse(a, 429, "temporarily_unavailable",
		    "too many live token families; renew one you have");
	else
		return true;
	return false;
}

/* The family whose connection it is; NULL: no connection of a live one. */
static const struct family *
attached_to(const struct session *s, struct span attached)
{
	char id[STATE_ID_MAX] = "";

	if (attached.n == 0 || span_copy(attached, id, sizeof(id)) != 0)
		return NULL;
	return session_family(s, id);
}

/* What a connection that is attached to a narrower family may touch: that
 * family and what is below it. f: NULL for a first token. */
static bool
check_attached(const struct session *s, struct span attached,
    const struct family *f, struct answer *a)
{
	const struct family *at = attached_to(s, attached);

	if (attached.n == 0)
		return true;
	if (at == NULL)
		refuse(a, 400, "invalid_grant",
		    "the connection's token family has ended");
	else if (session_depth(s, at) == 0 ||
		 (f != NULL && session_is_below(s, f, at->row.id)))
		return true;
	else
		refuse(a, 400, "unauthorized_client",
		    "this connection is a sub-agent's: it may renew, narrow "
		    "and revoke its own token only");
	return false;
}

enum jwt_result
token_read(struct minter *m, struct span token, struct jwt_claims *out)
{
	struct jwt_expect e = {.iss = MINTER_ISSUER, .aud = MINTER_AUDIENCE};
	struct jwks set = {0};

	if (clock_now(&m->clock, &e.now) != 0)
		return JWT_NOT_YET;
	if (keyring_public(m, &set) != 0)
		return JWT_KEY;
	e.keys = &set;
	return jwt_verify(token, &e, out);
}

/* The live family that a token of this very session belongs to. */
static struct family *
family_of(struct minter *m, struct session *s, struct span token)
{
	struct jwt_claims *c = calloc(1, sizeof(*c));
	char channel[JWT_TEXT_MAX];
	struct family *f = NULL;

	channel_claim(s, channel);
	if (c != NULL && token_read(m, token, c) == JWT_GOOD &&
	    strcmp(c->channel, channel) == 0 && strcmp(c->sub, s->id) == 0)
		f = session_family(s, c->fam);
	if (f != NULL && f->row.expires_ms <= clock_boot_ms())
		f = NULL;
	free(c);
	return f;
}

static struct family *
check_exchange(struct minter *m, struct session *s,
    const struct guest_token_ask *q, struct answer *a)
{
	struct family *f = NULL;

	if (q->subject_token.n == 0 ||
	    (!span_is(q->subject_token_type, TOKEN_TYPE_ACCESS) &&
		!span_is(q->subject_token_type, TOKEN_TYPE_JWT)))
		refuse(a, 400, "invalid_request",
		    "subject_token and subject_token_type (access_token or "
		    "jwt) are needed");
	else if ((f = family_of(m, s, q->subject_token)) == NULL)
		refuse(a, 400, "invalid_grant",
		    "subject_token is no live token of this session; ask for "
		    "a first one");
	return f;
}

/* Does a sub-agent ask, by its token or on its connection? */
static bool
is_below(const struct session *s, const struct guest_token_ask *q,
    const struct family *subject)
{
	return session_depth(s, subject) > 0 ||
	       session_depth(s, attached_to(s, q->attached)) > 0;
}

/* Each token is a line in our log and a row that is synced: a guest gets
 * many at once, but not for ever. (Of a clock that counts on, so that a
 * revoked token is no way to more.) What its sub-agents ask for is not
 * taken from what it has itself: it must be able to renew. */
static bool
check_pace(struct session *s, const struct guest_token_ask *q,
    const struct family *subject, struct answer *a)
{
	int64_t now = clock_boot_ms();
	int64_t *pace =
	    is_below(s, q, subject) ? &s->pace_below_ms : &s->pace_ms;

	if (*pace < now)
		*pace = now;
	if (*pace - now >= TOKEN_BURST * TOKEN_PACE_MS) {
		refuse(a, 429, "temporarily_unavailable",
		    "too many tokens in a short time; use those you have");
		return false;
	}
	*pace += TOKEN_PACE_MS;
	return true;
}

static bool
check_ready(
    struct minter *m, const struct session *s, int64_t *now, struct answer *a)
{
	if (s->finishing || s->expires_ms <= clock_boot_ms())
		refuse(a, 400, "invalid_grant", "the session has ended");
	else if (m->failed != NULL)
		refuse(a, 503, "temporarily_unavailable",
		    "the audit log or state cannot be written; on the host: "
		    "hatcheck status");
	else if (m->token_keys == NULL)
		refuse(a, 503, "temporarily_unavailable",
		    "the vault is not open; on the host: hatcheck unlock");
	else if (clock_now(&m->clock, now) != 0)
		refuse(a, 503, "temporarily_unavailable",
		    "the host's clock stepped back; on the host: hatcheck "
		    "doctor");
	else if (expiry(s, NULL, *now) <= *now)
		refuse(a, 400, "invalid_grant", "the session has ended");
	else
		return true;
	return false;
}

/* The family that a token is asked of: a known one, or a fresh one. */
static int
find_family(struct minter *m, struct session *s,
    const struct guest_token_ask *q, struct family *subject, int64_t now,
    struct family **out, struct answer *a)
{
	struct child_refusal no = {0};
	int r = 0;

	if (child_asked(q)) {
		r = child_make(m, s, subject, q, now, out, &no);
		if (r == ERR_DENIED) {
			memcpy(a->text, no.text, sizeof(a->text));
			refuse(a, no.status, no.error, a->text);
		}
	} else if (subject != NULL) {
		*out = subject;
	} else if ((*out = calloc(1, sizeof(**out))) == NULL) {
		r = ERR_NOMEM;
	} else {
		session_random_id((*out)->row.id, "f-");
	}
	if (r == 0 && expiry(s, *out, now) <= now) {
		refuse(a, 400, "invalid_grant", "its time is over");
		r = ERR_DENIED;
	}
	return r;
}

static void
not_made(const struct session *s, int r, struct answer *a)
{
	log_event(
	    LOG_ERROR, "token_not_made", LOG_STR("session", s->id), LOG_ERR(r));
	buf_free(a->token);
	a->token = NULL;
	refuse(a, 503, "temporarily_unavailable",
	    "the token could not be recorded");
}

static void
decide_ask(struct minter *m, struct session *s, const struct guest_token_ask *q,
    struct answer *a)
{
	bool first = span_is(q->grant_type, TOKEN_CLIENT_CREDENTIALS);
	struct family *subject = NULL, *f = NULL;
	int64_t now;
	int r;

	if (!first && !span_is(q->grant_type, TOKEN_EXCHANGE)) {
		refuse(a, 400, "unsupported_grant_type",
		    "use client_credentials or token-exchange");
		return;
	}
	if (!check_ready(m, s, &now, a) || (first && !check_first(s, q, a)) ||
	    (!first && (subject = check_exchange(m, s, q, a)) == NULL) ||
	    !check_attached(s, q->attached, subject, a) ||
	    !check_pace(s, q, subject, a))
		return;
	if ((r = find_family(m, s, q, subject, now, &f, a)) == 0)
		r = mint(m, s, f, now, a);
	else if (r == ERR_DENIED)
		r = 0;
	if (f != NULL && session_family(s, f->row.id) != f)
		family_free(f); /* it did not become the session's */
	if (r != 0)
		not_made(s, r, a);
}

int
token_ask(struct minter *m, struct session *s, const struct guest_token_ask *q)
{
	struct answer a = {0};

	decide_ask(m, s, q, &a);
	metrics_token(&m->metrics, a.status == 200);
	int r = send_answer(s, q->rid, &a);
	buf_free(a.token);
	return r;
}

struct revoking {
	struct minter *m;
	int64_t began_ms;
	char session[STATE_ID_MAX];
	uint32_t rid;
};

static void
on_cut(void *ctx)
{
	struct revoking *v = ctx;
	struct session *s = minter_session_id(v->m, span_str(v->session));
	struct answer a = {.status = 200};

	metrics_revoked(&v->m->metrics, clock_boot_ms() - v->began_ms);
	/* A gate that is gone needs no answer. */
	if (s != NULL && s->gate != NULL && send_answer(s, v->rid, &a) != 0)
		log_event(LOG_WARN, "answer_lost", LOG_STR("session", s->id));
	free(v);
}

static void
cut_family(struct minter *m, struct session *s, const char *family,
    uint32_t rid, int64_t began_ms)
{
	struct revoking *v = calloc(1, sizeof(*v));

	if (v == NULL)
		log_fatal("out_of_memory", "cannot revoke in an orderly way");
	v->m = m;
	v->rid = rid;
	v->began_ms = began_ms;
	memcpy(v->session, s->id, sizeof(v->session));
	struct cuts *c = cuts_new(m, on_cut, v);
	cuts_add_tree(c, s, family);
	cuts_run(c);
}

int
token_revoke(
    struct minter *m, struct session *s, const struct guest_token_revoke *q)
{
	struct family *f = family_of(m, s, q->token);
	struct answer a = {.status = 200};
	int64_t began_ms = clock_boot_ms();
	char id[STATE_ID_MAX];

	if (f == NULL) /* RFC 7009: the unknown is revoked already */
		return send_answer(s, q->rid, &a);
	if (!check_attached(s, q->attached, f, &a))
		return send_answer(s, q->rid, &a);
	memcpy(id, f->row.id, sizeof(id));
	if (state_family_revoke(m->state, id) != 0)
		minter_fail(m, "state");
	if (minter_act(m, "revoked",
		json_pack("{s:s, s:s, s:s, s:s}", "by", "guest", "kind",
		    "token", "session", s->id, "family", id)) != 0)
		log_event(LOG_ERROR, "revocation_not_recorded",
		    LOG_STR("family", id));
	if (m->failed != NULL)
		refuse(&a, 503, "temporarily_unavailable",
		    "cut, but it could not be recorded");
	if (m->failed != NULL)
		return send_answer(s, q->rid, &a);
	cut_family(m, s, id, q->rid, began_ms);
	return 0;
}
