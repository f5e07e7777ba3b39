/* SPDX-License-Identifier: ISC */
/* Requirements 3, 16: what may follow a request's body. */
#include "egress/courier/trailers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct slot odd = {.type = SLOT_HEADER, .name = "x-odd-name"};
static const struct slot *const slots[] = {&odd};

static int
read_one(const char *name, const char *value)
{
	struct buf *packed = buf_new(4096);
	struct head sent, got;
	int r;

	head_init(&sent);
	assert_int_equal(head_add(&sent, span_str("x-sum"), span_str("7")), 0);
	if (name != NULL)
		assert_int_equal(
		    head_add(&sent, span_str(name), span_str(value)), 0);
	assert_int_equal(head_pack(&sent, packed), 0);
	r = trailers_read(buf_span(packed), slots, 1, &got);
	if (r == 0) {
		assert_int_equal(got.n_fields, sent.n_fields);
		assert_true(span_is(got.fields[0].name, "x-sum"));
		assert_true(span_is(got.fields[0].value, "7"));
	}
	head_clear(&got);
	head_clear(&sent);
	buf_free(packed);
	return r;
}

static void
pass(void **state)
{
	(void)state;
	assert_int_equal(read_one(NULL, NULL), 0);
	assert_int_equal(read_one("x-amz-checksum-crc32", "sOO8/Q=="), 0);
	assert_int_equal(read_one("etag", "a"), 0);
}

static void
are_refused(void **state)
{
	static const char *const names[] = {"x-odd-name", "x_odd_name",
	    "xoddname", "x-api-key", "authorization", "cookie", "host",
	    "content-length", "x-http-method-override", "x-forwarded-proto",
	    "forwarded", "range", "accept-encoding", "grpc-accept-encoding",
	    "content-type", "expect", "origin", "sec-fetch-site"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(read_one(names[i], "1"), ERR_FORMAT);
}

static void
torn_list(void **state)
{
	struct head got;

	(void)state;
	assert_int_equal(
	    trailers_read(span_of("\0\5x-s", 5), slots, 1, &got), ERR_FORMAT);
	head_clear(&got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pass),
	    cmocka_unit_test(are_refused),
	    cmocka_unit_test(torn_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
