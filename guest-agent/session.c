/* SPDX-License-Identifier: ISC */
/*
 * The first conversation with the host.
 * Trusts the host's words after checking their form.
 * When patience ends the program ends, saying why.
 */
#include "guest-agent/session.h"

#include "guest-agent/document.h"
#include "guest-agent/keeper.h"
#include "guest-agent/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PAUSE_FIRST 10 /* ms between attempts, doubled up to … */
#define PAUSE_LAST 250
#define QUIET 1000 /* ms that a starting host may take without a word */

static enum api_result
fetch_document(const struct channel *c, struct json **out, struct api_why *why)
{
	enum api_result r = api_document(c, "/v1/environment", out, why);
	const char *wrong;

	if (r != API_OK || (wrong = document_check(*out)) == NULL)
		return r;
	snprintf(why->text, sizeof(why->text),
	    "the host's environment document cannot be used: %s", wrong);
	json_free(*out);
	*out = NULL;
	return API_REFUSED;
}

static enum api_result
fetch_root(const struct channel *c, struct session *s, struct api_why *why)
{
	return api_ca(c, &s->root, why);
}

static enum api_result
fetch_all(const struct channel *c, struct session *s, struct api_why *why)
{
	enum api_result r = API_OK;

	if (s->document == NULL)
		r = fetch_document(c, &s->document, why);
	if (r == API_OK && s->root == NULL)
		r = fetch_root(c, s, why);
	/* Last, so that its life begins now. */
	if (r == API_OK)
		r = s->details == NULL
			? api_token(c, NULL, &s->token, why)
			: api_narrow(
			      c, s->details, s->act, &s->token, why);
	return r;
}

typedef enum api_result (*fetch)(
    const struct channel *c, struct session *s, struct api_why *why);

static void
fetch_patiently(struct session *s, const struct channel *c, fetch what,
    int patience, int status)
{
	struct timespec pause = {.tv_nsec = PAUSE_FIRST * 1000000L};
	long long start = keeper_now();
	struct api_why why = {0};
	bool told = false;
	enum api_result r;

	while ((r = what(c, s, &why)) == API_RETRY) {
		if (channel_gone(c))
			die(status, "this session has ended");
		if (keeper_now() - start >= patience * 1000LL)
			break;
		if (!told && keeper_now() - start >= QUIET) {
			warn("%s; trying on, for %d s at most", why.text,
			    patience);
			told = true;
		}
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < PAUSE_LAST * 1000000L)
			pause.tv_nsec *= 2;
	}
	if (r != API_OK)
		die(status,
		    "%s (next: `hatcheck-guest doctor` here; on the host, "
		    "`hatcheck status` and `hatcheck session list`)",
		    why.text);
}

void
session_fetch(
    struct session *s, const struct channel *c, int patience, int status)
{
	fetch_patiently(s, c, fetch_all, patience, status);
}

char *
session_root(const struct channel *c, int patience, int status)
{
	struct session s = {0};

	fetch_patiently(&s, c, fetch_root, patience, status);
	return s.root;
}

struct json *
session_document(const struct channel *c)
{
	struct api_why why = {0};
	struct json *doc = NULL;

	if (fetch_document(c, &doc, &why) != API_OK)
		die(EXIT_FAILED, "%s", why.text);
	return doc;
}

void
session_free(struct session *s)
{
	text_wipe(&s->token, sizeof(s->token));
	free(s->root);
	json_free(s->document);
	*s = (struct session){0};
}
