/* SPDX-License-Identifier: ISC */
/* A client's and a server's core talk to each other, and each to frames
 * written by hand: heads, bodies under credit, trailers, streams that fail
 * alone, and what a connection holds at most. */
#include "tests/unit/http/h2_frames.h"

#include <sodium.h>
#include <stdlib.h>

static void
carry(struct side *from, struct side *to, size_t *moved)
{
	struct buf *b = buf_new(1 << 20);

	assert_non_null(b);
	assert_int_equal(h2_send(from->h, b), 0);
	*moved += buf_len(b);
	assert_int_equal(h2_recv(to->h, buf_span(b)), 0);
	buf_free(b);
}

static void
settle(struct side *a, struct side *b)
{
	size_t moved;

	do {
		moved = 0;
		carry(a, b, &moved);
		carry(b, a, &moved);
	} while (moved > 0);
}

static void
an_exchange_passes(void **state)
{
	static uint8_t big[H2_WINDOW];
	struct side c = {0}, s = {0};
	struct head h, t;
	int32_t id;

	(void)state;
	assert_int_equal(h2_new(H2_CLIENT, &events, &c, &c.h), 0);
	assert_int_equal(h2_new(H2_SERVER, &events, &s, &s.h), 0);
	settle(&c, &s);
	head_init(&h);
	head_init(&t);
	h.method = span_str("POST");
	h.target = span_str("/");
	assert_int_equal(head_add(&h, span_str("host"), span_str("a")), 0);
	assert_int_equal(h2_request(c.h, &h, 1, false, &id), 0);
	assert_int_equal(h2_body(c.h, id, span_str("ping")), 0);
	settle(&c, &s);
	assert_int_equal(s.heads, 1);
	assert_int_equal(s.body, 4);

	head_clear(&h);
	h.status = 200;
	assert_int_equal(h2_response(s.h, s.id, &h, false), 0);
	assert_int_equal(h2_body(s.h, s.id, span_of(big, sizeof(big))), 0);
	assert_int_equal(h2_body(s.h, s.id, span_str("x")), ERR_TOO_BIG);
	settle(&c, &s);
	assert_int_equal(c.status, 200);
	/* No credit is given by itself. */
	assert_int_equal(c.body, H2_WINDOW);
	assert_int_equal(h2_body(s.h, s.id, span_str("x")), 0);
	assert_int_equal(head_add(&t, span_str("x-t"), span_str("1")), 0);
	assert_int_equal(h2_end(c.h, id, NULL), 0);
	settle(&c, &s);
	assert_int_equal(s.ends, 1);
	assert_int_equal(h2_end(s.h, s.id, &t), 0);
	settle(&c, &s);
	assert_int_equal(c.body, H2_WINDOW);
	assert_int_equal(h2_credit(c.h, id, c.body + 1), ERR_ARGUMENT);
	assert_int_equal(h2_credit(c.h, id, c.body), 0);
	settle(&c, &s);
	assert_int_equal(c.body, H2_WINDOW + 1);
	assert_int_equal(c.ends, 1);
	assert_int_equal(c.trailers, 1);
	assert_int_equal(c.resets + s.resets, 0);

	/* A bad path costs its stream alone. */
	head_clear(&h);
	h.method = span_str("GET");
	h.target = span_str("/#");
	assert_int_equal(head_add(&h, span_str("host"), span_str("a")), 0);
	assert_int_equal(h2_request(c.h, &h, 1, true, &id), 0);
	settle(&c, &s);
	assert_int_equal(c.resets, 1);
	assert_int_equal(s.heads, 1);
	head_clear(&h);
	head_clear(&t);
	h2_free(c.h);
	h2_free(s.h);
}

/* RFC 9113, 8.1: an answer before the request's end is whole, and a reset
 * without an error asks for no more of the request. */
static void
an_early_answer_is_whole(void **state)
{
	struct side c = {0}, s = {0};
	struct head h;
	int32_t id;

	(void)state;
	assert_int_equal(h2_new(H2_CLIENT, &events, &c, &c.h), 0);
	assert_int_equal(h2_new(H2_SERVER, &events, &s, &s.h), 0);
	settle(&c, &s);
	assert_int_equal(request(&c, "POST", false, &id), 0);
	settle(&c, &s);
	head_init(&h);
	h.status = 403;
	assert_int_equal(h2_response(s.h, s.id, &h, false), 0);
	assert_int_equal(h2_body(s.h, s.id, span_str("why")), 0);
	assert_int_equal(h2_end(s.h, s.id, NULL), 0);
	settle(&c, &s);
	assert_int_equal(c.status, 403);
	assert_int_equal(c.body, 3);
	assert_int_equal(c.ends, 1);
	assert_int_equal(c.resets, 1);
	assert_int_equal(c.code, 0);
	assert_int_equal(h2_flooded(s.h), 0);
	h2_free(c.h);
	h2_free(s.h);
}

/* Streams that nobody takes anything from hold up no other. */
static void
a_stall_is_its_own(void **state)
{
	static uint8_t big[H2_WINDOW];
	struct side c = {0}, s = {0};
	int32_t id;

	(void)state;
	assert_int_equal(h2_new(H2_CLIENT, &events, &c, &c.h), 0);
	assert_int_equal(h2_new(H2_SERVER, &events, &s, &s.h), 0);
	settle(&c, &s);
	for (size_t i = 1; i <= H2_STREAMS_MAX; i++) {
		assert_int_equal(request(&c, "POST", false, &id), 0);
		assert_int_equal(
		    h2_body(c.h, id, span_of(big, sizeof(big))), 0);
		settle(&c, &s);
		assert_int_equal(s.body, i * H2_WINDOW);
	}
	/* That is all there can be: the far end holds to what was said. */
	assert_int_equal(request(&c, "POST", false, &id), ERR_UNAVAILABLE);
	h2_free(c.h);
	h2_free(s.h);
}

/* Uncredited bytes of a stream that is gone go back to the connection,
 * whoever reset it, and once. */
static void
a_reset_gives_back(void **state)
{
	static uint8_t big[16384];
	struct side s = {0};
	uint64_t given = 0;
	int32_t id = 1;

	(void)state;
	begin(&s, H2_SERVER);
	/* Four times the whole connection's window. */
	for (size_t i = 0; i < 4 * H2_STREAMS_MAX; i++, id += 2) {
		bool ours = i % 2 == 0;
		assert_int_equal(head_frame(&s, id, 0, POST), 0);
		for (size_t k = 0; k < H2_WINDOW / sizeof(big); k++)
			assert_int_equal(
			    frame(&s, DATA, 0, id, big, sizeof(big)), 0);
		if (ours)
			assert_int_equal(h2_reset(s.h, id, 8), 0);
		else if (i % 3 != 0)
			assert_int_equal(
			    frame(&s, RST, 0, id, "\0\0\0\10", 4), 0);
		else {
			assert_int_equal(response(&s, id, 200, true), 0);
			assert_int_equal(
			    frame(&s, DATA, END_STREAM, id, "", 0), 0);
		}
		assert_int_equal(h2_credit(s.h, id, ours ? 1 : 0), 0);
		given += drain(&s).window;
		assert_int_equal(h2_credit(s.h, id, H2_WINDOW), 0);
		given += drain(&s).window;
	}
	assert_int_equal(s.body, 4ull * H2_STREAMS_MAX * H2_WINDOW);
	assert_true(given <= s.body);
	assert_true(given >= s.body - 1ull * H2_STREAMS_MAX * H2_WINDOW / 2);
	assert_string_equal(h2_why(s.h), "");
	h2_free(s.h);
}

/* What comes between our reset and its arrival is not reported. */
static void
after_a_reset_is_silence(void **state)
{
	struct side s = {.reset_at_head = true};

	(void)state;
	begin(&s, H2_SERVER);
	assert_int_equal(head_frame(&s, 1, 0, POST), 0);
	assert_int_equal(frame(&s, DATA, END_STREAM, 1, "x", 1), 0);
	assert_int_equal(h2_body(s.h, 1, span_str("x")), ERR_NOT_FOUND);
	assert_int_equal(response(&s, 1, 200, true), ERR_NOT_FOUND);
	(void)drain(&s);
	assert_int_equal(s.heads, 1);
	assert_int_equal(s.body + (size_t)s.ends, 0);
	assert_int_equal(s.resets, 1);
	/* Nor is anything of a head that was refused: CONNECT, here. */
	assert_int_equal(head_frame(&s, 3, 0,
			     "\x02\x07"
			     "CONNECT"
			     "\x01\x01"
			     "a"),
	    0);
	(void)frame(&s, DATA, END_STREAM, 3, "x", 1);
	(void)drain(&s);
	assert_int_equal(s.heads, 1);
	assert_int_equal(s.resets, 1);
	assert_int_equal(s.body + (size_t)s.ends, 0);
	h2_free(s.h);
}

/* NO_ERROR before the end is an end that was cut off all the same. */
static void
a_reset_without_error_is_told(void **state)
{
	struct side c = {0};
	int32_t id;

	(void)state;
	begin(&c, H2_CLIENT);
	assert_int_equal(request(&c, "GET", true, &id), 0);
	(void)drain(&c);
	assert_int_equal(head_frame(&c, 1, 0, OK), 0);
	assert_int_equal(frame(&c, RST, 0, 1, "\0\0\0\0", 4), 0);
	assert_int_equal(c.resets, 1);
	assert_int_equal(c.code, 0);
	assert_int_equal(c.ends, 0);
	h2_free(c.h);
}

static void
the_peers_limit_is_kept(void **state)
{
	struct side c = {0};
	int32_t id;

	(void)state;
	begin(&c, H2_CLIENT);
	assert_int_equal(frame(&c, SETTINGS, 0, 0, "\0\3\0\0\0\2", 6), 0);
	assert_int_equal(request(&c, "GET", true, &id), 0);
	assert_int_equal(request(&c, "GET", true, &id), 0);
	assert_int_equal(request(&c, "GET", true, &id), ERR_UNAVAILABLE);
	assert_int_equal(drain(&c).frames[HEADERS], 2);
	assert_int_equal(head_frame(&c, 1, END_STREAM, OK), 0);
	assert_int_equal(c.ends, 1);
	assert_int_equal(request(&c, "GET", true, &id), 0);
	/* A GOAWAY: what it did not take is refused, nothing new is asked. */
	assert_int_equal(frame(&c, GOAWAY, 0, 0, "\0\0\0\3\0\0\0\0", 8), 0);
	(void)drain(&c);
	assert_int_equal(c.resets, 1);
	assert_int_equal(c.code, 7);
	assert_int_equal(request(&c, "GET", true, &id), ERR_UNAVAILABLE);
	assert_int_equal(head_frame(&c, 3, END_STREAM, OK), 0);
	assert_int_equal(c.ends, 2);
	h2_free(c.h);
}

/* Our own: streams above the limit never reach the caller. */
static void
our_limit_is_kept(void **state)
{
	struct side s = {0};
	int r = 0;

	(void)state;
	begin(&s, H2_SERVER);
	for (int32_t id = 1; r == 0 && id < 2000; id += 2)
		r = head_frame(&s, id, END_STREAM, GET);
	assert_int_equal(s.heads, H2_STREAMS_MAX);
	assert_true(drain(&s).goaway > 0);
	assert_true(h2_done(s.h));
	h2_free(s.h);
}

/* What an administrator allows is what counts, and a client is told. */
static void
bounds_are_taken(void **state)
{
	struct bounds b = bounds_default();
	struct side s = {0};
	struct buf *field = buf_new(4096);
	int r = 0;

	(void)state;
	b.streams = 3;
	b.h2_pings = 5;
	b.head_fields = 8;
	b.head_bytes = 1024;
	begin(&s, H2_SERVER);
	assert_int_equal(h2_bound(s.h, &b), 0);
	assert_int_equal(drain(&s).frames[SETTINGS], 1); /* the new ones */
	/* "x: 1" again and again, as a literal that is not indexed. */
	assert_int_equal(buf_put(field, POST, sizeof(POST) - 1), 0);
	for (int i = 0; i < 9; i++)
		assert_int_equal(buf_put(field,
				     "\0\1x\1"
				     "1",
				     5),
		    0);
	assert_int_equal(frame(&s, HEADERS, END_HEADERS, 1, buf_span(field).p,
			     buf_len(field)),
	    0);
	assert_int_equal(s.heads, 0);
	assert_int_equal(drain(&s).frames[RST], 1);
	buf_reset(field);
	assert_int_equal(buf_put(field, POST, sizeof(POST) - 1), 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(buf_put(field,
				     "\0\1x\1"
				     "1",
				     5),
		    0);
	assert_int_equal(frame(&s, HEADERS, END_HEADERS, 3, buf_span(field).p,
			     buf_len(field)),
	    0);
	assert_int_equal(s.heads, 1);
	for (int32_t id = 5; id < 99; id += 2)
		(void)head_frame(&s, id, END_STREAM, GET);
	assert_int_equal(s.heads, 3);
	h2_free(s.h);
	buf_free(field);
	begin(&s, H2_SERVER);
	assert_int_equal(h2_bound(s.h, &b), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(frame(&s, PING, 0, 0, "12345678", 8), 0);
	r = frame(&s, PING, 0, 0, "12345678", 8);
	assert_int_equal(r, ERR_FORMAT);
	b.h2_pings = 0;
	assert_int_equal(h2_bound(s.h, &b), ERR_ARGUMENT);
	h2_free(s.h);
}

static void
no_body(const char *method, const char *hpack)
{
	struct side c = {0};
	int32_t id;

	begin(&c, H2_CLIENT);
	assert_int_equal(request(&c, method, true, &id), 0);
	(void)drain(&c);
	assert_int_equal(head_frame(&c, 1, 0, hpack), 0);
	assert_int_equal(frame(&c, DATA, END_STREAM, 1, "x", 1), 0);
	(void)drain(&c);
	assert_int_equal(c.heads, 1);
	assert_int_equal(c.body, 0);
	assert_int_equal(c.ends, 0);
	assert_int_equal(c.resets, 1);
	/* An empty one is no body. */
	assert_int_equal(request(&c, method, true, &id), 0);
	(void)drain(&c);
	assert_int_equal(head_frame(&c, 3, 0, hpack), 0);
	assert_int_equal(frame(&c, DATA, END_STREAM, 3, "", 0), 0);
	assert_int_equal(c.ends, 1);
	assert_int_equal(c.resets, 1);
	h2_free(c.h);
}

static void
data_where_none_can_be_is_refused(void **state)
{
	(void)state;
	no_body("HEAD", OK);
	no_body("GET", NO_CONTENT);
	no_body("GET", NOT_MODIFIED);
	/* content-length: 10 of a HEAD or a 304 stands for no byte. */
	no_body("HEAD", OK "\x0f\x0d\x02"
			   "10");
	no_body("GET", NOT_MODIFIED "\x0f\x0d\x02"
				    "10");
}

static void
a_push_ends_it(void **state)
{
	struct side c = {0};
	int32_t id;

	(void)state;
	/* Before our SETTINGS are acknowledged as well. */
	assert_int_equal(h2_new(H2_CLIENT, &events, &c, &c.h), 0);
	assert_int_equal(request(&c, "GET", true, &id), 0);
	(void)drain(&c);
	assert_int_equal(frame(&c, SETTINGS, 0, 0, "", 0), 0);
	assert_int_equal(
	    frame(&c, PUSH, END_HEADERS, 1, "\0\0\0\2" GET, 4 + strlen(GET)),
	    ERR_FORMAT);
	assert_over(&c, 1);
	h2_free(c.h);
}

static void
cookies_are_joined(void **state)
{
	struct side s = {0};

	(void)state;
	begin(&s, H2_SERVER);
	/* Field 32 of the static table is cookie: literal, never indexed. */
	assert_int_equal(head_frame(&s, 1, END_STREAM,
			     GET "\x1f\x11\x03"
				 "a=b"
				 "\x1f\x11\x03"
				 "c=d"
				 "\x1f\x11\x03"
				 "e=f"),
	    0);
	assert_int_equal(s.heads, 1);
	assert_string_equal(s.cookie, "a=b; c=d; e=f");
	h2_free(s.h);
}

static void
too_many_interims_are_refused(void **state)
{
	struct side c = {0};
	int32_t id;

	(void)state;
	begin(&c, H2_CLIENT);
	assert_int_equal(request(&c, "GET", true, &id), 0);
	(void)drain(&c);
	for (int i = 0; i < 17; i++)
		assert_int_equal(head_frame(&c, 1, 0,
				     "\x08\x03"
				     "103"),
		    0);
	(void)drain(&c);
	assert_int_equal(c.heads, 16);
	assert_int_equal(c.resets, 1);
	h2_free(c.h);
}

/* Early hints of a few bytes each, or one, but no mebibyte of them. */
static void
long_interims_are_refused(void **state)
{
	struct side c = {0};
	static uint8_t hpack[16000];
	int32_t id;

	(void)state;
	/* :status 103, then "x" with as many "a" as there is room for. */
	const size_t n = sizeof(hpack) - 12, rest = n - 127;
	memset(hpack, 'a', sizeof(hpack));
	memcpy(hpack, "\x08\x03" "103" "\x10\x01x\x7f", 9);
	hpack[9] = (uint8_t)(rest & 127) | 128;
	hpack[10] = (uint8_t)(rest >> 7 & 127) | 128;
	hpack[11] = (uint8_t)(rest >> 14);
	begin(&c, H2_CLIENT);
	assert_int_equal(request(&c, "GET", true, &id), 0);
	(void)drain(&c);
	for (int i = 0; i < 5; i++)
		assert_int_equal(frame(&c, HEADERS, END_HEADERS, 1, hpack,
				     sizeof(hpack)),
		    0);
	(void)drain(&c);
	assert_int_equal(c.heads, 4);
	assert_int_equal(c.resets, 1);
	h2_free(c.h);
}

/* One answer to a request, and no words after the last. */
static void
the_callers_order_is_held(void **state)
{
	struct side s = {0};

	(void)state;
	begin(&s, H2_SERVER);
	assert_int_equal(head_frame(&s, 1, END_STREAM, GET), 0);
	assert_int_equal(response(&s, 1, 103, false), 0);
	assert_int_equal(response(&s, 1, 200, false), 0);
	assert_int_equal(response(&s, 1, 200, false), ERR_SEQUENCE);
	assert_int_equal(h2_end(s.h, 1, NULL), 0);
	assert_int_equal(h2_end(s.h, 1, NULL), ERR_SEQUENCE);
	assert_int_equal(h2_body(s.h, 1, span_str("x")), ERR_SEQUENCE);
	assert_int_equal(h2_room(s.h, 1), 0);
	assert_int_equal(drain(&s).frames[HEADERS], 2);
	assert_int_equal(h2_body(s.h, 1, span_str("x")), ERR_NOT_FOUND);
	h2_free(s.h);
}

static void
a_session(struct buf *b)
{
	assert_int_equal(buf_put_str(b, MAGIC), 0);
	put_frame(b, SETTINGS, 0, 0, "", 0);
	put_frame(b, HEADERS, END_HEADERS, 1, POST, strlen(POST));
	put_frame(b, DATA, 0, 1, "hello", 5);
	put_frame(b, HEADERS, END_STREAM, 3, GET, 3);
	put_frame(b, CONT, END_HEADERS, 3, GET + 3, strlen(GET) - 3);
	put_frame(b, DATA, PADDED, 1, "\2world\0\0", 8);
	put_frame(b, PING, 0, 0, "12345678", 8);
	put_frame(b, HEADERS, END_HEADERS | END_STREAM, 5, "\x82", 1);
	put_frame(b, HEADERS, END_HEADERS | END_STREAM, 1,
	    "\x00\x03x-t\x01"
	    "1",
	    7);
	put_frame(b, RST, 0, 3, "\0\0\0\10", 4);
	put_frame(b, HEADERS, END_HEADERS | END_STREAM, 7, GET, strlen(GET));
	put_frame(b, PUSH, END_HEADERS, 1, "\0\0\0\2", 4);
}

static void
feed(struct span in, unsigned most, struct buf *log)
{
	struct side s = {.log = log};
	int r = 0;

	assert_int_equal(h2_new(H2_SERVER, &events, &s, &s.h), 0);
	while (r == 0 && in.n > 0) {
		size_t n = most == 0 ? in.n : 1 + (size_t)rand() % most;
		if (n > in.n)
			n = in.n;
		r = h2_recv(s.h, span_of(in.p, n));
		in = span_from(in, n);
	}
	assert_int_equal(r, ERR_FORMAT);
	assert_over(&s, 1);
	h2_free(s.h);
}

static void
pieces_do_not_matter(void **state)
{
	struct buf *in = buf_new(1 << 16), *whole = buf_new(1 << 16);
	struct buf *split = buf_new(1 << 16);

	(void)state;
	assert_non_null(in);
	assert_non_null(whole);
	assert_non_null(split);
	a_session(in);
	feed(buf_span(in), 0, whole);
	assert_true(buf_len(whole) > 100);
	srand(7);
	for (int i = 0; i < 500; i++) {
		buf_reset(split);
		feed(buf_span(in), 1 + (unsigned)i % 40, split);
		assert_true(span_eq(buf_span(split), buf_span(whole)));
	}
	buf_free(in);
	buf_free(whole);
	buf_free(split);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_exchange_passes),
	    cmocka_unit_test(an_early_answer_is_whole),
	    cmocka_unit_test(a_stall_is_its_own),
	    cmocka_unit_test(a_reset_gives_back),
	    cmocka_unit_test(after_a_reset_is_silence),
	    cmocka_unit_test(a_reset_without_error_is_told),
	    cmocka_unit_test(the_peers_limit_is_kept),
	    cmocka_unit_test(our_limit_is_kept),
	    cmocka_unit_test(bounds_are_taken),
	    cmocka_unit_test(data_where_none_can_be_is_refused),
	    cmocka_unit_test(a_push_ends_it),
	    cmocka_unit_test(cookies_are_joined),
	    cmocka_unit_test(too_many_interims_are_refused),
	    cmocka_unit_test(long_interims_are_refused),
	    cmocka_unit_test(the_callers_order_is_held),
	    cmocka_unit_test(pieces_do_not_matter),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
