/* SPDX-License-Identifier: ISC */
#include "lib/msg.h"
#include "messages/control.h"
#include "messages/traffic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void
round_trip(void **state)
{
	struct ctl_done in = {.rid = 7,
	    .err = ERR_LOCKED,
	    .session = span_str("s-abc"),
	    .detail = span_str("because")};
	struct ctl_done out;
	struct msg_header h;
	struct buf *b = buf_new(4096);

	(void)state;
	assert_int_equal(msg_encode(&msg_done, &in, false, b), 0);
	assert_int_equal(msg_header_decode(buf_span(b), &h), 0);
	struct span payload = span_from(buf_span(b), MSG_HEADER_LEN);
	assert_int_equal(h.len, payload.n);
	assert_int_equal(msg_decode(&msg_done, payload, &out), 0);
	assert_int_equal(out.rid, 7);
	assert_int_equal(out.err, ERR_LOCKED);
	assert_true(span_is(out.session, "s-abc"));
	assert_true(span_is(out.detail, "because"));
	assert_int_equal(out.channel_dir.n, 0);
	buf_free(b);
}

static void
every_cut_and_every_trailing_byte_is_refused(void **state)
{
	struct ctl_done in = {.session = span_str("s"), .detail = span_str("d")};
	struct ctl_done out;
	struct buf *b = buf_new(4096);

	(void)state;
	assert_int_equal(msg_encode(&msg_done, &in, false, b), 0);
	struct span payload = span_from(buf_span(b), MSG_HEADER_LEN);
	for (size_t n = 0; n < payload.n; n++)
		assert_int_equal(
		    msg_decode(&msg_done, span_of(payload.p, n), &out),
		    ERR_FORMAT);
	assert_int_equal(buf_put_u8(b, 0), 0);
	payload = span_from(buf_span(b), MSG_HEADER_LEN);
	assert_int_equal(msg_decode(&msg_done, payload, &out), ERR_FORMAT);
	buf_free(b);
}

static void
a_span_over_its_max_is_refused_both_ways(void **state)
{
	char long_name[64] = {0};
	struct buf *b = buf_new(4096);
	struct ctl_session_gone out, in;

	(void)state;
	memset(long_name, 'x', sizeof(long_name) - 1);
	in = (struct ctl_session_gone){.session = span_str(long_name)};
	assert_int_equal(
	    msg_encode(&msg_session_gone, &in, false, b), ERR_TOO_BIG);
	assert_int_equal(buf_put_u32(b, 63), 0);
	assert_int_equal(buf_put_str(b, long_name), 0);
	assert_int_equal(
	    msg_decode(&msg_session_gone, buf_span(b), &out), ERR_FORMAT);
	buf_free(b);
}

static void
headers_pack(void **state)
{
	struct buf *b = buf_new(4096);
	struct span name, value;

	(void)state;
	assert_int_equal(headers_put(b, span_str("a"), span_str("1")), 0);
	assert_int_equal(headers_put(b, span_str("bb"), span_str("")), 0);
	struct span list = buf_span(b);
	assert_int_equal(headers_next(&list, &name, &value), 0);
	assert_true(span_is(name, "a") && span_is(value, "1"));
	assert_int_equal(headers_next(&list, &name, &value), 0);
	assert_true(span_is(name, "bb") && value.n == 0);
	assert_int_equal(headers_next(&list, &name, &value), ERR_NOT_FOUND);
	list = span_of(buf_span(b).p, 2);
	assert_int_equal(headers_next(&list, &name, &value), ERR_FORMAT);
	buf_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(every_cut_and_every_trailing_byte_is_refused),
		cmocka_unit_test(a_span_over_its_max_is_refused_both_ways),
		cmocka_unit_test(headers_pack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
