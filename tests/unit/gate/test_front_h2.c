/* SPDX-License-Identifier: ISC */
/* A guest that speaks HTTP/2 and does not read: what it may ask for, and what
 * counts as long as its answers take memory. */
#include "tests/unit/gate/client.h"

#include "egress/http/h2.h"

#define PIECE 16384

struct far {
	struct client c;
	struct h2 *h2;
	unsigned answers, resets;
};

static void
on_answer(void *arg, int32_t id, struct head *h)
{
	struct far *f = arg;

	(void)id;
	if (h->status >= 200)
		f->answers++;
}

static void
on_answer_body(void *arg, int32_t id, struct span bytes)
{
	(void)arg;
	(void)id;
	(void)bytes;
}

static void
on_answer_end(void *arg, int32_t id, struct head *trailers)
{
	(void)arg;
	(void)id;
	(void)trailers;
}

static void
on_answer_reset(void *arg, int32_t id, uint32_t code)
{
	(void)id;
	(void)code;
	((struct far *)arg)->resets++;
}

static const struct h2_events events = {.head = on_answer,
    .body = on_answer_body,
    .end = on_answer_end,
    .reset = on_answer_reset};

/* What it has to say; false when that waits for the gate to read. */
static bool
speak(struct far *f)
{
	struct buf *b = buf_new(1 << 20);
	int r = 1;

	assert_int_equal(h2_send(f->h2, b), 0);
	for (int tries = 0; buf_len(b) > 0 && tries < 100; tries++) {
		struct span s = buf_span(b);
		r = SSL_write(f->c.ssl, s.p, (int)s.n);
		if (r > 0)
			buf_consume(b, (size_t)r);
		else
			assert_true(again(&f->c, r));
	}
	turn(f->c.g.house);
	bool all = buf_len(b) == 0;
	buf_free(b);
	return all;
}

static void
listen_to_it(struct far *f)
{
	static uint8_t piece[PIECE];
	int r, dry = 0;

	while (dry < 5) {
		r = SSL_read(f->c.ssl, piece, sizeof(piece));
		if (r > 0) {
			dry = 0;
			assert_int_equal(
			    h2_recv(f->h2, span_of(piece, (size_t)r)), 0);
			assert_true(speak(f));
			continue;
		}
		assert_true(again(&f->c, r));
		dry++;
	}
}

static void
begin(struct house *h, struct far *f)
{
	memset(f, 0, sizeof(*f));
	f->c.alpn = "\x02h2";
	connect_to(h, &f->c.g, "api.demo.test:443", WAY_INTERCEPT);
	start_tls(&f->c, "api.demo.test");
	assert_int_equal(f->c.failed, 0);
	assert_int_equal(h2_new(H2_CLIENT, &events, f, &f->h2), 0);
	assert_true(speak(f));
	listen_to_it(f);
	assert_true(h2_settled(f->h2));
	/* With the first that the gate wrote there came a ticket. */
	assert_true(SSL_SESSION_is_resumable(SSL_get0_session(f->c.ssl)));
	forget_trace(h);
}

static void
end(struct far *f)
{
	h2_free(f->h2);
	go(&f->c);
}

static void
ask(struct far *f)
{
	struct head h;
	int32_t id;

	head_init(&h);
	h.method = span_str("GET");
	h.target = span_str("/v1/x");
	assert_int_equal(
	    head_add(&h, span_str("host"), span_str("api.demo.test")), 0);
	assert_int_equal(h2_request(f->h2, &h, h.n_fields, true, &id), 0);
	head_clear(&h);
	assert_true(speak(f));
}

/* An answer that is nothing but a head of 30,000 bytes. */
static void
answer(struct house *h, uint32_t stream)
{
	static uint8_t value[30000];
	struct traffic_end over = {.stream = stream};

	memset(value, 'a', sizeof(value));
	respond_head(h,
	    (struct traffic_response){.stream = stream, .status = 204}, "x",
	    span_of(value, sizeof(value)));
	assert_int_equal(link_send(h->courier, &msg_traffic_end, &over, -1), 0);
	turn(h);
}

/* How many of them reach the courier? */
static unsigned
ask_and_answer(struct house *h, struct far *f, unsigned n)
{
	unsigned reached = 0;

	for (unsigned i = 0; i < n; i++) {
		ask(f);
		if (strstr(trace(h), "request way=1 GET /v1/x") == NULL)
			continue;
		reached++;
		forget_trace(h);
		answer(h, h->stream);
	}
	return reached;
}

static void
who_does_not_read_asks_for_no_more(void **state)
{
	struct house *h = *state;
	static struct far f;

	begin(h, &f);
	/* What the kernel takes, what the queue does, and the last. */
	unsigned reached = ask_and_answer(h, &f, 80);
	assert_in_range(reached, 5, 40);
	/* Read, the rest is asked for, and answered. */
	h->n_streams = 0;
	for (int i = 0; i < 80 && f.answers < 80; i++) {
		listen_to_it(&f);
		for (uint32_t k = 0; k < h->n_streams; k++)
			answer(h, h->streams[k]);
		h->n_streams = 0;
	}
	assert_int_equal(f.answers, 80);
	assert_int_equal(f.resets, 0);
	assert_int_equal(h->gate->streams, 0);
	end(&f);
}

static void
an_answer_counts_until_its_head_is_out(void **state)
{
	struct house *h = *state;
	static struct far f;

	begin(h, &f);
	h->n_streams = 0;
	for (int i = 0; i < 60; i++)
		ask(&f);
	assert_int_equal(h->n_streams, 60);
	assert_int_equal(h->gate->streams, 60);
	for (int i = 0; i < 60; i++)
		answer(h, h->streams[i]);
	assert_in_range(h->gate->streams, 20, 59);
	listen_to_it(&f);
	assert_int_equal(f.answers, 60);
	assert_int_equal(h->gate->streams, 0);
	end(&f);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_ready, drop_house)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(who_does_not_read_asks_for_no_more),
	    T(an_answer_counts_until_its_head_is_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
