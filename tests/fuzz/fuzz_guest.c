/* SPDX-License-Identifier: ISC */
/* What the guest agent reads of its host: answers, documents, refusals, the
 * time in a token. The agent is its own program with a libc of its own, so
 * its sources stand here. */
#define VERSION "fuzz"
#include "tests/fuzz/fuzz.h"

#include "guest-agent/clock.c"
#include "guest-agent/document.c"
#include "guest-agent/http.c"
#include "guest-agent/json.c"
#include "guest-agent/refused.c"
#include "guest-agent/text.c"

int
channel_open(const struct channel *c)
{
	(void)c;
	return -1;
}

static void
answer(const char *p, size_t n)
{
	struct http_reply r = {0};

	if (http_parse(p, n, &r) == 0) {
		MUST(r.status >= 200 && r.status <= 999);
		MUST(r.body.n <= n);
	}
	http_free(&r);
}

static void
document(const char *p, size_t n)
{
	struct json *doc = json_parse(p, n);

	if (doc != NULL && document_check(doc) == NULL) {
		(void)document_placeholder(doc, "demo");
		(void)document_for_host(doc, "api.demo.test");
		MUST(json_text(json_get(doc, "session")) != NULL);
	}
	json_free(doc);
}

/* More bytes never change what was said of fewer. */
static void
refusal(const char *p, size_t n)
{
	enum refused said = REFUSED_MORE;

	for (size_t i = 1; i <= n && i <= 2 * REFUSED_HEAD; i++) {
		enum refused now = refused_look(p, i);

		MUST(said == REFUSED_MORE || now == said);
		MUST(now != REFUSED_LATER || p[9] == '5');
		MUST(now != REFUSED_MORE || i < REFUSED_HEAD);
		said = now;
	}
}

static void
token(const char *p, size_t n)
{
	char *text = text_copy(p, n);
	long long ahead;

	(void)clock_ahead(text, &ahead);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const readers[])(const char *p, size_t n) = {
	    answer, document, refusal, token};
	char *copy;

	if (size == 0)
		return 0;
	/* A copy of its own size: so that a byte too far is seen. */
	copy = malloc(size);
	MUST(copy != NULL);
	memcpy(copy, data + 1, size - 1);
	readers[data[0] % 4](copy, size - 1);
	free(copy);
	return 0;
}
