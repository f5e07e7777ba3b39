/* SPDX-License-Identifier: ISC */
/*
 * What a token costs: signed as the minter does, and checked as the gate
 * does, one that it has not seen yet and one that it has; and what of a new
 * one's check is libsodium's, of the signature alone. Prints one JSON line per
 * kind, the best of some rounds, in ns of one core.
 *
 *	tokens
 */
#include "egress/gate/gate.h"
#include "keys/jwt.h"
#include "messages/channel.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SESSION "s-abcdefghijklmnopqrst"
#define CHANNEL "unix:" SESSION
#define ISSUER "http://hatcheck.internal"
#define FAMILY "f-abcdefghijklmnopqrst"
#define ROUNDS 7
#define TOKENS 512
#define AGAIN 200 /* checks of each that is known */

struct house {
	struct signing *keys;
	struct jwks set;
	struct session *session;
	struct tokens *tokens;
	struct tokens_now now;
	struct buf *token[TOKENS];
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "tokens: %s\n", what);
	exit(1);
}

static void
open_house(struct house *h)
{
	struct buf *jwks = buf_new(JWKS_JSON_MAX);
	struct timespec boot;

	(void)clock_gettime(CLOCK_BOOTTIME, &boot);
	h->now.wall_s = time(NULL);
	h->now.boot_ms = (uint64_t)boot.tv_sec * 1000;
	must(signing_new(h->now.wall_s, &h->keys) == 0, "keys");
	signing_public(h->keys, h->now.wall_s, &h->set);
	must(jwks != NULL && jwks_encode(&h->set, jwks) == 0, "jwks");
	struct guest_session m = {.session = span_str(SESSION),
	    .guest = span_str("bench"),
	    .issuer = span_str(ISSUER),
	    .channel = span_str(CHANNEL),
	    .channel_uid = CHANNEL_NO_UID,
	    .expires_ms = h->now.boot_ms + 3600000,
	    .jwks = buf_span(jwks),
	    .base_random = span_str("RaNdOm"),
	    .environment = span_str("{}"),
	    .routes = span_str("{\"hosts\":[\"api.demo.test:443\"],"
			       "\"tunnels\":[],\"bases\":{}}")};
	must(session_new(&m, &h->session) == 0, "session");
	buf_free(jwks);
	must(tokens_new(&h->tokens) == 0 &&
		 tokens_family(h->tokens, span_str(FAMILY), h->now,
		     h->now.boot_ms + 3600000) == 0,
	    "family");
}

static void
sign_all(struct house *h)
{
	struct jwt_claims c = {.iss = ISSUER,
	    .aud = TOKENS_AUDIENCE,
	    .sub = SESSION,
	    .client_id = "bench",
	    .fam = FAMILY,
	    .channel = CHANNEL,
	    .iat = h->now.wall_s,
	    .exp = h->now.wall_s + 300,
	    .n_grants = 1,
	    .grants = {"demo-read"}};

	for (size_t i = 0; i < TOKENS; i++) {
		snprintf(c.jti, sizeof(c.jti), "t-%016zu", i);
		if (h->token[i] == NULL)
			h->token[i] = buf_new(JWT_MAX);
		buf_reset(h->token[i]);
		must(jwt_sign(&c, h->keys, h->token[i]) == 0, "sign");
	}
}

static void
check(struct house *h, size_t i)
{
	char family[FAMILY_SIZE];

	must(tokens_check(h->tokens, h->session, buf_span(h->token[i]),
		 h->now, family) == REASON_NONE,
	    "check");
}

/* More than are remembered: none of them is known. */
static void
check_fresh(struct house *h)
{
	for (size_t i = 0; i < TOKENS; i++)
		check(h, i);
}

static void
check_signatures(struct house *h)
{
	for (size_t i = 0; i < TOKENS; i++) {
		struct span t = buf_span(h->token[i]);
		size_t dot =
		    (size_t)((const uint8_t *)memrchr(t.p, '.', t.n) - t.p);
		uint8_t signature[SIGNING_SIGNATURE + 2];
		size_t n;

		must(b64url_get(span_from(t, dot + 1), signature,
			 sizeof(signature), &n) == 0 &&
			 crypto_sign_verify_detached(signature, t.p, dot,
			     h->set.keys[0].public_key) == 0,
		    "signature");
	}
}

static void
check_known(struct house *h)
{
	for (size_t i = 0; i < TOKENS * AGAIN; i++)
		check(h, TOKENS - 1 - i % (LIMIT_TOKENS / 2));
}

static void
measure(struct house *h, const char *kind, void (*run)(struct house *),
    size_t times)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t began = now_ns();
		run(h);
		uint64_t took = (now_ns() - began) / times;
		best = took < best ? took : best;
	}
	printf("{\"token\":\"%s\",\"ns\":%llu}\n", kind,
	    (unsigned long long)best);
}

int
main(void)
{
	static struct house h;

	must(sodium_init() >= 0, "libsodium");
	open_house(&h);
	measure(&h, "sign", sign_all, TOKENS);
	measure(&h, "fresh", check_fresh, TOKENS);
	measure(&h, "signature", check_signatures, TOKENS);
	measure(&h, "known", check_known, TOKENS * AGAIN);
	for (size_t i = 0; i < TOKENS; i++)
		buf_free(h.token[i]);
	tokens_free(h.tokens);
	session_free(h.session);
	signing_free(h.keys);
	return 0;
}
