/* SPDX-License-Identifier: ISC */
/* Holds what session.create takes for channels of VMs, and the place that it
 * asks of the supervisor; and that a CID is one session's. */
#include "driver.h"

#include "messages/channel.h"

struct row {
	const char *channel, *place; /* NULL: 400, and nothing is started */
};

static const struct row hybrids[] = {
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

static const struct row vsocks[] = {
    {"'cid':42", "vsock:42"},
    {"'cid':3", "vsock:3"},
    {"'cid':4294967294", "vsock:4294967294"},
    {"'cid':42,'privileged_ports':true", "vsock:42:privileged"},
    {"'cid':42,'privileged_ports':false", "vsock:42"},
    {"'local':true", "vsock:1"},
    {"'local':true,'privileged_ports':true", "vsock:1:privileged"},
    /* No guests: the hypervisor, this machine, the host, "any". */
    {"'cid':0", NULL},
    {"'cid':1", NULL},
    {"'cid':2", NULL},
    {"'cid':4294967295", NULL},
    {"'cid':4294967338", NULL},
    {"'cid':-1", NULL},
    {"'cid':42.0", NULL},
    {"'cid':'42'", NULL},
    {"'cid':null", NULL},
    {"'privileged_ports':true", NULL},
    {"'cid':42,'privileged_ports':1", NULL},
    {"'cid':42,'local':true", NULL},
    {"'cid':1,'local':true", NULL},
    {"'local':false", NULL},
    {"'local':1", NULL},
    {"'cid':42,'local':false", NULL},
    /* What other kinds have. */
    {"'cid':42,'uid':0", NULL},
    {"'cid':42,'port':8377", NULL},
    {"'cid':42,'path':'/v'", NULL},
    {"'cid':42,'dir':''", NULL},
};

static unsigned
create_named(
    struct house *h, const char *guest, const char *type, const char *channel)
{
	char body[8192];
	(void)snprintf(body, sizeof(body),
	    "{'guest':'%s','channel':{'type':'%s',%s}}", guest, type, channel);

	for (char *p = body; *p != '\0'; p++) {
		if (*p == '\'')
			*p = '"';
	}
	return call_quiet(h, "session.create", body);
}

static unsigned
create(struct house *h, const char *channel)
{
	return create_named(h, "g", "hybrid", channel);
}

static void
check(struct house *h, const char *type, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool good = rows[i].place != NULL;
		unsigned starts = h->starts, want = good ? 200 : 400,
			 got = create_named(h, "g", type, rows[i].channel);

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

static void
hybrid(void **state)
{
	check(*state, "hybrid", hybrids, sizeof(hybrids) / sizeof(hybrids[0]));
}

static void
vsock(void **state)
{
	check(*state, "vsock", vsocks, sizeof(vsocks) / sizeof(vsocks[0]));
}

/* Whatever else they say of it; until its session ends. */
static void
a_cid_is_one_sessions(void **state)
{
	struct house *h = *state;

	assert_int_equal(create_named(h, "a", "vsock", "'cid':42"), 200);
	assert_int_equal(create_named(h, "b", "vsock", "'cid':42"), 409);
	assert_int_equal(create_named(h, "b", "vsock",
			     "'cid':42,'privileged_ports':true"),
	    409);
	assert_int_equal(create_named(h, "b", "vsock", "'cid':43"), 200);
	assert_int_equal(h->starts, 2);
	assert_int_equal(
	    call_quiet(h, "session.end", "{\"session\":\"a\"}"), 200);
	assert_int_equal(create_named(h, "a", "vsock", "'cid':42"), 200);
	assert_int_equal(h->starts, 3);
}

/* The claim names the session: the next guest with that CID has another. */
static void
its_tokens_are_the_sessions(void **state)
{
	struct house *h = *state;
	char first[80], want[80];

	assert_int_equal(create_named(h, "a", "vsock", "'cid':42"), 200);
	struct pair *a = &h->pairs[h->n_pairs - 1];
	(void)snprintf(want, sizeof(want), "vsock:%s", a->id);
	assert_string_equal(a->channel, want);
	keep_text(span_str(a->channel), first, sizeof(first));
	assert_int_equal(
	    call_quiet(h, "session.end", "{\"session\":\"a\"}"), 200);
	assert_int_equal(create_named(h, "a", "vsock", "'cid':42"), 200);
	assert_string_not_equal(h->pairs[h->n_pairs - 1].channel, first);
}

static void
a_session_shows_it(void **state)
{
	struct house *h = *state;
	json_t *s, *c;

	assert_int_equal(create_named(h, "a", "vsock",
			     "'cid':42,'privileged_ports':true"),
	    200);
	assert_int_equal(
	    call(h, "session.show", "{\"session\":\"a\"}", &s), 200);
	c = json_object_get(s, "channel");
	assert_int_equal(json_integer_value(json_object_get(c, "cid")), 42);
	assert_int_equal(json_integer_value(json_object_get(c, "port")), 8377);
	assert_true(json_is_true(json_object_get(c, "privileged_ports")));
	assert_int_equal(json_object_size(c), 4);
	json_decref(s);
}

/* What the supervisor turned away is in the log that cannot be changed. */
static void
refusals_are_in_the_audit_log(void **state)
{
	struct ctl_refused m = {.cid = 77,
	    .port = 99,
	    .count = 5,
	    .why = span_str("no session\nhas it")};
	struct house *h = *state;
	char path[256], text[65536] = "";

	assert_int_equal(link_send(h->supervisor, &msg_refused, &m, -1), 0);
	(void)snprintf(path, sizeof(path), "%s/minter.jsonl", h->audit);
	/* Two sockets: the call may be read first. */
	for (int i = 0; i < 1000 && strstr(text, "peer_refused") == NULL;
	     i++) {
		assert_int_equal(call_quiet(h, "session.list", "{}"), 200);
		FILE *f = fopen(path, "r");
		assert_non_null(f);
		text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
		fclose(f);
	}
	assert_non_null(strstr(text, "\"event\":\"peer_refused\""));
	assert_non_null(strstr(text, "\"cid\":77,\"port\":99,\"count\":5"));
	assert_null(strstr(text, "no session\nhas it"));
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
	    strlen(h->place), strlen("hybrid:") + 4000 + strlen("_8377"));
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
	assert_int_equal(call_quiet(h, "session.create",
			     "{\"channel\":{\"type\":\"unix\","
			     "\"dir\":\"vsock:42\"}}"),
	    400);
	assert_int_equal(call_quiet(h, "session.create",
			     "{\"channel\":{\"type\":\"unix\",\"cid\":42}}"),
	    400);
	assert_int_equal(call_quiet(h, "session.create",
			     "{\"channel\":{\"type\":\"vsock:42\"}}"),
	    400);
	assert_int_equal(h->starts, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		hybrid, house_setup, house_teardown),
	    cmocka_unit_test_setup_teardown(vsock, house_setup, house_teardown),
	    cmocka_unit_test_setup_teardown(
		a_cid_is_one_sessions, house_setup, house_teardown),
	    cmocka_unit_test_setup_teardown(
		its_tokens_are_the_sessions, house_setup, house_teardown),
	    cmocka_unit_test_setup_teardown(
		a_session_shows_it, house_setup, house_teardown),
	    cmocka_unit_test_setup_teardown(
		refusals_are_in_the_audit_log, house_setup, house_teardown),
	    cmocka_unit_test_setup_teardown(
		lengths, house_setup, house_teardown),
	    cmocka_unit_test_setup_teardown(
		unix_has_no_path, house_setup, house_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
