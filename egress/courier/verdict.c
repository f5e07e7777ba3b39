/* SPDX-License-Identifier: ISC */
/* What for: when a 401 means that a credential is dead. Trusts: upstreams,
 * about their own credentials, within one session. At a bound: nothing is
 * dead that is not remembered, and it is put in. */
#include "egress/courier/verdict.h"

#include <stdlib.h>

#define ALL_MAX 1024

void
verdicts_free(struct verdicts *all)
{
	while (all->first != NULL) {
		struct verdict *v = all->first;
		all->first = v->next;
		free(v);
	}
	all->n = 0;
}

/* The scheme of a challenge is its first word (RFC 9110, 11.6.1); what
 * follows it are parameters, which have a "=", or a next challenge. */
static bool
names_scheme(struct span list, const char *scheme, bool *any)
{
	struct span member;

	while (head_list_next(&list, &member)) {
		const uint8_t *end = memchr(member.p, ' ', member.n);
		size_t n = end == NULL ? member.n : (size_t)(end - member.p);
		if (memchr(member.p, '=', n) != NULL)
			continue;
		*any = true;
		if (span_caseeq(span_of(member.p, n), span_str(scheme)))
			return true;
	}
	return false;
}

bool
verdict_is_rejection(const struct head *answer, const char *scheme)
{
	bool any = false;

	if (answer->status != 401)
		return false;
	for (size_t i = 0; scheme != NULL && i < answer->n_fields; i++) {
		const struct head_field *f = &answer->fields[i];
		if (span_is(f->name, "www-authenticate") &&
		    names_scheme(f->value, scheme, &any))
			return true;
	}
	return !any;
}

static struct verdict *
find(const struct verdicts *all, const char *credential, const char *host,
    uint16_t port)
{
	struct verdict *v = all->first;

	while (v != NULL &&
	       (v->port != port || strcmp(v->credential, credential) != 0 ||
		   strcmp(v->host, host) != 0))
		v = v->next;
	return v;
}

static struct verdict *
add(struct verdicts *all, const char *credential, const char *host,
    uint16_t port)
{
	struct verdict *v = all->n == ALL_MAX ? NULL : calloc(1, sizeof(*v));

	if (v == NULL ||
	    span_copy(span_str(credential), v->credential,
		sizeof(v->credential)) != 0 ||
	    span_copy(span_str(host), v->host, sizeof(v->host)) != 0) {
		free(v);
		return NULL;
	}
	v->port = port;
	v->next = all->first;
	all->first = v;
	all->n++;
	return v;
}

struct verdict *
verdicts_of(struct verdicts *all, const char *credential,
    const uint8_t digest[VERDICT_DIGEST], const char *host, uint16_t port)
{
	struct verdict *v = find(all, credential, host, port);

	if (v == NULL && (v = add(all, credential, host, port)) == NULL)
		return NULL;
	if (memcmp(v->digest, digest, VERDICT_DIGEST) != 0) {
		memcpy(v->digest, digest, VERDICT_DIGEST);
		v->streak = 0;
		v->works = v->dead = false;
	}
	return v;
}

struct verdict *
verdicts_about(const struct verdicts *all, const char *credential,
    const uint8_t digest[VERDICT_DIGEST], const char *host, uint16_t port)
{
	struct verdict *v = find(all, credential, host, port);

	return v != NULL && memcmp(v->digest, digest, VERDICT_DIGEST) == 0
		   ? v
		   : NULL;
}

bool
verdict_answer(struct verdict *v, bool rejected)
{
	if (!rejected) {
		v->streak = 0;
		v->works = true;
		v->dead = false;
		return false;
	}
	v->streak++;
	return !v->dead && v->streak >= (v->works ? VERDICT_STREAK : 1);
}

void
verdict_bury(struct verdict *v, uint64_t now_ms)
{
	v->dead = true;
	v->works = false;
	v->asked_ms = now_ms;
}

bool
verdict_ask_again(struct verdict *v, uint64_t now_ms)
{
	if (now_ms - v->asked_ms < VERDICT_AGAIN_MS)
		return false;
	v->asked_ms = now_ms;
	return true;
}
