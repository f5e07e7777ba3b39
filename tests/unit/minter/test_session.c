/* SPDX-License-Identifier: ISC */
/* The life of sessions and tokens, as their siblings and callers see it. */
#include "minter/token.h"
#include "tests/unit/minter/driver.h"

static void
both_are_told_before_the_caller_is(void **state)
{
	struct house *h = *state;
	json_t *o = NULL;

	assert_int_equal(call(h, "session.create",
			     "{\"guest\":\"g\",\"details\":[" DEMO_GRANT "],"
			     "\"ttl\":600}",
			     &o),
	    200);
	struct pair *p = house_pair(h, span_str(json_text(o, "id")));
	assert_int_equal(p->sessions, 1);
	assert_int_equal(p->rules, 1);
	assert_string_equal(json_text(o, "guest"), "g");
	assert_string_equal(json_text(o, "state"), "active");
	assert_string_equal(json_text(json_object_get(o, "channel"), "socket"),
	    "/run/here/hatcheck.sock");
	assert_string_equal(p->for_vault,
	    "{\"credentials\":[\"demo\"],\"hosts\":[\"api.demo.test\"]}");
	assert_string_equal(p->routes,
	    "{\"hosts\":[\"api.demo.test:443\"],\"tunnels\":[],"
	    "\"bases\":{\"demo-read\":\"api.demo.test:443\"}}");
	assert_int_equal(strlen(p->base_random), 22);
	assert_non_null(strstr(p->placeholders, "\"value\":\"dmo_"));
	assert_non_null(strstr(p->environment, "\"env\":[\"DEMO_KEY\"]"));
	assert_non_null(strstr(p->environment, "DEMO_BASE_URL"));
	assert_null(strstr(p->placeholders, "env"));
	json_decref(o);
}

static void
upstream_exceptions_reach_the_dialer(void **state)
{
	struct house *h = *state;
	json_t *o = NULL;

	assert_int_equal(
	    call(h, "session.create",
		"{\"details\":[{\"name\":\"x\",\"credential\":\"demo\","
		"\"hosts\":[\"api.demo.test:8443\"],"
		"\"allow\":[{\"methods\":[\"GET\"],\"paths\":[\"/**\"]}],"
		"\"upstream\":{\"addresses\":[\"127.0.0.1\"],"
		"\"port\":9443}}]}",
		&o),
	    422); /* demo is bound to port 443 only */
	json_decref(o);
	assert_int_equal(
	    call(h, "session.create",
		"{\"details\":[{\"name\":\"x\",\"credential\":\"demo\","
		"\"hosts\":[\"api.demo.test\"],"
		"\"allow\":[{\"methods\":[\"GET\"],\"paths\":[\"/**\"]}],"
		"\"upstream\":{\"addresses\":[\"127.0.0.1\"],"
		"\"port\":9443}}]}",
		&o),
	    200);
	struct pair *p = house_pair(h, span_str(json_text(o, "id")));
	assert_string_equal(p->for_dialer,
	    "{\"exceptions\":[{\"host\":\"api.demo.test\",\"port\":443,"
	    "\"addresses\":[\"127.0.0.1\"],\"upstream_port\":9443}]}");
	assert_memory_equal(json_text(o, "guest"), "run-", 4);
	json_decref(o);
}

static void
bad_sessions_are_refused_and_leave_nothing(void **state)
{
	static const struct {
		const char *json;
		unsigned status;
	} t[] = {
	    {"{\"guest\":\"G\"}", 400},
	    {"{\"guest\":\"s-abc\"}", 400},
	    {"{\"guest\":7}", 400},
	    {"{\"ttl\":-1}", 400},
	    {"{\"ttl\":99999999}", 400},
	    {"{\"odd\":1}", 400},
	    {"{\"grants\":\"x\"}", 400},
	    {"{\"grants\":[\"none\"]}", 422},
	    {"{\"grants\":[7]}", 422},
	    {"{\"channel\":{\"type\":\"vsock\"}}", 400},
	    {"{\"channel\":{\"type\":\"unix\",\"dir\":\"x\"}}", 400},
	    {"{\"channel\":{\"type\":\"unix\",\"uid\":\"0\"}}", 400},
	    {"{\"details\":[{}]}", 422},
	    {"{\"details\":[" DEMO_GRANT "," DEMO_GRANT "]}", 422},
	    /* Outside the bindings; an unknown credential. */
	    {"{\"details\":[{\"name\":\"x\",\"credential\":\"demo\","
	     "\"hosts\":[\"evil.test\"],\"allow\":[]}]}",
		422},
	    {"{\"details\":[{\"name\":\"x\",\"credential\":\"demo\","
	     "\"hosts\":[\"*.demo.test\"],\"allow\":[]}]}",
		422},
	    {"{\"details\":[{\"name\":\"x\",\"credential\":\"none\","
	     "\"hosts\":[\"api.demo.test\"],\"allow\":[]}]}",
		422},
	};
	struct house *h = *state;
	json_t *o = NULL;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		unsigned status = call(h, "session.create", t[i].json, &o);
		if (status != t[i].status)
			print_message("%s: %u\n", t[i].json, status);
		assert_int_equal(status, t[i].status);
		assert_non_null(json_text(o, "title"));
		assert_non_null(json_text(o, "detail"));
		assert_non_null(json_text(o, "next"));
		json_decref(o);
	}
	assert_int_equal(h->starts, 0);
	assert_int_equal(call(h, "session.list", "{\"all\":true}", &o), 200);
	assert_int_equal(json_array_size(json_object_get(o, "sessions")), 0);
	json_decref(o);
}

/* All names are in one certificate, which has room for so many. */
static void
more_hosts_than_a_certificate_has_are_refused(void **state)
{
	struct house *h = *state;
	struct buf *b = buf_new(65536);
	json_t *o = NULL;
	int r = buf_put_str(b, "{\"details\":[");

	for (int g = 0; r == 0 && g < 5; g++) {
		r = buf_printf(b,
		    "%s{\"name\":\"g%d\",\"allow\":[],\"hosts\":[\"same.test\"",
		    g == 0 ? "" : ",", g);
		for (int i = 0; r == 0 && i < (g < 4 ? 63 : 4); i++)
			r = buf_printf(b, ",\"h%d.g%d.test\"", i, g);
		r = r == 0 ? buf_put_str(b, "]}") : r;
	}
	assert_int_equal(r != 0 ? r : buf_put(b, "]}", 3), 0);
	assert_int_equal(
	    call(h, "session.create", (const char *)buf_span(b).p, &o), 422);
	assert_non_null(strstr(json_text(o, "detail"), "these grants have 257"));
	json_decref(o);
	assert_int_equal(h->starts, 0);
	buf_free(b);
}

static void
a_guest_name_is_taken_once(void **state)
{
	struct house *h = *state;

	house_session(h, "one");
	assert_int_equal(
	    call_quiet(h, "session.create", "{\"guest\":\"one\"}"), 409);
	assert_int_equal(
	    call_quiet(h, "session.end", "{\"session\":\"one\"}"), 200);
	assert_int_equal(h->ends, 1);
	house_session(h, "one");
	assert_int_equal(
	    call_quiet(h, "session.end", "{\"session\":\"none\"}"), 404);
}

#define NARROW_GRANT                                       \
	"{\"name\":\"demo-read\",\"hosts\":[\"api.demo.test\"]," \
	"\"allow\":[{\"methods\":[\"GET\"],\"paths\":[\"/v1/x\"]}]}"

static bool
was_asked(void *arg)
{
	return ((struct house *)arg)->asked.rid != 0;
}

/* Whoever hears that a grant is gone, or narrower, finds no session that
 * comes up with it as it was. */
static void
a_grant_that_changes_meanwhile_makes_no_session(void **state)
{
	static const struct {
		const char *verb, *json;
		unsigned status;
	} t[] = {
	    {"grant.remove", "{\"name\":\"demo-read\"}", 409},
	    {"grant.apply", "{\"grants\":[" NARROW_GRANT "]}", 409},
	    {"grant.apply", "{\"grants\":[],\"replace\":true}", 409},
	    /* What is the same, or another's, is nothing to it. */
	    {"grant.remove", "{\"name\":\"free\"}", 200},
	    {"grant.apply", "{\"grants\":[" DEMO_GRANT "]}", 200},
	};
	struct house *h = *state;
	struct http *c = malloc(sizeof(*c));
	json_t *o = NULL;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		unsigned starts = h->starts;
		assert_int_equal(call_quiet(h, "grant.apply",
				     "{\"grants\":[" DEMO_GRANT ","
				     "{\"name\":\"free\",\"hosts\":[\"a.test\"],"
				     "\"tunnel\":true}]}"),
		    200);
		h->slow_vault = true;
		call_begin(h, c, "session.create",
		    "{\"guest\":\"g\",\"grants\":[\"demo-read\"]}");
		assert_true(house_until(h, was_asked, h));
		assert_int_equal(call_quiet(h, t[i].verb, t[i].json), 200);
		house_told(h);
		unsigned status = call_end(h, c, &o);
		if (status != t[i].status)
			print_message("%s: %u\n", t[i].json, status);
		assert_int_equal(status, t[i].status);
		assert_int_equal(h->starts - starts, status == 200);
		if (status == 200)
			assert_int_equal(call_quiet(h, "session.end",
					     "{\"session\":\"g\"}"),
			    200);
		json_decref(o);
	}
	free(c);
}

static void
a_locked_vault_is_named_with_its_remedy(void **state)
{
	struct house *h = house_new();
	json_t *o = NULL;

	(void)state;
	house_start(h);
	house_vault(h, VAULT_LOCKED);
	house_turn(h);
	assert_int_equal(call(h, "session.create", "{}", &o), 503);
	assert_string_equal(json_text(o, "next"), "hatcheck unlock");
	json_decref(o);
	house_vault(h, VAULT_OPEN);
	assert_true(house_until(h, has_keys, h));
	house_turn(h);
	house_session(h, "g");
	assert_int_equal(house_stop(h, 0), 0);
	house_free(h);
}

static void
verify(struct pair *p, enum jwt_result want, struct jwt_claims *c)
{
	struct jwks set;
	struct jwt_expect e = {.iss = "http://hatcheck.internal",
	    .aud = "hatcheck-egress",
	    .channel = p->channel,
	    .now = time(NULL),
	    .keys = &set};

	assert_int_equal(jwks_parse(span_str(p->jwks), &set), 0);
	assert_int_equal(jwt_verify(span_str(p->token), &e, c), want);
}

static void
a_first_token_is_good_and_known_before_it_is_given(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	struct jwt_claims c;

	h->order[0] = '\0';
	assert_int_equal(first_token(h, p), 200);
	/* One loop plays both, and takes them in any order. */
	if (strcmp(h->order, "family given ") != 0) {
		assert_true(p->courier_behind);
		assert_string_equal(h->order, "given family ");
	}
	verify(p, JWT_GOOD, &c);
	assert_string_equal(c.sub, p->id);
	assert_string_equal(c.client_id, "g");
	assert_string_equal(c.fam, p->family);
	assert_string_equal(p->last_family, p->family);
	assert_int_equal(c.exp - c.iat, 300);
	assert_int_equal(p->expires_in, 300);
	assert_int_equal(c.n_grants, 2);
	assert_true(is_active_token(h, p->token));
}

static void
renewal_keeps_the_family_and_makes_a_new_token(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	char old[4097], family[33];

	assert_int_equal(first_token(h, p), 200);
	memcpy(old, p->token, sizeof(old));
	memcpy(family, p->family, sizeof(family));
	assert_int_equal(renew_token(h, p, old), 200);
	assert_string_equal(p->family, family);
	assert_string_not_equal(p->token, old);
	assert_true(is_active_token(h, old)); /* until it expires */
	assert_true(is_active_token(h, p->token));
}

static void
a_token_of_another_session_renews_nothing(void **state)
{
	struct house *h = *state;
	struct pair *a = house_session(h, "a"), *b = house_session(h, "b");

	assert_int_equal(first_token(h, a), 200);
	assert_int_equal(renew_token(h, b, a->token), 400);
	assert_string_equal(b->error, "invalid_grant");
	a->token[strlen(a->token) - 5] ^= 1;
	assert_int_equal(renew_token(h, a, a->token), 400);
	assert_int_equal(renew_token(h, a, "x"), 400);
}

static void
odd_token_requests_get_their_own_error(void **state)
{
	static const struct {
		const char *type, *token, *token_type, *details, *error;
	} t[] = {
	    {"password", "", "", "", "unsupported_grant_type"},
	    {"", "", "", "", "unsupported_grant_type"},
	    {"client_credentials", "x", "", "", "invalid_request"},
	    {"client_credentials", "", "", "[]",
		"invalid_authorization_details"},
	    {"urn:ietf:params:oauth:grant-type:token-exchange", "", "", "",
		"invalid_request"},
	    {"urn:ietf:params:oauth:grant-type:token-exchange", "x", "y", "",
		"invalid_request"},
	};
	struct house *h = *state;
	struct pair *p = house_session(h, "g");

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct guest_token_ask q = {.rid = 9,
		    .grant_type = span_str(t[i].type),
		    .subject_token = span_str(t[i].token),
		    .subject_token_type = span_str(t[i].token_type),
		    .authorization_details = span_str(t[i].details)};
		assert_int_equal(ask_token(h, p, &q), 400);
		assert_string_equal(p->error, t[i].error);
		assert_string_equal(p->token, "");
	}
}

static void
live_families_are_bounded(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");

	for (int i = 0; i < 64; i++)
		assert_int_equal(first_token(h, p), 200);
	char last[4097];
	memcpy(last, p->token, sizeof(last));
	assert_int_equal(first_token(h, p), 429);
	assert_string_equal(p->token, "");
	assert_int_equal(renew_token(h, p, last), 200);
}

static void
a_token_never_outlives_session_or_grant(void **state)
{
	struct house *h = *state;
	json_t *o = NULL;

	assert_int_equal(
	    call(h, "session.create", "{\"guest\":\"short\",\"ttl\":60}", &o),
	    200);
	struct pair *p = house_pair(h, span_str(json_text(o, "id")));
	json_decref(o);
	assert_int_equal(first_token(h, p), 200);
	assert_in_range(p->expires_in, 1, 60);
	assert_int_equal(
	    call(h, "session.create",
		"{\"details\":[{\"name\":\"x\",\"hosts\":[\"a.test\"],"
		"\"tunnel\":true,\"ttl\":30}]}",
		&o),
	    200);
	p = house_pair(h, span_str(json_text(o, "id")));
	json_decref(o);
	assert_int_equal(first_token(h, p), 200);
	assert_in_range(p->expires_in, 1, 30);
}

/* Each is a line on disk: renewing as fast as one can ends. */
static void
tokens_are_paced(void **state)
{
	struct house *h = *state;
	json_t *o = NULL;
	unsigned n = 1;

	assert_int_equal(
	    call(h, "session.create", "{\"guest\":\"greedy\"}", &o), 200);
	struct pair *p = house_pair(h, span_str(json_text(o, "id")));
	json_decref(o);
	assert_int_equal(first_token(h, p), 200);
	char *token = strdup(p->token);
	while (n < 10 * TOKEN_BURST && renew_token(h, p, token) == 200)
		n++;
	assert_int_equal(p->status, 429);
	/* Some may have been paid off meanwhile. */
	assert_in_range(n, TOKEN_BURST, 2 * TOKEN_BURST);
	free(token);
	/* Another session is not held up. */
	assert_int_equal(
	    call(h, "session.create", "{\"guest\":\"modest\"}", &o), 200);
	p = house_pair(h, span_str(json_text(o, "id")));
	json_decref(o);
	assert_int_equal(first_token(h, p), 200);
}

static bool
has_end(void *arg)
{
	return ((struct house *)arg)->ends > 0;
}

/* A courier that reads nothing, with next to no room in its socket. */
static int
deaf_courier(struct house *h, const struct pair *p)
{
	struct ctl_peer m = {
	    .role = LINK_COURIER, .session = span_str(p->id)};
	int fds[2], least = 1;

	assert_int_equal(link_pair(fds), 0);
	assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &least,
			     sizeof(least)),
	    0);
	assert_int_equal(link_send(h->supervisor, &msg_peer, &m, fds[1]), 0);
	return fds[0];
}

#define ASKED 150
static bool
all_answered(void *arg)
{
	return ((struct pair *)arg)->answers == ASKED;
}

/* The minter is everybody's: it waits for no courier, and house_until() not
 * so long as it would take if it did a little for each token. */
static void
a_deaf_courier_holds_the_minter_up_for_nobody(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "deaf");

	assert_int_equal(first_token(h, p), 200);
	char *token = strdup(p->token);
	int courier = deaf_courier(h, p);
	struct guest_token_ask q = {.grant_type = span_str(TOKEN_EXCHANGE),
	    .subject_token = span_str(token),
	    .subject_token_type = span_str(TOKEN_TYPE_ACCESS)};
	p->answers = 0;
	for (q.rid = 1; q.rid <= ASKED; q.rid++)
		assert_int_equal(
		    link_send(p->gate, &msg_guest_token_ask, &q, -1), 0);
	assert_true(house_until(h, all_answered, p));
	assert_int_equal(p->status, 200);
	free(token);
	close(courier);
}

static void
an_expired_session_is_cut_and_ended(void **state)
{
	struct house *h = *state;
	json_t *o = NULL;

	assert_int_equal(
	    call(h, "session.create", "{\"guest\":\"short\",\"ttl\":1}", &o),
	    200);
	struct pair *p = house_pair(h, span_str(json_text(o, "id")));
	json_decref(o);
	h->order[0] = '\0';
	assert_true(house_until(h, has_end, h));
	assert_int_equal(p->cuts_courier, 1);
	assert_int_equal(p->last_kind, RULES_CUT_SESSION);
	/* Gate and courier are told each on its own link: either may be seen
	 * first, but the end comes after both. */
	if (strcmp(h->order, "cut gate-cut end ") != 0)
		assert_string_equal(h->order, "gate-cut cut end ");
	assert_int_equal(
	    call(h, "session.show", "{\"session\":\"short\"}", &o), 200);
	assert_string_equal(json_text(o, "state"), "expired");
	json_decref(o);
}

static void
a_restarted_minter_resumes(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	char token[4097], grants[8192], random[32];

	assert_int_equal(first_token(h, p), 200);
	memcpy(token, p->token, sizeof(token));
	memcpy(grants, p->grants, sizeof(grants));
	memcpy(random, p->base_random, sizeof(random));
	p->families_courier = p->families_gate = 0;
	house_restart(h, SIGKILL);
	assert_int_equal(h->starts, 2);
	assert_int_equal(p->families_courier, 1);
	assert_int_equal(p->families_gate, 1);
	assert_string_equal(p->grants, grants);
	assert_string_equal(p->base_random, random);
	assert_int_equal(h->puts, 2); /* the same keys */
	assert_true(is_active_token(h, token));
	assert_int_equal(renew_token(h, p, token), 200);
}

static void
a_restarted_gate_or_courier_is_told_all(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");

	assert_int_equal(first_token(h, p), 200);
	p->sessions = p->rules = p->families_gate = p->families_courier = 0;
	unwire_pair(p);
	house_turn(h);
	wire_pair(h, p);
	house_turn(h);
	assert_int_equal(p->sessions, 1);
	assert_int_equal(p->rules, 1);
	assert_int_equal(p->families_gate, 1);
	assert_int_equal(p->families_courier, 1);
}

static bool
has_kill(void *arg)
{
	return ((struct house *)arg)->kills > 0;
}

static void
a_gate_that_breaks_the_protocol_is_killed_alone(void **state)
{
	struct house *h = *state;
	struct pair *a = house_session(h, "a"), *b = house_session(h, "b");
	struct rules_used lie = {.account = span_str("demo-read")};

	assert_int_equal(link_send(a->gate, &msg_rules_used, &lie, -1), 0);
	assert_true(house_until(h, has_kill, h));
	assert_int_equal(first_token(h, b), 200);
	house_turn(h);
	assert_int_equal(first_token(h, a), 200);
}

static void
shutdown_replies_first(void **state)
{
	struct house *h = house_new();

	(void)state;
	house_start(h);
	assert_int_equal(call_quiet(h, "shutdown", "{}"), 200);
	while (h->shutdowns == 0)
		ev_run(h->loop, EVRUN_ONCE);
	int status = 0;
	assert_int_equal(link_flush(h->supervisor, 1000), 0);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	assert_int_equal(status, 0);
	link_free(h->supervisor);
	house_free(h);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, house_setup, house_teardown)
	const struct CMUnitTest tests[] = {
	    T(both_are_told_before_the_caller_is),
	    T(upstream_exceptions_reach_the_dialer),
	    T(bad_sessions_are_refused_and_leave_nothing),
	    T(more_hosts_than_a_certificate_has_are_refused),
	    T(a_guest_name_is_taken_once),
	    T(a_grant_that_changes_meanwhile_makes_no_session),
	    cmocka_unit_test(a_locked_vault_is_named_with_its_remedy),
	    T(a_first_token_is_good_and_known_before_it_is_given),
	    T(renewal_keeps_the_family_and_makes_a_new_token),
	    T(a_token_of_another_session_renews_nothing),
	    T(odd_token_requests_get_their_own_error),
	    T(live_families_are_bounded),
	    T(a_token_never_outlives_session_or_grant),
	    T(tokens_are_paced),
	    T(a_deaf_courier_holds_the_minter_up_for_nobody),
	    T(an_expired_session_is_cut_and_ended),
	    T(a_restarted_minter_resumes),
	    T(a_restarted_gate_or_courier_is_told_all),
	    T(a_gate_that_breaks_the_protocol_is_killed_alone),
	    cmocka_unit_test(shutdown_replies_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
