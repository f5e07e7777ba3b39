/* SPDX-License-Identifier: ISC */
/* Floods, frame by frame as an attacker would write them, at both roles:
 * each ends in ENHANCE_YOUR_CALM at its limit, and not before. */
#include "egress/http/h2_flood.h"
#include "tests/unit/http/h2_frames.h"

#include <sodium.h>

/* The defaults of messages/bounds.h. */
enum {
	USUAL_RESETS = 200,
	USUAL_PINGS = 1000,
	USUAL_SETTINGS = 32,
	USUAL_EMPTY = 100,
	USUAL_UPDATES = 1000,
	USUAL_OTHER = 200,
	USUAL_CONTINUATIONS = 8
};

struct attack {
	uint8_t type, flags;
	int32_t id;
	const char *p;
	size_t n, max;
};

static const struct attack attacks[] = {
    {PING, 0, 0, "12345678", 8, USUAL_PINGS},
    {PING, ACK, 0, "12345678", 8, USUAL_PINGS},
    {SETTINGS, 0, 0, "", 0, USUAL_SETTINGS - 2},
    {WINDOW, 0, 0, "\0\0\0\1", 4, USUAL_UPDATES},
    {WINDOW, 0, 1, "\0\0\0\1", 4, USUAL_UPDATES},
    {PRIORITY, 0, 9, "\0\0\0\0\1", 5, USUAL_OTHER},
    {0x10, 0, 0, "\0\0\0\1u=1", 7, USUAL_OTHER},
    {0xee, 0, 0, "", 0, USUAL_OTHER},
    {DATA, 0, 1, "", 0, USUAL_EMPTY},
    {DATA, PADDED, 1, "\1", 2, USUAL_EMPTY},
    {DATA, PADDED, 1, "\0", 1, USUAL_EMPTY},
};

/* One stream is under way that takes DATA. */
static void
open_stream(struct side *s, enum h2_role role)
{
	int32_t id;

	begin(s, role);
	if (role == H2_SERVER) {
		assert_int_equal(head_frame(s, 1, 0, POST), 0);
	} else {
		assert_int_equal(request(s, "POST", false, &id), 0);
		(void)drain(s);
		assert_int_equal(head_frame(s, 1, 0, OK), 0);
	}
	assert_int_equal(s->heads, 1);
}

static void
run(const struct attack *a, enum h2_role role)
{
	struct side s = {0};
	size_t sent = 0;
	int r = 0;

	open_stream(&s, role);
	while (r == 0 && sent <= a->max) {
		r = frame(&s, a->type, a->flags, a->id, a->p, a->n);
		sent++;
		if (sent % 50 == 0)
			(void)drain(&s);
	}
	assert_int_equal(r, ERR_FORMAT);
	assert_int_equal(sent, a->max + 1);
	assert_over(&s, CALM);
	h2_free(s.h);
}

static void
each_flood_ends(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		run(&attacks[i], H2_SERVER);
		run(&attacks[i], H2_CLIENT);
	}
}

/* Without reading a byte of ours, all at once: it stays small. */
static void
unread_answers_are_bounded(void **state)
{
	struct side s = {0};
	struct wrote w;
	int r = 0;

	(void)state;
	begin(&s, H2_SERVER);
	for (int i = 0; r == 0 && i < 100000; i++)
		r = frame(&s, PING, 0, 0, "12345678", 8);
	assert_int_equal(r, ERR_FORMAT);
	w = drain(&s);
	assert_int_equal(w.goaway, CALM);
	assert_true(w.bytes <= (USUAL_PINGS + 2) * 17);
	h2_free(s.h);
}

static void
rapid_reset_ends(void **state)
{
	struct side s = {0};
	int32_t id = 1;
	int r = 0, n = 0;

	(void)state;
	begin(&s, H2_SERVER);
	for (; r == 0 && id < 20001; id += 2, n++) {
		assert_int_equal(head_frame(&s, id, END_STREAM, GET), 0);
		r = frame(&s, RST, 0, id, "\0\0\0\10", 4);
	}
	assert_int_equal(r, ERR_FORMAT);
	assert_int_equal(n, USUAL_RESETS + 1);
	assert_over(&s, CALM);
	h2_free(s.h);
}

/* Streams that we are made to reset count as well. */
static void
induced_resets_end(void **state)
{
	struct side s = {0};
	int32_t id = 1;
	int r = 0, n = 0;

	(void)state;
	begin(&s, H2_SERVER);
	for (; r == 0 && id < 20001; id += 2, n++) {
		r = head_frame(&s, id, END_STREAM, GET);
		if (r == 0)
			r = frame(&s, WINDOW, 0, id, "\x7f\xff\xff\xff", 4);
		(void)drain(&s);
	}
	assert_int_equal(r, ERR_FORMAT);
	assert_in_range(n, USUAL_RESETS, USUAL_RESETS + 2);
	assert_int_equal(frame(&s, PING, 0, 0, "12345678", 8), ERR_FORMAT);
	h2_free(s.h);
}

static void
a_head_in_bits_ends(enum h2_role role, size_t piece, size_t frames)
{
	static const char zeros[16384];
	struct side s = {0};
	size_t sent = 0;
	int32_t id;
	int r;

	begin(&s, role);
	if (role == H2_CLIENT) {
		assert_int_equal(request(&s, "GET", true, &id), 0);
		(void)drain(&s);
	}
	/* A literal whose value goes on and on: nothing to decode yet. */
	r = frame(&s, HEADERS, 0, 1, "\x00\x01x\x7f\xe0\xff\x02", 7);
	for (; r == 0 && sent < 100; sent++)
		r = frame(&s, CONT, 0, 1, zeros, piece);
	assert_int_equal(r, ERR_FORMAT);
	assert_int_equal(sent, frames);
	assert_over(&s, CALM);
	h2_free(s.h);
}

static void
continuations_end(void **state)
{
	(void)state;
	for (int role = H2_SERVER; role <= H2_CLIENT; role++) {
		a_head_in_bits_ends(role, 0, USUAL_CONTINUATIONS + 1);
		a_head_in_bits_ends(role, 1, USUAL_CONTINUATIONS + 1);
		a_head_in_bits_ends(role, 16384, 4);
	}
}

/* Honest and long-lived: work pays, so no count ever adds up. */
static void
work_pays(void **state)
{
	struct side s = {0};
	int32_t id = 1;

	(void)state;
	begin(&s, H2_SERVER);
	for (int i = 0; i < 3000; i++, id += 2) {
		assert_int_equal(head_frame(&s, id, END_STREAM, GET), 0);
		assert_int_equal(response(&s, id, 200, false), 0);
		assert_int_equal(h2_body(s.h, id, span_str("x")), 0);
		assert_int_equal(h2_end(s.h, id, NULL), 0);
		(void)drain(&s);
		assert_int_equal(frame(&s, WINDOW, 0, 0, "\0\0\0\1", 4), 0);
		assert_int_equal(frame(&s, WINDOW, 0, 0, "\0\0\0\1", 4), 0);
		assert_int_equal(frame(&s, PING, 0, 0, "12345678", 8), 0);
		/* Every other one is cancelled. */
		id += 2;
		assert_int_equal(head_frame(&s, id, END_STREAM, GET), 0);
		assert_int_equal(frame(&s, RST, 0, id, "\0\0\0\10", 4), 0);
	}
	assert_int_equal(s.heads, 6000);
	assert_string_equal(h2_why(s.h), "");
	h2_free(s.h);
}

/* The scanner alone: where frames begin, in any pieces. */
static void
pieces_do_not_matter(void **state)
{
	struct buf *b = buf_new(1 << 20);
	struct h2_flood f;
	size_t good, all;

	(void)state;
	assert_non_null(b);
	assert_int_equal(buf_put_str(b, MAGIC), 0);
	for (int i = 0; i <= USUAL_SETTINGS; i++) {
		put_frame(b, DATA, 0, 1, "\4\4\4\4\4\4\4\4\4\4\4", 11);
		put_frame(b, SETTINGS, 0, 0, "\4\4\4\4\4\4", 6);
	}
	/* The last one's header is never to be used, its payload neither. */
	h2_flood_init(&f, true);
	assert_int_equal(h2_flood_scan(&f, buf_span(b), &all), ERR_FORMAT);
	assert_int_equal(all, buf_len(b) - 15);
	assert_int_equal(f.code, CALM);
	h2_flood_init(&f, true);
	for (size_t i = 0; i < buf_len(b) - 7; i++) {
		assert_int_equal(
		    h2_flood_scan(&f, span_of(buf_span(b).p + i, 1), &good), 0);
		assert_int_equal(good, 1);
	}
	assert_int_equal(h2_flood_scan(&f,
			     span_of(buf_span(b).p + buf_len(b) - 7, 1), &good),
	    ERR_FORMAT);
	buf_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_flood_ends),
	    cmocka_unit_test(unread_answers_are_bounded),
	    cmocka_unit_test(rapid_reset_ends),
	    cmocka_unit_test(induced_resets_end),
	    cmocka_unit_test(continuations_end),
	    cmocka_unit_test(work_pays),
	    cmocka_unit_test(pieces_do_not_matter),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
