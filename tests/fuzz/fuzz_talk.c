/* SPDX-License-Identifier: ISC */
/* A proxy's answers, CONNECT and SOCKS5: the pieces in which they come
 * change nothing, and what is behind the answer is never taken. */
#include "egress/dialer/talk.h"
#include "tests/fuzz/fuzz.h"

static struct buf *out;

/* Pieces of step bytes; how much was taken. */
static int
run(enum ctl_proxy_kind kind, struct span in, size_t step, size_t *taken)
{
	struct host h = {.name = "api.demo.test"};
	struct talk t;
	int r = ERR_TRUNCATED;

	MUST(talk_start(&t, kind, &h, 443, out) == 0);
	*taken = 0;
	while (r == ERR_TRUNCATED && *taken < in.n) {
		size_t used, left = in.n - *taken;
		r = talk_next(&t,
		    span_of(in.p + *taken, left < step ? left : step), &used,
		    out);
		MUST(used > 0 && used <= step);
		*taken += used;
	}
	return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in;
	size_t whole, parts;

	if (out == NULL)
		MUST((out = buf_new(TALK_OUT_MAX)) != NULL);
	if (size < 2)
		return 0;
	enum ctl_proxy_kind kind =
	    data[0] & 1 ? CTL_PROXY_HTTP : CTL_PROXY_SOCKS5;
	in = span_of(data + 2, size - 2);
	int r = run(kind, in, in.n + 1, &whole);
	MUST(run(kind, in, data[1] % 16 + 1, &parts) == r);
	MUST(whole == parts);
	if (r == 0 && kind == CTL_PROXY_HTTP)
		MUST(whole >= 16 && memcmp(in.p, "HTTP/1.", 7) == 0 &&
		     memcmp(in.p + whole - 4, "\r\n\r\n", 4) == 0);
	return 0;
}
