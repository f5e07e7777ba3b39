/* SPDX-License-Identifier: ISC */
/* Who may come and when; what a cut, and a neighbour that is gone, end; and
 * how much of all there may be. */
#include "tests/unit/gate/driver.h"

static void
not_ready_is_503(void **state)
{
	struct house *h = *state;
	struct guest g;

	come(h, &g);
	say(&g, "%s\r\n", GET_ABSOLUTE);
	assert_int_equal(g.n, 0); /* for a moment it waits */
	lose_patience(h);
	take(&g);
	has(&g, "503 ");
	has(&g, "not-ready");
	say(&g, "GET /v1/status HTTP/1.1\r\nHost: hatcheck.internal\r\n\r\n");
	has(&g, "not-ready");
	leave(&g);
	h->refuse_ca = true;
	h->courier = join_courier(h);
	h->minter = join_minter(h);
	h->vault = join(h, LINK_VAULT, vault_rules, 1);
	say_session(h, getuid());
	say_family(h, FAMILY, 600000);
	mint(h, CHANNEL, FAMILY, 300, h->token);
	turn(h);
	attached(h, &g);
	say(&g, "%s\r\n", GET_ABSOLUTE);
	has(&g, "not-ready");
	leave(&g);
	untraced(h, "request way");
}

static void
another_uid_is_not_heard(void **state)
{
	struct house *h = *state;
	struct guest g;

	say_session(h, getuid() + 1);
	turn(h);
	come(h, &g);
	say(&g, "GET /v1/status HTTP/1.1\r\nHost: hatcheck.internal\r\n\r\n");
	assert_int_equal(g.n, 0);
	assert_true(g.end);
	leave(&g);
}

/* Who comes by the supervisor has no uid, and only such a session; a uid is
 * none of its. */
static void
guests_that_are_brought(void **state)
{
	static const char ask[] =
	    "GET /v1/status HTTP/1.1\r\nHost: hatcheck.internal\r\n\r\n";
	struct house *h = *state;
	struct guest g;

	bring(h, &g);
	say(&g, ask);
	assert_int_equal(g.n, 0);
	assert_true(g.end);
	leave(&g);
	say_session(h, CHANNEL_NO_UID);
	turn(h);
	bring(h, &g);
	say(&g, ask);
	has(&g, "HTTP/1.1 200 OK");
	leave(&g);
	come(h, &g);
	say(&g, ask);
	assert_int_equal(g.n, 0);
	assert_true(g.end);
	leave(&g);
}

/* A request that came too early is served once all is there, and only to
 * the session's own uid. */
static void
early_guests_wait(void **state)
{
	struct house *h = *state;
	struct guest g;

	for (int other = 1; other >= 0; other--) {
		come(h, &g);
		say(&g, "GET /v1/status HTTP/1.1\r\n"
			"Host: hatcheck.internal\r\n\r\n");
		assert_int_equal(g.n, 0);
		link_free(h->courier);
		link_free(h->minter);
		link_free(h->vault);
		h->courier = join_courier(h);
		h->minter = join_minter(h);
		h->vault = join(h, LINK_VAULT, vault_rules, 1);
		say_session(h, getuid() + (uint32_t)other);
		take(&g);
		assert_int_equal(g.end, other);
		if (!other)
			has(&g, "HTTP/1.1 200 OK");
		leave(&g);
		gate_free(h->gate);
		assert_int_equal(gate_new(h->loop, &h->gate), 0);
		gate_begin(h->gate, -1);
	}
}

static void
cut_family(struct house *h, const char *family, uint32_t serial)
{
	struct guest_cut m = {.serial = serial, .family = span_str(family)};

	assert_int_equal(link_send(h->minter, &msg_guest_cut, &m, -1), 0);
	turn(h);
	assert_int_equal(h->cut_done, serial);
}

static void
a_cut_resets_its_family_alone(void **state)
{
	struct house *h = *state;
	struct guest one, two, idle, api;
	char t[JWT_MAX + 1];

	say_family(h, "f-two", 600000);
	mint(h, CHANNEL, "f-two", 300, t);
	turn(h);
	attached(h, &one);
	attached(h, &idle);
	come(h, &two);
	say(&two, "ATTACH %s\r\n", t);
	come(h, &api);
	say(&two, "%s\r\n", GET_ABSOLUTE);
	uint32_t stream_two = h->stream;
	say(&one, "%s\r\n", GET_ABSOLUTE);
	respond(h, 200, BODY_CHUNKED, 0);
	respond_bytes(h, "part", 4);
	turn(h);
	forget_trace(h);
	cut_family(h, FAMILY, 7);
	traced(h, "reset\n");
	take(&one);
	take(&idle);
	assert_true(one.end);
	assert_true(idle.end);
	/* What the courier still sends for it is dropped. */
	respond_bytes(h, "late", 4);
	turn(h);
	assert_false(link_broken(h->courier));
	h->stream = stream_two;
	respond(h, 200, BODY_LENGTH, 2);
	respond_bytes(h, "ok", 2);
	respond_end(h);
	take(&two);
	has(&two, "\r\n\r\nok");
	take(&api);
	assert_false(api.end);
	/* Its token is worth nothing any more. */
	leave(&one);
	come(h, &one);
	say(&one, "ATTACH %s\r\n%s\r\n", h->token, GET_ABSOLUTE);
	has(&one, "bad-token");
	cut_family(h, "", 8);
	take(&two);
	take(&api);
	assert_true(two.end);
	assert_true(api.end);
	leave(&one);
	leave(&two);
	leave(&idle);
	leave(&api);
}

static void
a_lost_courier_ends_what_hung_on_it(void **state)
{
	struct house *h = *state;
	struct guest waiting, streaming;

	attached(h, &streaming);
	say(&streaming, "%s\r\n", GET_ABSOLUTE);
	respond(h, 200, BODY_CHUNKED, 0);
	turn(h);
	attached(h, &waiting);
	say(&waiting, "%s\r\n", GET_ABSOLUTE);
	link_free(h->courier);
	h->courier = NULL;
	take(&waiting);
	take(&streaming);
	has(&waiting, "retired-connection");
	assert_true(streaming.end);
	hush(&waiting);
	lose_patience(h);
	say(&waiting, "%s\r\n", GET_ABSOLUTE);
	has(&waiting, "not-ready");
	h->courier = join_courier(h);
	turn(h);
	hush(&waiting);
	say(&waiting, "%s\r\n", GET_ABSOLUTE);
	assert_int_equal(waiting.n, 0);
	traced(h, "request way");
	leave(&waiting);
	leave(&streaming);
}

/* A head with one field of n bytes. */
static void
respond_long(struct house *h, uint16_t status, size_t n)
{
	uint8_t *value = malloc(n);

	memset(value, 'a', n);
	respond_head(h,
	    (struct traffic_response){.stream = h->stream, .status = status},
	    "x", span_of(value, n));
	free(value);
}

/* The last bytes of an answer, after which the connection would close, find
 * no room with a guest that has read nothing. */
static void
the_end_of_an_answer_finds_no_room(void **state)
{
	struct house *h = *state;
	struct guest g;

	attached(h, &g);
	say(&g, "%sConnection: close\r\n\r\n", GET_ABSOLUTE);
	traced(h, "request way");
	struct stream *s = h->gate->conns[0]->s;
	while (stream_queued(s) + 60000 < STREAM_QUEUE_MAX) {
		respond_long(h, 103, 50000);
		turn(h);
	}
	while (stream_queued(s) + 8000 < STREAM_QUEUE_MAX) {
		respond_long(h, 103, 1000);
		turn(h);
	}
	assert_int_equal(h->gate->n_conns, 1);
	respond_long(h, 204, 10000);
	respond_end(h);
	assert_int_equal(h->gate->n_conns, 0);
	leave(&g);
}

static void
a_new_minter_confirms_families(void **state)
{
	struct house *h = *state;
	struct guest g;

	attached(h, &g);
	link_free(h->minter);
	h->minter = NULL;
	lose_patience(h);
	say(&g, "%s\r\n", GET_ABSOLUTE);
	has(&g, "not-ready");
	h->minter = join_minter(h);
	say_session(h, getuid());
	turn(h);
	hush(&g);
	say(&g, "%s\r\n", GET_ABSOLUTE);
	has(&g, "not-ready"); /* in doubt */
	say_family(h, FAMILY, 600000);
	turn(h);
	hush(&g);
	say(&g, "%s\r\n", GET_ABSOLUTE);
	traced(h, "request way");
	leave(&g);
}

static void
guests_are_limited(void **state)
{
	struct house *h = *state;
	static struct guest g[32];
	struct guest *more = calloc(1, sizeof(*more));
	struct bounds b = bounds_default();
	const size_t n = sizeof(g) / sizeof(g[0]);

	b.connections = n;
	gate_bound(h->gate, &b);

	for (size_t i = 0; i < n; i++)
		come(h, &g[i]);
	come(h, more);
	take(more);
	has(more, "429 ");
	has(more, "limit-guest");
	assert_true(more->end);
	leave(&g[3]);
	leave(more);
	come(h, more);
	take(more);
	assert_false(more->end);
	leave(more);
	for (size_t i = 0; i < n; i++) {
		if (i != 3)
			leave(&g[i]);
	}
	assert_int_equal(h->gate->n_conns, 0);
	free(more);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_ready, drop_house)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		not_ready_is_503, make_house, drop_house),
	    cmocka_unit_test_setup_teardown(
		early_guests_wait, make_house, drop_house),
	    T(another_uid_is_not_heard),
	    T(guests_that_are_brought),
	    T(a_cut_resets_its_family_alone),
	    T(a_lost_courier_ends_what_hung_on_it),
	    T(a_new_minter_confirms_families),
	    T(guests_are_limited),
	    T(the_end_of_an_answer_finds_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
