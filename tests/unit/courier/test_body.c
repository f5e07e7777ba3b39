/* SPDX-License-Identifier: ISC */
/* Answers of all kinds: codings by name, what is asked for, replies that
 * mint a secret (requirement 13), and one way through for each. */
#include "egress/courier/body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sodium.h>
#include <cmocka.h>

static const char secret[] = "ghp_canary0One4711";
#define JSON "application/json"
#define FORM "application/x-www-form-urlencoded"

static struct decode_pool pool;

static struct scrub_set *
make_set(void)
{
	struct scrub_set *s;
	struct keep *k;

	assert_int_equal(scrub_set_new(&s), 0);
	assert_int_equal(keep_new(secret, sizeof(secret) - 1, &k), 0);
	assert_int_equal(scrub_set_add(s, k), 0);
	assert_int_equal(scrub_set_seal(s), 0);
	keep_free(k);
	return s;
}

static void
accepts(void **state)
{
	static const struct {
		const char *in, *out;
	} table[] = {
	    {"gzip", "gzip"},
	    {"gzip, deflate, br, zstd", "gzip, deflate, br, zstd"},
	    {"GZip;q=0.5 , identity", "GZip;q=0.5, identity"},
	    {"compress, gzip", "gzip"},
	    {"*", ""},
	    {"gzip, *;q=0.1", "gzip"},
	    {"gzip;q=1.0, *;q=0", "gzip;q=1.0, *;q=0"},
	    {"*;q=0.000, dcb;q=0.", "*;q=0.000, dcb;q=0."},
	    {"*;q=0.001", ""},
	    {"* ; Q=0", "* ; Q=0"},
	    {"dcb, dcz, lzma, x-gzip", "x-gzip"},
	    {"gzipx, xgzip, gz ip", ""},
	    {"", ""},
	    {" , ,", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct buf *out = buf_new(1024);
		assert_int_equal(coding_accept(span_str(table[i].in), out), 0);
		if (!span_is(buf_span(out), table[i].out))
			fail_msg("%s gives %.*s", table[i].in,
			    (int)buf_len(out), buf_span(out).p);
		buf_free(out);
	}
}

static void
make_head(struct head *h, uint16_t status, const char *type, const char *coding,
    const char *more)
{
	head_init(h);
	h->status = status;
	if (type != NULL)
		assert_int_equal(head_add_borrowed(h, span_str("content-type"),
				     span_str(type)),
		    0);
	if (coding != NULL)
		assert_int_equal(
		    head_add_borrowed(
			h, span_str("content-encoding"), span_str(coding)),
		    0);
	if (more != NULL)
		assert_int_equal(
		    head_add_borrowed(
			h, span_str("content-encoding"), span_str(more)),
		    0);
}

static void
codings_by_name(void **state)
{
	static const struct {
		const char *first, *second;
		enum coding coding;
	} table[] = {{NULL, NULL, CODING_NONE},
	    {"identity", "Identity", CODING_NONE}, {"", NULL, CODING_NONE},
	    {"GZIP", NULL, CODING_GZIP}, {"x-gzip", NULL, CODING_GZIP},
	    {"identity, br", NULL, CODING_BR}, {"zstd", "", CODING_ZSTD},
	    {"deflate", "identity", CODING_DEFLATE},
	    {"gzip, gzip", NULL, CODING_OTHER}, {"gzip", "br", CODING_OTHER},
	    {"compress", NULL, CODING_OTHER}, {"gzip;q=1", NULL, CODING_OTHER},
	    {"dcz", NULL, CODING_OTHER}};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct head h;
		make_head(&h, 200, NULL, table[i].first, table[i].second);
		assert_int_equal(coding_of(&h), table[i].coding);
	}
}

static void
messages_by_name(void **state)
{
	static const struct {
		const char *name, *value;
		enum coding coding;
	} table[] = {{"grpc-encoding", "identity", CODING_NONE},
	    {"grpc-encoding", "gzip", CODING_OTHER},
	    {"grpc-encoding", "snappy", CODING_OTHER},
	    {"connect-content-encoding", "br", CODING_OTHER},
	    {"grpc-accept-encoding", "gzip", CODING_NONE}};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct head h;
		make_head(&h, 200, "application/grpc", NULL, NULL);
		assert_int_equal(head_add_borrowed(&h, span_str(table[i].name),
				     span_str(table[i].value)),
		    0);
		assert_int_equal(coding_of(&h), table[i].coding);
	}
}

/* The result of text of that type, cut at step; what passed is in out. */
static int
run(uint16_t status, const char *type, struct span text, size_t step,
    struct buf *out, enum reason *why)
{
	struct scrub_set *set = make_set();
	struct body *b;
	struct head h;
	struct span lent;
	int r = 0;

	make_head(&h, status, type, NULL, NULL);
	struct body_spec spec = {
	    .set = set, .head = &h, .inspect = true, .pool = &pool};
	assert_int_equal(body_new(&spec, &b), 0);
	for (size_t at = 0; at < text.n && r == 0; at += step) {
		size_t n = step < text.n - at ? step : text.n - at;
		struct buf *more = buf_new(1 << 20);
		r = body_run(b, span_of(text.p + at, n), &lent, more);
		if (r == 0)
			assert_int_equal(buf_put_span(out, lent), 0);
		if (r == 0)
			assert_int_equal(buf_put_span(out, buf_span(more)), 0);
		if (r == 0)
			assert_int_equal(buf_len(out) + body_held(b), at + n);
		buf_free(more);
	}
	if (r == 0)
		r = body_end(b, out);
	*why = r == 0 ? REASON_NONE : body_reason(b, r);
	body_free(b);
	scrub_set_free(set);
	return r;
}

static const char *const mints[][2] = {
    {JSON, "{\"access_token\":\"NEW\",\"token_type\":\"bearer\"}"},
    {JSON, " {\"token_type\":\"b\" , \"x\":{}, \"access_token\" : \"NEW\"}"},
    {"application/vnd.x+json; charset=utf-8",
	"{\"a\":[{\"}\":1}],\"client_secret\":\"NEW\",\"client_id\":\"y\"}"},
    {JSON, "\xef\xbb\xbf{\"token\":\"NEW\",\"expires_at\":\"2016\"}"},
    {JSON, "{\"ok\":true,\"token\":\"NEW\"}"},
    {"text/json", "{\"\\\"\":\"\\\\\",\"readonly\":0,\"token\":\"NEW\"}"},
    {FORM, "access_token=NEW&scope=&token_type=bearer"},
    {FORM, "token_type=bearer&access_token=NEW"},
};

static void
mints_are_refused(void **state)
{
	enum reason why;

	(void)state;
	for (size_t i = 0; i < sizeof(mints) / sizeof(mints[0]); i++) {
		struct span text = span_str(mints[i][1]);
		for (size_t step = 1; step <= text.n; step++) {
			struct buf *out = buf_new(4096);
			int r = run(200, mints[i][0], text, step, out, &why);
			struct span got = buf_span(out);
			if (r != ERR_DENIED || why != REASON_MINTED_SECRET ||
			    (got.n > 0 &&
				memmem(got.p, got.n, "NEW", 3) != NULL))
				fail_msg("%s, step %zu", mints[i][1], step);
			buf_free(out);
		}
	}
}

static void
others_pass(void **state)
{
	static const char *const fine[][2] = {
	    {JSON, "{\"token\":\"x\",\"access_token\":\"x\","
		   "\"expires_in\":300,\"issued_at\":\"y\"}"},
	    {JSON, "{\"token_type\":1,\"client_id\":\"x\"}"},
	    {JSON, "[{\"access_token\":\"x\",\"token_type\":\"b\"}]"},
	    {JSON, "{\"a\":{\"access_token\":\"x\",\"token_type\":\"b\"}}"},
	    {JSON, "{\"a\":\"access_token\",\"b\":\"token_type\"}"},
	    {JSON, "{\"access_token\":\"x\"} {\"token_type\":\"b\"}"},
	    {JSON, "\"access_token token_type\""},
	    {"text/plain", "{\"access_token\":\"x\",\"token_type\":\"b\"}"},
	    {NULL, "{\"access_token\":\"x\",\"token_type\":\"b\"}"},
	    {FORM, "a=access_token=1&token_typ=1"},
	    {FORM, "access_token=x"},
	};
	enum reason why;

	(void)state;
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		struct span text = span_str(fine[i][1]);
		for (size_t step = 1; step <= text.n; step++) {
			struct buf *out = buf_new(4096);
			assert_int_equal(
			    run(200, fine[i][0], text, step, out, &why), 0);
			assert_true(span_eq(buf_span(out), text));
			buf_free(out);
		}
	}
	/* a refusal of the endpoint names the same keys and mints nothing */
	struct buf *out = buf_new(4096);
	assert_int_equal(
	    run(400, JSON, span_str(mints[0][1]), 5, out, &why), 0);
	buf_free(out);
}

/* What waits is little, and is still searched. */
static void
a_long_wait_ends(void **state)
{
	struct buf *text = buf_new(1 << 20), *out = buf_new(1 << 20);
	enum reason why;

	(void)state;
	assert_int_equal(buf_put_str(text, "{\"token\":\""), 0);
	assert_int_equal(buf_put_str(text, secret), 0);
	for (size_t i = 0; i < 3 * MINTED_WAIT / 10; i++)
		assert_int_equal(buf_put_str(text, "0123456789"), 0);
	assert_int_equal(buf_put_str(text, "\",\"ok\":1}"), 0);
	assert_int_equal(run(200, JSON, buf_span(text), 1000, out, &why), 0);
	assert_int_equal(buf_len(out), buf_len(text));
	assert_null(
	    memmem(buf_span(out).p, buf_len(out), secret, sizeof(secret) - 1));
	buf_free(text);
	buf_free(out);
}

/* Why a body is refused before it begins. */
static void
what_cannot_be_looked_into(void **state)
{
	static const struct {
		uint16_t status;
		const char *coding;
		bool inspect;
		int r;
	} table[] = {{200, "gzip, br", true, ERR_FORMAT},
	    {200, "compress", true, ERR_FORMAT}, {200, "compress", false, 0},
	    {206, "gzip", true, ERR_FORMAT}, {206, "identity", true, 0},
	    {206, NULL, true, 0}, {404, "br", true, 0}};
	struct scrub_set *set = make_set();

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct body *b = NULL;
		struct head h;
		make_head(&h, table[i].status, NULL, table[i].coding, NULL);
		struct body_spec spec = {.set = set,
		    .head = &h,
		    .inspect = table[i].inspect,
		    .pool = &pool};
		assert_int_equal(body_new(&spec, &b), table[i].r);
		if (table[i].r != 0)
			assert_int_equal(body_reason(NULL, table[i].r),
			    REASON_UPSTREAM_ENCODED);
		body_free(b);
	}
	scrub_set_free(set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(accepts),
	    cmocka_unit_test(codings_by_name),
	    cmocka_unit_test(messages_by_name),
	    cmocka_unit_test(mints_are_refused),
	    cmocka_unit_test(others_pass),
	    cmocka_unit_test(a_long_wait_ends),
	    cmocka_unit_test(what_cannot_be_looked_into),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
