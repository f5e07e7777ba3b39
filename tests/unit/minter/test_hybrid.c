/* SPDX-License-Identifier: ISC */
/* Holds what session.create takes for a hybrid vsock channel, and the place
 * that it asks of the supervisor. */
#include "driver.h"

static const struct {
	const char *channel, *place; /* NULL: 400, and nothing is started */
} rows[] = {
    {"'path':'/run/vm/v.sock'", "hybrid:/run/vm/v.sock_8377"},
    {"'path':'/run/vm/v.sock','port':1", "hybrid:/run/vm/v.sock_1"},
    {"'path':'/v','port':4294967294", "hybrid:/v_4294967294"},
    {"'path':'/v','uid':0", "hybrid:/v_8377"},
    /* Odd ports: 4294967295 is vsock's "any". */
    {"'path':'/v','port':0", NULL},
    {"'path':'/v','port':4294967295", NULL},
    {"'path':'/v','port':4294967296", NULL},
    {"'path':'/v','port':-1", NULL},
    {"'path':'/v','port':1.0", NULL},
    {"'path':'/v','port':'8377'", NULL},
    {"'path':'/v','port':null", NULL},
    {"'path':'/v','port':[1]", NULL},
    /* Odd paths. */
    {"'port':1", NULL},
    {"'path':''", NULL},
    {"'path':7", NULL},
    {"'path':'v.sock'", NULL},
    {"'path':'./v.sock'", NULL},
    {"'path':'hybrid:/v'", NULL},
    {"'path':'/'", NULL},
    {"'path':'/run/vm/'", NULL},
    {"'path':'/run/vm\\u0000/v'", NULL},
    {"'path':'/run/vm/v\\u0000'", NULL},
    /* What is a unix channel's. */
    {"'path':'/v','dir':'/run'", NULL},
    {"'path':'/v','dir':''", NULL},
    {"'dir':'/run'", NULL},
    {"'path':'/v','cid':3", NULL},
    {"'path':'/v','uid':-1", NULL},
};

static unsigned
create(struct house *h, const char *channel)
{
	char body[8192];
	(void)snprintf(body, sizeof(body),
	    "{'guest':'g','channel':{'type':'hybrid',%s}}", channel);

	for (char *p = body; *p != '\0'; p++) {
		if (*p == '\'')
			*p = '"';
	}
	return call_quiet(h, "session.create", body);
}

static void
table(void **state)
{
	struct house *h = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool good = rows[i].place != NULL;
		unsigned starts = h->starts, want = good ? 200 : 400,
			 got = create(h, rows[i].channel);

		if (got != want)
			fail_msg("%s: %u", rows[i].channel, got);
		assert_int_equal(h->starts, starts + good);
		if (!good)
			continue;
		assert_string_equal(h->place, rows[i].place);
		assert_int_equal(
		    call_quiet(h, "session.end", "{\"session\":\"g\"}"), 200);
	}
}

/* 4000 bytes of path, and not one more. */
static void
lengths(void **state)
{
	struct house *h = *state;
	char channel[4100] = "'path':'/";
	char *end = channel + strlen(channel);

	memset(end, 'x', 4000);
	strcpy(end + 4000, "'");
	assert_int_equal(create(h, channel), 400);
	strcpy(end + 3999, "'");
	assert_int_equal(create(h, channel), 200);
	assert_int_equal(
	    strlen(h->place), strlen(CHANNEL_HYBRID) + 4000 + strlen("_8377"));
}

static void
unix_has_no_path(void **state)
{
	struct house *h = *state;

	assert_int_equal(
	    call_quiet(h, "session.create",
		"{\"channel\":{\"type\":\"unix\",\"path\":\"/v\"}}"),
	    400);
	assert_int_equal(call_quiet(h, "session.create",
			     "{\"channel\":{\"type\":\"unix\",\"port\":1}}"),
	    400);
	assert_int_equal(call_quiet(h, "session.create",
			     "{\"channel\":{\"type\":\"unix\","
			     "\"dir\":\"hybrid:/v_1\"}}"),
	    400);
	assert_int_equal(h->starts, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(table, house_setup, house_teardown),
	    cmocka_unit_test_setup_teardown(
		lengths, house_setup, house_teardown),
	    cmocka_unit_test_setup_teardown(
		unix_has_no_path, house_setup, house_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
