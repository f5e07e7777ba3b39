/* SPDX-License-Identifier: ISC */
/* WebSocket frames, both sides, and the scrubber of messages: split anywhere
 * they read the same; what comes out is as long as what went in. */
#include "egress/courier/ws_scrub.h"
#include "egress/http/ws.h"
#include "tests/fuzz/fuzz.h"

#include <sodium.h>

static const char secret[] = "abcabdabcabe";

static struct scrub_set *
make_set(void)
{
	struct scrub_set *set = NULL;
	struct keep *k = NULL;

	MUST(sodium_init() >= 0);
	MUST(scrub_set_new(&set) == 0);
	MUST(keep_new(secret, sizeof(secret) - 1, &k) == 0);
	MUST(scrub_set_add(set, k) == 0);
	MUST(scrub_set_seal(set) == 0);
	keep_free(k);
	return set;
}

/* How it ended, and where the last whole frame did. */
static int
check(enum ws_side side, struct span in, size_t step, bool *between)
{
	struct ws w;
	int r = 0;

	ws_start(&w, side);
	for (; in.n > 0 && r == 0; in = span_from(in, step))
		r = ws_check(&w, span_of(in.p, step < in.n ? step : in.n));
	*between = ws_between(&w);
	return r;
}

/* No message holds the secret. (A length that happens to be its first byte,
 * before the rest of it, is not one that does.) */
static void
check_messages(struct span got)
{
	struct buf *text = buf_new(1 << 20);
	enum ws_event e = WS_HEAD;
	struct span s;
	struct ws w;

	ws_start(&w, WS_SERVER);
	while (ws_next(&w, &got, &e, &s) == 0 && e != WS_MORE) {
		bool first = e == WS_HEAD && w.frame.opcode != WS_CONTINUATION;
		if (ws_is_control(&w.frame))
			continue;
		if (first)
			buf_reset(text);
		if (e == WS_PAYLOAD)
			MUST(buf_put_span(text, s) == 0);
		MUST(buf_len(text) == 0 ||
		     memmem(buf_span(text).p, buf_len(text), secret,
			 sizeof(secret) - 1) == NULL);
	}
	buf_free(text);
}

static void
scrub(struct scrub_set *set, struct span in, size_t step, bool idle)
{
	struct buf *out = buf_new(1 << 20);
	struct ws_scrub *w = NULL;
	size_t fed = 0;
	int r = 0;

	MUST(out != NULL && ws_scrub_new(set, &w) == 0);
	while (fed < in.n && r == 0) {
		size_t n = step < in.n - fed ? step : in.n - fed;
		r = ws_scrub_run(w, span_of(in.p + fed, n), out);
		fed += n;
		if (r == 0 && idle)
			MUST(ws_scrub_idle(w, out) == 0);
		MUST(r != 0 || buf_len(out) + ws_scrub_held(w) == fed);
	}
	if (r == 0 && ws_scrub_end(w, out) == 0)
		MUST(buf_len(out) == in.n);
	struct span got = buf_span(out);
	check_messages(got);
	for (size_t i = 0; i < got.n; i++)
		MUST(got.p[i] == in.p[i] || got.p[i] == '*');
	ws_scrub_free(w);
	buf_free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scrub_set *set;
	bool a, b;

	if (set == NULL)
		set = make_set();
	if (size < 2)
		return 0;
	size_t step = data[0] % 32 + 1;
	struct span in = span_of(data + 1, size - 1);
	for (int side = WS_CLIENT; side <= WS_SERVER; side++) {
		int r = check((enum ws_side)side, in, in.n, &a);
		MUST(check((enum ws_side)side, in, step, &b) == r);
		MUST(r != 0 || a == b);
	}
	scrub(set, in, step, (data[0] & 0x80) != 0);
	return 0;
}
