/* SPDX-License-Identifier: ISC */
/* Revocation and changes of grants: requirements 25, 30 and 43. */
#include "tests/unit/minter/driver.h"

static void
a_revoked_session_is_cut_before_the_reply(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	json_t *o = NULL;

	assert_int_equal(first_token(h, p), 200);
	h->order[0] = '\0';
	assert_int_equal(call(h, "revoke", "{\"session\":\"g\"}", &o), 200);
	assert_int_equal(json_integer_value(json_object_get(o, "revoked")), 1);
	json_decref(o);
	assert_int_equal(p->cuts_courier, 1);
	assert_int_equal(p->cuts_gate, 1);
	assert_int_equal(p->last_kind, RULES_CUT_SESSION);
	assert_int_equal(h->kills, 0);
	assert_false(is_active_token(h, p->token));
	house_turn(h);
	assert_int_equal(h->ends, 1);
	assert_int_equal(
	    call(h, "session.show", "{\"session\":\"g\"}", &o), 200);
	assert_string_equal(json_text(o, "state"), "revoked");
	json_decref(o);
}

/* Nobody confirms: both are killed, and the reply waits for that. */
static void
the_silent_are_killed_before_the_reply(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	struct http *c = malloc(sizeof(*c));
	json_t *o = NULL;

	assert_int_equal(first_token(h, p), 200);
	p->mute_courier = true;
	call_begin(h, c, "revoke", "{\"grant\":\"demo-read\"}");
	assert_int_equal(call_end(h, c, &o), 200);
	json_decref(o);
	assert_int_equal(h->kills, 1);
	p->mute_courier = false;
	p->mute_gate = true;
	call_begin(h, c, "revoke", "{\"session\":\"g\"}");
	assert_int_equal(call_end(h, c, &o), 200);
	json_decref(o);
	assert_int_equal(h->kills, 2);
	free(c);
}

/* A dead link alone confirms nothing. */
static void
a_dead_pair_is_reaped_before_the_reply(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");

	unwire_pair(p);
	house_turn(h);
	assert_int_equal(
	    call_quiet(h, "revoke", "{\"credential\":\"demo\"}"), 200);
	assert_int_equal(h->kills, 1);
	house_turn(h);
	/* The new courier knows nothing of it. */
	assert_null(strstr(p->grants, "demo-read"));
	assert_non_null(strstr(p->grants, "other"));
}

static void
one_token_revoked_leaves_the_others(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	char one[4097], two[4097], json[5000], family[33];

	assert_int_equal(first_token(h, p), 200);
	memcpy(one, p->token, sizeof(one));
	memcpy(family, p->family, sizeof(family));
	assert_int_equal(first_token(h, p), 200);
	memcpy(two, p->token, sizeof(two));
	(void)snprintf(json, sizeof(json), "{\"token\":\"%s\"}", one);
	assert_int_equal(call_quiet(h, "revoke", json), 200);
	assert_int_equal(p->last_kind, RULES_CUT_FAMILY);
	assert_string_equal(p->last_cut, family);
	assert_false(is_active_token(h, one));
	assert_true(is_active_token(h, two));
	assert_int_equal(renew_token(h, p, one), 400);
	assert_string_equal(p->error, "invalid_grant");
	/* By the family's id; the unknown is fine too. */
	(void)snprintf(json, sizeof(json), "{\"token\":\"%s\"}", p->family);
	assert_int_equal(call_quiet(h, "revoke", "{\"token\":\"no\"}"), 200);
	assert_int_equal(renew_token(h, p, two), 200);
	(void)snprintf(json, sizeof(json), "{\"token\":\"%s\"}", p->family);
	assert_int_equal(call_quiet(h, "revoke", json), 200);
	assert_int_equal(renew_token(h, p, two), 400);
}

static void
a_guest_revokes_its_own_only(void **state)
{
	struct house *h = *state;
	struct pair *a = house_session(h, "a"), *b = house_session(h, "b");
	char token[4097];

	assert_int_equal(first_token(h, a), 200);
	memcpy(token, a->token, sizeof(token));
	struct guest_token_revoke q = {.rid = 5, .token = span_str(token)};
	b->answers = a->answers = 0;
	assert_int_equal(
	    link_send(b->gate, &msg_guest_token_revoke, &q, -1), 0);
	assert_true(house_until(h, has_answer, b));
	assert_int_equal(b->status, 200);
	assert_true(is_active_token(h, token));
	assert_int_equal(
	    link_send(a->gate, &msg_guest_token_revoke, &q, -1), 0);
	assert_true(house_until(h, has_answer, a));
	assert_int_equal(a->status, 200);
	assert_int_equal(a->cuts_courier, 1);
	assert_int_equal(b->cuts_courier, 0);
	assert_false(is_active_token(h, token));
}

static void
a_revoked_grant_is_gone_everywhere(void **state)
{
	struct house *h = *state;
	struct pair *a = house_session(h, "a"), *b = house_session(h, "b");
	json_t *o = NULL;

	h->order[0] = '\0';
	assert_int_equal(
	    call(h, "revoke", "{\"grant\":\"demo-read\"}", &o), 200);
	assert_int_equal(json_integer_value(json_object_get(o, "revoked")), 2);
	json_decref(o);
	assert_int_equal(a->last_kind, RULES_CUT_GRANT);
	assert_string_equal(b->last_cut, "demo-read");
	house_turn(h);
	assert_null(strstr(a->grants, "demo-read"));
	assert_null(strstr(a->placeholders, "demo"));
	assert_null(strstr(a->for_vault, "demo"));
	assert_null(strstr(b->routes, "api.demo.test"));
	assert_int_equal(call(h, "explain",
			     "{\"session\":\"a\",\"method\":\"GET\","
			     "\"url\":\"https://api.demo.test/v1/x\"}",
			     &o),
	    200);
	assert_string_equal(json_text(o, "reason"), "revoked");
	json_decref(o);
}

static void
all_means_all(void **state)
{
	struct house *h = *state;
	struct pair *a = house_session(h, "a"), *b = house_session(h, "b");
	json_t *o = NULL;

	assert_int_equal(call(h, "revoke", "{\"all\":true}", &o), 200);
	assert_int_equal(json_integer_value(json_object_get(o, "revoked")), 2);
	json_decref(o);
	assert_int_equal(a->cuts_gate, 1);
	assert_int_equal(b->cuts_courier, 1);
	assert_int_equal(call(h, "session.list", "{}", &o), 200);
	assert_int_equal(json_array_size(json_object_get(o, "sessions")), 0);
	json_decref(o);
}

static void
revoke_takes_exactly_one_word(void **state)
{
	static const char *const bad[] = {"{}", "{\"all\":false}",
	    "{\"all\":\"true\"}", "{\"session\":\"a\",\"grant\":\"b\"}",
	    "{\"session\":1}", "{\"odd\":\"x\"}"};
	struct house *h = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(call_quiet(h, "revoke", bad[i]), 400);
	assert_int_equal(call_quiet(h, "revoke", "{\"guest\":\"no\"}"), 404);
}

/* Requirement 43: at whatever moment it dies after the reply. */
static void
revocations_survive_kill_9(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");

	for (int i = 0; i < 15; i++) {
		char gone[4097], kept[4097], json[5000];

		assert_int_equal(first_token(h, p), 200);
		memcpy(gone, p->token, sizeof(gone));
		assert_int_equal(first_token(h, p), 200);
		memcpy(kept, p->token, sizeof(kept));
		(void)snprintf(json, sizeof(json), "{\"token\":\"%s\"}", gone);
		assert_int_equal(call_quiet(h, "revoke", json), 200);
		house_restart(h, SIGKILL);
		assert_false(is_active_token(h, gone));
		assert_true(is_active_token(h, kept));
		assert_int_equal(renew_token(h, p, gone), 400);
	}
	assert_int_equal(call_quiet(h, "revoke", "{\"session\":\"g\"}"), 200);
	unsigned starts = h->starts;
	house_restart(h, SIGKILL);
	assert_int_equal(h->starts, starts);
}

/* ---- grant.apply ---- */

#define APPLY(g) "{\"grants\":[" g "]}"
#define DEMO_WIDER                                                        \
	"{\"name\":\"demo-read\",\"credential\":\"demo\","                \
	"\"hosts\":[\"api.demo.test\"],\"allow\":[{\"methods\":[\"GET\"," \
	"\"POST\"],\"paths\":[\"/v1/**\"]}]}"
#define DEMO_OUTSIDE                                                    \
	"{\"name\":\"demo-read\",\"credential\":\"demo\","              \
	"\"hosts\":[\"other.test\"],\"allow\":[{\"methods\":[\"GET\"]," \
	"\"paths\":[\"/**\"]}]}"

static struct pair *
named_session(struct house *h)
{
	json_t *o = NULL;

	assert_int_equal(
	    call_quiet(h, "grant.apply", APPLY(DEMO_GRANT "," OTHER_GRANT)),
	    200);
	assert_int_equal(
	    call(h, "session.create",
		"{\"guest\":\"g\",\"grants\":[\"demo-read\",\"other\"]}", &o),
	    200);
	struct pair *p = house_pair(h, span_str(json_text(o, "id")));
	json_decref(o);
	return p;
}

static void
applied_grants_reach_running_sessions(void **state)
{
	struct house *h = *state;
	struct pair *p = named_session(h);
	json_t *o = NULL;

	h->order[0] = '\0';
	assert_int_equal(call(h, "grant.apply", APPLY(DEMO_WIDER), &o), 200);
	assert_int_equal(json_integer_value(json_object_get(o, "sessions")), 1);
	json_decref(o);
	house_turn(h);
	/* The vault knows before the courier does. */
	assert_string_equal(h->order, "update rules ");
	assert_non_null(strstr(p->grants, "POST"));
	assert_int_equal(p->cuts_courier, 0);
	/* The same again changes nothing. */
	assert_int_equal(call(h, "grant.apply", APPLY(DEMO_WIDER), &o), 200);
	assert_int_equal(json_integer_value(json_object_get(o, "sessions")), 0);
	json_decref(o);
}

static void
a_bad_grant_applies_nothing(void **state)
{
	struct house *h = *state;
	struct pair *p = named_session(h);
	unsigned rules = p->rules;
	json_t *o = NULL;

	assert_int_equal(
	    call_quiet(h, "grant.apply", APPLY(OTHER_GRANT "," DEMO_OUTSIDE)),
	    422);
	assert_int_equal(
	    call_quiet(h, "grant.apply", APPLY("{\"name\":\"x\"}")), 422);
	assert_int_equal(call_quiet(h, "grant.apply", "{}"), 400);
	assert_int_equal(
	    call(h, "grant.show", "{\"name\":\"demo-read\"}", &o), 200);
	assert_string_equal(
	    json_string_value(json_array_get(json_object_get(o, "hosts"), 0)),
	    "api.demo.test:443");
	json_decref(o);
	house_turn(h);
	assert_int_equal(p->rules, rules);
}

static void
what_is_replaced_away_is_cut(void **state)
{
	struct house *h = *state;
	struct pair *p = named_session(h);
	json_t *o = NULL;

	h->order[0] = '\0';
	assert_int_equal(call_quiet(h, "grant.apply",
			     "{\"grants\":[" DEMO_GRANT "],\"replace\":true}"),
	    200);
	house_turn(h);
	assert_string_equal(h->order, "cut update rules ");
	assert_string_equal(p->last_cut, "other");
	assert_null(strstr(p->grants, "other.test"));
	assert_int_equal(call(h, "grant.list", "{}", &o), 200);
	assert_int_equal(json_array_size(json_object_get(o, "grants")), 1);
	json_decref(o);
}

static void
a_removed_grant_is_cut_before_the_reply(void **state)
{
	struct house *h = *state;
	struct pair *p = named_session(h);

	assert_int_equal(
	    call_quiet(h, "grant.remove", "{\"name\":\"other\"}"), 200);
	assert_int_equal(p->cuts_courier, 1);
	house_turn(h);
	assert_null(strstr(p->grants, "other.test"));
	assert_int_equal(
	    call_quiet(h, "grant.remove", "{\"name\":\"other\"}"), 404);
	assert_int_equal(
	    call_quiet(h, "grant.show", "{\"name\":\"other\"}"), 404);
}

static bool
has_cut(void *arg)
{
	return ((struct pair *)arg)->cuts_courier > 0;
}

static void
a_grant_ends_with_its_ttl(void **state)
{
	struct house *h = *state;
	json_t *o = NULL;

	assert_int_equal(
	    call(h, "session.create",
		"{\"details\":[" OTHER_GRANT ",{\"name\":\"brief\","
		"\"hosts\":[\"a.test\"],\"tunnel\":true,\"ttl\":1}]}",
		&o),
	    200);
	struct pair *p = house_pair(h, span_str(json_text(o, "id")));
	json_decref(o);
	assert_true(house_until(h, has_cut, p));
	assert_int_equal(p->last_kind, RULES_CUT_GRANT);
	assert_string_equal(p->last_cut, "brief");
	house_turn(h);
	assert_null(strstr(p->grants, "brief"));
	assert_non_null(strstr(p->grants, "other"));
	assert_int_equal(h->ends, 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, house_setup, house_teardown)
	const struct CMUnitTest tests[] = {
	    T(a_revoked_session_is_cut_before_the_reply),
	    T(the_silent_are_killed_before_the_reply),
	    T(a_dead_pair_is_reaped_before_the_reply),
	    T(one_token_revoked_leaves_the_others),
	    T(a_guest_revokes_its_own_only),
	    T(a_revoked_grant_is_gone_everywhere),
	    T(all_means_all),
	    T(revoke_takes_exactly_one_word),
	    T(revocations_survive_kill_9),
	    T(applied_grants_reach_running_sessions),
	    T(a_bad_grant_applies_nothing),
	    T(what_is_replaced_away_is_cut),
	    T(a_removed_grant_is_cut_before_the_reply),
	    T(a_grant_ends_with_its_ttl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
