/* SPDX-License-Identifier: ISC */
/* Requirements 15 and 18 in HTTP/2: RFC 9113, section 8, is refused where it
 * is broken and never repaired. */
#include "egress/http/h2_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define GET ":method=GET\n:scheme=https\n:authority=a.test\n:path=/\n"
#define POST ":method=POST\n:scheme=https\n:authority=a.test\n:path=/\n"

/* Lines of NAME=VALUE; the first "=" parts them. */
static int
read_head(struct h2_head *b, struct head *h, enum h2_head_kind kind,
    bool to_head, const char *lines, bool end_stream)
{
	int r;

	head_init(h);
	h2_head_start(b, kind, h);
	b->to_head = to_head;
	while (*lines != '\0') {
		size_t n = strcspn(lines, "\n"), k = strcspn(lines, "=");
		r = h2_head_field(b, span_of((const uint8_t *)lines, k),
		    span_of((const uint8_t *)lines + k + 1, n - k - 1));
		if (r != 0)
			return r;
		lines += n + 1;
	}
	return h2_head_end(b, end_stream);
}

static void
refused(enum h2_head_kind kind, const char *lines, bool end_stream)
{
	struct h2_head b;
	struct head h;
	int r = read_head(&b, &h, kind, false, lines, end_stream);

	if (r != ERR_FORMAT || b.why[0] == '\0')
		fail_msg("accepted (%d): %s", r, lines);
	head_clear(&h);
}

static void
bad_requests(void **state)
{
	static const char *const bad[] = {
	    ":scheme=https\n:authority=a\n:path=/\n",
	    ":method=GET\n:authority=a\n:path=/\n",
	    ":method=GET\n:scheme=https\n:path=/\n",
	    ":method=GET\n:scheme=https\n:path=/\nhost=a\n",
	    ":method=GET\n:scheme=https\n:authority=a\n",
	    ":method=GET\n:scheme=http\n:authority=a\n:path=/\n",
	    ":method=GET\n:scheme=https\n:authority=a\n:path=\n",
	    ":method=GET\n:scheme=https\n:authority=a\n:path=x\n",
	    ":method=GET\n:scheme=https\n:authority=a\n:path=*\n",
	    ":method=GET\n:scheme=https\n:authority=a\n:path=/a b\n",
	    ":method=GET\n:scheme=https\n:authority=a\n:path=/#f\n",
	    ":method=G T\n:scheme=https\n:authority=a\n:path=/\n",
	    ":method=CONNECT\n:authority=a:443\n",
	    ":method=CONNECT\n:protocol=websocket\n:scheme=https\n"
	    ":authority=a\n:path=/\n",
	    GET ":path=/\n", GET ":method=GET\n", GET ":status=200\n",
	    GET "x=1\n:path=/\n", GET "X-A=1\n", GET "=1\n", GET "a b=1\n",
	    GET "x= 1\n", GET "x=\001\n", GET "host=b.test\n",
	    GET "host=A.test\n", GET "host=a.test\nhost=a.test\n",
	    GET "connection=close\n", GET "keep-alive=1\n",
	    GET "proxy-connection=close\n", GET "upgrade=websocket\n",
	    GET "transfer-encoding=chunked\n", GET "http2-settings=AA\n",
	    GET "te=gzip\n", GET "te=trailers, gzip\n",
	    GET "te=trailers\nte=trailers\n", GET "expect=x\n",
	    GET "content-length=1\n", GET "content-length=+0\n",
	    GET "content-length=\n", GET "content-length=0\ncontent-length=0\n",
	    GET "content-length=9223372036854775808\n", NULL};

	(void)state;
	for (size_t i = 0; bad[i] != NULL; i++)
		refused(H2_REQUEST, bad[i], true);
}

static void
bad_responses(void **state)
{
	static const char *const bad[] = {"x=1\n", ":status=20\n",
	    ":status=0200\n", ":status=2x0\n", ":status=101\n", ":status=600\n",
	    ":status=099\n", ":status=200\n:status=200\n",
	    ":status=200\n:path=/\n", ":status=100\n",
	    ":status=204\ncontent-length=0\n", ":status=200\nte=trailers\n",
	    ":status=200\ncontent-length=1\n",
	    ":status=200\nconnection=close\n", NULL};

	(void)state;
	for (size_t i = 0; bad[i] != NULL; i++)
		refused(H2_RESPONSE, bad[i], true);
}

static void
good_requests(void **state)
{
	struct h2_head b;
	struct head h;
	struct span v;

	(void)state;
	assert_int_equal(read_head(&b, &h, H2_REQUEST, false,
			     GET "host=a.test\nte=trailers\n", true),
	    0);
	assert_true(span_is(h.method, "GET") && span_is(h.target, "/"));
	assert_true(head_get(&h, "host", &v) && span_is(v, "a.test"));
	assert_int_equal(head_count(&h, "host"), 1);
	assert_true(head_get(&h, "te", &v));
	assert_int_equal(h.body, HEAD_BODY_NONE);
	head_clear(&h);

	assert_int_equal(
	    read_head(&b, &h, H2_REQUEST, false,
		POST "content-length=7\nexpect=100-continue\n", false),
	    0);
	assert_true(h.expect && head_get(&h, "host", &v));
	assert_int_equal(h.body, HEAD_BODY_LENGTH);
	assert_int_equal(h.length, 7);
	assert_int_equal(head_count(&h, "content-length"), 0);
	head_clear(&h);

	assert_int_equal(read_head(&b, &h, H2_REQUEST, false, POST, false), 0);
	assert_int_equal(h.body, HEAD_BODY_CHUNKED);
	head_clear(&h);

	assert_int_equal(
	    read_head(&b, &h, H2_REQUEST, false,
		":method=OPTIONS\n:scheme=https\n:authority=a\n:path=*\n",
		true),
	    0);
	head_clear(&h);
}

static void
good_responses(void **state)
{
	struct h2_head b;
	struct head h;

	(void)state;
	assert_int_equal(read_head(&b, &h, H2_RESPONSE, true,
			     ":status=200\ncontent-length=9\n", true),
	    0);
	assert_true(h.has_length && h.length == 9);
	assert_int_equal(h.body, HEAD_BODY_NONE);
	head_clear(&h);
	assert_int_equal(read_head(&b, &h, H2_RESPONSE, false,
			     ":status=103\nlink=x\n", false),
	    0);
	assert_int_equal(h.body, HEAD_BODY_NONE);
	head_clear(&h);
	assert_int_equal(
	    read_head(&b, &h, H2_RESPONSE, false, ":status=200\n", false), 0);
	assert_int_equal(h.body, HEAD_BODY_CHUNKED);
	head_clear(&h);
}

static void
bounds_hold(void **state)
{
	static uint8_t big[HEAD_BYTES_MAX];
	struct h2_head b;
	struct head h;
	int r = 0, n = 0;

	(void)state;
	memset(big, 'a', sizeof(big));
	head_init(&h);
	h2_head_start(&b, H2_REQUEST, &h);
	assert_int_equal(
	    h2_head_field(&b, span_str("x"), span_of(big, sizeof(big))),
	    ERR_TOO_BIG);
	head_clear(&h);

	h2_head_start(&b, H2_REQUEST, &h);
	while (r == 0 && n < 1000) {
		r = h2_head_field(&b, span_str("x"), span_str("1"));
		n++;
	}
	assert_int_equal(r, ERR_TOO_BIG);
	assert_int_equal(n, HEAD_FIELDS_MAX + 1);
	head_clear(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bad_requests),
	    cmocka_unit_test(bad_responses),
	    cmocka_unit_test(good_requests),
	    cmocka_unit_test(good_responses),
	    cmocka_unit_test(bounds_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
