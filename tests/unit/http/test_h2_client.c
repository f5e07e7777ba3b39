/* SPDX-License-Identifier: ISC */
/* The client's side of the core: how many requests may go when, what the
 * far end may know of, and what HPACK must not keep. */
#include "tests/unit/http/h2_frames.h"

#include <nghttp2/nghttp2.h>

#define MAX_STREAMS(n) "\x00\x03\x00\x00\x00" n

static void
the_limit_is_the_far_ends(void **state)
{
	struct side c = {0};
	int32_t id;

	(void)state;
	assert_int_equal(h2_new(H2_CLIENT, &events, &c, &c.h), 0);
	/* Unknown as yet: the first may go ahead, alone. */
	assert_false(h2_settled(c.h));
	assert_int_equal(h2_limit(c.h), 1);
	assert_int_equal(request(&c, "GET", true, &id), 0);
	assert_int_equal(request(&c, "GET", true, &id), ERR_UNAVAILABLE);
	(void)drain(&c);
	assert_int_equal(frame(&c, SETTINGS, 0, 0, MAX_STREAMS("\x03"), 6), 0);
	assert_true(h2_settled(c.h));
	assert_int_equal(h2_limit(c.h), 3);
	assert_int_equal(request(&c, "GET", true, &id), 0);
	assert_int_equal(request(&c, "GET", true, &id), 0);
	assert_int_equal(request(&c, "GET", true, &id), ERR_UNAVAILABLE);
	(void)drain(&c);
	/* A promise of many is believed up to ours; none is none. */
	assert_int_equal(frame(&c, SETTINGS, 0, 0, MAX_STREAMS("\xff"), 6), 0);
	assert_int_equal(h2_limit(c.h), H2_STREAMS_MAX);
	assert_int_equal(frame(&c, SETTINGS, 0, 0, MAX_STREAMS("\x00"), 6), 0);
	assert_int_equal(h2_limit(c.h), 0);
	assert_false(h2_closing(c.h));
	h2_free(c.h);
}

static void
goaway_tells_what_was_not_taken(void **state)
{
	struct side c = {0};
	int32_t first, second, third;

	(void)state;
	begin(&c, H2_CLIENT);
	assert_int_equal(request(&c, "GET", true, &first), 0);
	assert_int_equal(request(&c, "GET", true, &second), 0);
	assert_false(h2_begun(c.h, first));
	(void)drain(&c);
	assert_true(h2_begun(c.h, first));
	assert_true(h2_begun(c.h, second));
	assert_int_equal(request(&c, "GET", true, &third), 0);
	assert_int_equal(frame(&c, GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0", 8), 0);
	assert_int_equal(c.resets, 1);
	assert_int_equal(c.code, NGHTTP2_REFUSED_STREAM);
	assert_true(h2_closing(c.h));
	assert_int_equal(h2_limit(c.h), 0);
	assert_int_equal(request(&c, "GET", true, &third), ERR_UNAVAILABLE);
	/* One that never went out says so as well. */
	assert_int_equal(drain(&c).frames[HEADERS], 0);
	assert_int_equal(c.resets, 2);
	assert_int_equal(c.code, NGHTTP2_REFUSED_STREAM);
	/* The first is answered still. */
	assert_int_equal(head_frame(&c, first, END_STREAM, OK), 0);
	assert_int_equal(c.ends, 1);
	h2_free(c.h);
}

static void
resets_say_whose_fault(void **state)
{
	static const struct {
		const char *hpack;
		bool malformed;
	} table[] = {{OK OK, true}, {"\x00\x01X\x01y", true}, {NULL, false}};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct side c = {0};
		int32_t id;
		begin(&c, H2_CLIENT);
		assert_int_equal(request(&c, "GET", true, &id), 0);
		(void)drain(&c);
		if (table[i].hpack == NULL)
			assert_int_equal(
			    frame(&c, RST, 0, id, "\0\0\0\2", 4), 0);
		else
			assert_int_equal(
			    head_frame(&c, id, END_STREAM, table[i].hpack), 0);
		(void)drain(&c);
		assert_int_equal(c.resets, 1);
		assert_int_equal(h2_malformed(c.h), table[i].malformed);
		h2_free(c.h);
	}
}

/* What the far end's decoder says of each field. */
static void
look(struct span block, nghttp2_hd_inflater *inf, const char *name, bool *found,
    bool *never)
{
	*found = *never = false;
	while (block.n > 0) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t n = nghttp2_hd_inflate_hd2(
		    inf, &nv, &flags, block.p, block.n, 1);
		assert_true(n >= 0);
		block = span_from(block, (size_t)n);
		if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0 &&
		    span_is(span_of(nv.name, nv.namelen), name)) {
			*found = true;
			*never = (nv.flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0;
		}
		if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0)
			break;
	}
	assert_int_equal(nghttp2_hd_inflate_end_headers(inf), 0);
}

static void
credentials_are_never_indexed(void **state)
{
	static const struct {
		const char *name;
		bool never;
	} table[] = {{":path", true}, {"x-key", true}, {"x-plain", false},
	    {"te", false}};
	struct side c = {0};
	struct buf *b = buf_new(1 << 16);
	nghttp2_hd_inflater *inf;
	struct head h;
	int32_t id;
	bool found, never;

	(void)state;
	begin(&c, H2_CLIENT);
	assert_int_equal(nghttp2_hd_inflate_new(&inf), 0);
	head_init(&h);
	h.method = span_str("GET");
	h.target = span_str("/?key=secret");
	h.te = true;
	assert_int_equal(head_add(&h, span_str("host"), span_str("a")), 0);
	assert_int_equal(head_add(&h, span_str("x-plain"), span_str("p")), 0);
	assert_int_equal(head_add(&h, span_str("x-key"), span_str("k")), 0);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(h2_request(c.h, &h, 2, true, &id), 0);
		buf_reset(b);
		assert_int_equal(h2_send(c.h, b), 0);
		assert_int_equal(buf_span(b).p[3], HEADERS);
		look(span_from(buf_span(b), 9), inf, table[i].name, &found,
		    &never);
		assert_true(found);
		assert_int_equal(never, table[i].never);
	}
	/* x-plain and te were kept; path and key were not. */
	assert_true(nghttp2_hd_inflate_get_num_table_entries(inf) > 61);
	for (size_t i = 62; i <= nghttp2_hd_inflate_get_num_table_entries(inf);
	     i++) {
		const nghttp2_nv *nv =
		    nghttp2_hd_inflate_get_table_entry(inf, i);
		struct span name = span_of(nv->name, nv->namelen);
		assert_false(span_is(name, ":path") || span_is(name, "x-key"));
	}
	nghttp2_hd_inflate_del(inf);
	head_clear(&h);
	buf_free(b);
	h2_free(c.h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_limit_is_the_far_ends),
	    cmocka_unit_test(goaway_tells_what_was_not_taken),
	    cmocka_unit_test(resets_say_whose_fault),
	    cmocka_unit_test(credentials_are_never_indexed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
