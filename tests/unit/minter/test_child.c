/* SPDX-License-Identifier: ISC */
/* Child tokens and their subtrees: requirements 24, 25 and 43. */
#include "tests/unit/minter/driver.h"

#include "minter/state.h"

#include <sqlite3.h>

#define EXCHANGE "urn:ietf:params:oauth:grant-type:token-exchange"
#define ACCESS "urn:ietf:params:oauth:token-type:access_token"
#define DEMO(more) "[{\"type\":\"hatcheck-grant\",\"name\":\"demo-read\"" more "}]"
#define A_PATH(p) ",\"allow\":[{\"methods\":[\"GET\"],\"paths\":[\"" p "\"]}]"

struct kept {
	char token[4097], family[33];
};

static void
keep(const struct pair *p, struct kept *k)
{
	memcpy(k->token, p->token, sizeof(k->token));
	memcpy(k->family, p->family, sizeof(k->family));
}

/* subject: NULL for a first token. */
static unsigned
ask(struct house *h, struct pair *p, const char *subject, const char *details,
    const char *act, const char *attached)
{
	struct guest_token_ask q = {.rid = 3,
	    .grant_type = span_str(subject ? EXCHANGE : "client_credentials"),
	    .subject_token = span_str(subject),
	    .subject_token_type = span_str(subject ? ACCESS : ""),
	    .authorization_details = span_str(details),
	    .act = span_str(act),
	    .attached = span_str(attached)};

	return ask_token(h, p, &q);
}

static void
child(struct house *h, struct pair *p, const struct kept *parent,
    const char *details, const char *act, struct kept *out)
{
	if (ask(h, p, parent == NULL ? NULL : parent->token, details, act,
		"") != 200)
		fail_msg("%s: %s", p->error, p->why);
	keep(p, out);
}

static void
root(struct house *h, struct pair *p, struct kept *out)
{
	assert_int_equal(first_token(h, p), 200);
	keep(p, out);
}

static void
read_claims(struct pair *p, const char *token, struct jwt_claims *c)
{
	struct jwks keys;
	struct jwt_expect e = {.iss = "http://hatcheck.internal",
	    .aud = "hatcheck-egress",
	    .channel = p->channel,
	    .now = time(NULL),
	    .keys = &keys};

	assert_int_equal(jwks_parse(span_str(p->jwks), &keys), 0);
	assert_int_equal(jwt_verify(span_str(token), &e, c), JWT_GOOD);
}

static void
a_child_is_narrower_and_says_for_whom_it_acts(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	struct kept top, mid, low;
	struct jwt_claims c;

	root(h, p, &top);
	child(h, p, &top, DEMO(A_PATH("/v1/a/**")), "reviewer", &mid);
	assert_string_not_equal(mid.family, top.family);
	assert_string_equal(p->told_family, mid.family);
	assert_string_equal(p->told_parent, top.family);
	assert_string_equal(p->told_act, "reviewer");
	assert_non_null(strstr(p->told_details, "/v1/a/**"));
	assert_null(strstr(p->told_details, "other"));
	read_claims(p, mid.token, &c);
	assert_int_equal(c.n_grants, 1);
	assert_string_equal(c.grants[0], "demo-read");
	assert_int_equal(c.n_act, 1);
	assert_string_equal(c.act[0], "reviewer");
	child(h, p, &mid, DEMO(A_PATH("/v1/a/b")), "helper", &low);
	read_claims(p, low.token, &c);
	assert_int_equal(c.n_act, 2);
	assert_string_equal(c.act[0], "helper");
	assert_string_equal(c.act[1], "reviewer");
	/* Not named, it is named by its family: no actor is taken over. */
	child(h, p, &top, DEMO(""), "", &low);
	read_claims(p, low.token, &c);
	assert_int_equal(c.n_act, 1);
	assert_string_equal(c.act[0], low.family);
}

static void
what_is_wider_is_refused_and_named(void **state)
{
	static const struct {
		const char *details, *why;
	} t[] = {
	    {DEMO(A_PATH("/**")), "/**"},
	    {DEMO(A_PATH("/v2/x")), "/v2/x"},
	    {DEMO(",\"hosts\":[\"evil.test\"]"), "evil.test"},
	    {DEMO(",\"allow\":[{\"methods\":[\"DELETE\"],\"paths\":[\"/v1/x\"]}"
		  "]"),
		"DELETE"},
	    {"[{\"type\":\"hatcheck-grant\",\"name\":\"admin\"}]", "admin"},
	    {DEMO(",\"credential\":\"other\""), "credential"},
	    {DEMO(",\"upstream\":{\"addresses\":[\"127.0.0.1\"]}"),
		"upstream"},
	    {DEMO(",\"tunnel\":true"), "tunnel"},
	    {DEMO(",\"absolute\":true"), "absolute"},
	    {"[{\"name\":\"demo-read\"}]", "type"},
	    {"[{\"type\":\"hatcheck-grant\"}]", "hosts"},
	    {"[]", "array"},
	    {"{}", "array"},
	    {"[", "strict"},
	    {"[{\"type\":\"hatcheck-grant\",\"name\":\"demo-read\","
	     "\"name\":\"other\"}]",
		"strict"},
	    {DEMO(",\"limits\":{\"requests\":0}"), "requests"},
	};
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	struct kept top;

	root(h, p, &top);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		unsigned told = p->families_courier;
		assert_int_equal(
		    ask(h, p, top.token, t[i].details, "x", ""), 400);
		assert_string_equal(p->error, "invalid_authorization_details");
		if (strstr(p->why, t[i].why) == NULL)
			fail_msg("\"%s\" does not name %s", p->why, t[i].why);
		assert_string_equal(p->token, "");
		assert_int_equal(p->families_courier, told);
	}
}

/* A detail without a name is for whatever of the parent's it is within. */
static void
a_detail_finds_its_grant(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	struct kept top, k;
	struct jwt_claims c;

	root(h, p, &top);
	child(h, p, &top,
	    "[{\"type\":\"hatcheck-grant\",\"hosts\":[\"other.test\"]" A_PATH(
		"/x") "}]",
	    "", &k);
	read_claims(p, k.token, &c);
	assert_int_equal(c.n_grants, 1);
	assert_string_equal(c.grants[0], "other");
	assert_int_equal(ask(h, p, top.token,
			     "[{\"type\":\"hatcheck-grant\",\"hosts\":["
			     "\"third.test\"]" A_PATH("/x") "}]",
			     "", ""),
	    400);
	assert_non_null(strstr(p->why, "third.test"));
}

static void
a_child_cannot_widen_by_any_way(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	struct kept top, mid, again;
	char told[sizeof(p->told_details)];

	root(h, p, &top);
	child(h, p, &top, DEMO(A_PATH("/v1/a/**")), "mid", &mid);
	memcpy(told, p->told_details, sizeof(told));
	/* A renewal is the same family with the same grants and parent. */
	assert_int_equal(renew_token(h, p, mid.token), 200);
	keep(p, &again);
	assert_string_equal(again.family, mid.family);
	assert_string_equal(p->told_details, told);
	assert_string_equal(p->told_parent, top.family);
	assert_string_equal(p->told_act, "mid");
	/* Its child has its bounds, not the session's. */
	assert_int_equal(
	    ask(h, p, again.token, DEMO(A_PATH("/v1/b")), "", ""), 400);
	assert_int_equal(ask(h, p, again.token,
			     "[{\"type\":\"hatcheck-grant\",\"name\":"
			     "\"other\"}]",
			     "", ""),
	    400);
	child(h, p, &again, "", "all", &again);
	assert_non_null(strstr(p->told_details, "/v1/a/**"));
	assert_null(strstr(p->told_details, "other"));
}

/* On a connection that is bound to a child nothing else is to be had. */
static void
a_childs_connection_is_the_childs(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	struct kept top, mid, side, low;

	root(h, p, &top);
	child(h, p, &top, DEMO(""), "mid", &mid);
	child(h, p, &top, DEMO(""), "side", &side);
	child(h, p, &mid, DEMO(A_PATH("/v1/a")), "low", &low);
	assert_int_equal(ask(h, p, NULL, "", "", mid.family), 400);
	assert_string_equal(p->error, "unauthorized_client");
	assert_int_equal(ask(h, p, NULL, DEMO(""), "x", mid.family), 400);
	assert_int_equal(ask(h, p, top.token, "", "", mid.family), 400);
	assert_int_equal(ask(h, p, side.token, "", "", mid.family), 400);
	assert_int_equal(ask(h, p, mid.token, "", "", low.family), 400);
	assert_int_equal(ask(h, p, mid.token, "", "", mid.family), 200);
	assert_int_equal(ask(h, p, low.token, "", "", mid.family), 200);
	assert_int_equal(ask(h, p, mid.token, "", "x", mid.family), 200);
	assert_int_equal(ask(h, p, NULL, "", "", top.family), 200);
	assert_int_equal(ask(h, p, NULL, "", "", "f-unknown"), 400);
	/* Nor can it revoke its parent. */
	struct guest_token_revoke q = {.rid = 5,
	    .token = span_str(top.token),
	    .attached = span_str(mid.family)};
	p->answers = 0;
	assert_int_equal(
	    link_send(p->gate, &msg_guest_token_revoke, &q, -1), 0);
	assert_true(house_until(h, has_answer, p));
	assert_int_equal(p->status, 400);
	assert_string_equal(p->error, "unauthorized_client");
	assert_true(is_active_token(h, top.token));
}

/* Without a parent's family, but as narrow. */
static void
a_first_token_can_be_narrow(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	struct kept k;
	struct jwt_claims c;

	child(h, p, NULL, DEMO(A_PATH("/v1/a")), "alone", &k);
	assert_string_equal(p->told_parent, "");
	read_claims(p, k.token, &c);
	assert_int_equal(c.n_act, 1);
	assert_string_equal(c.act[0], "alone");
	assert_int_equal(ask(h, p, NULL, DEMO(A_PATH("/**")), "x", ""), 400);
	assert_int_equal(ask(h, p, NULL, "", "", k.family), 400);
}

static void
actors_are_named_plainly(void **state)
{
	static const char *const bad[] = {"f-abc", "s-abc", "A", "a b", "-a",
	    "a\"", "a\n", "\xc3\xa4",
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	struct kept top;

	root(h, p, &top);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
		    ask(h, p, top.token, DEMO(""), bad[i], ""), 400);
		assert_string_equal(p->error, "invalid_request");
	}
}

static void
depth_and_number_are_bounded(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	struct kept k, top;
	unsigned n = 0;

	root(h, p, &top);
	k = top;
	while (n < 9 && ask(h, p, k.token, DEMO(""), "", "") == 200) {
		keep(p, &k);
		n++;
	}
	assert_int_equal(n, 3);
	assert_string_equal(p->error, "invalid_grant");
	assert_non_null(strstr(p->why, "3 deep"));
	while (n < 99 && ask(h, p, top.token, DEMO(""), "", "") == 200)
		n++;
	assert_int_equal(n, 48);
	assert_int_equal(p->status, 429);
	/* That takes nothing from the session itself. */
	assert_int_equal(renew_token(h, p, top.token), 200);
	assert_int_equal(first_token(h, p), 200);
}

static bool
listed(const struct pair *p, const char *family)
{
	return strstr(p->all_cuts, family) != NULL;
}

static void
revoke_it(struct house *h, struct pair *p, const char *key)
{
	char json[5000];

	p->all_cuts[0] = '\0';
	(void)snprintf(json, sizeof(json), "{\"token\":\"%s\"}", key);
	assert_int_equal(call_quiet(h, "revoke", json), 200);
}

static void
a_family_is_revoked_with_all_below_it(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	struct kept top, one, two, one_a, one_b;

	root(h, p, &top);
	child(h, p, &top, DEMO(""), "one", &one);
	child(h, p, &top, DEMO(""), "two", &two);
	child(h, p, &one, DEMO(""), "one-a", &one_a);
	child(h, p, &one_a, DEMO(""), "one-b", &one_b);
	revoke_it(h, p, one.family);
	assert_true(listed(p, one.family) && listed(p, one_a.family) &&
		    listed(p, one_b.family));
	assert_false(listed(p, top.family) || listed(p, two.family));
	assert_false(is_active_token(h, one.token));
	assert_false(is_active_token(h, one_a.token));
	assert_false(is_active_token(h, one_b.token));
	assert_true(is_active_token(h, top.token));
	assert_true(is_active_token(h, two.token));
	/* None of them comes back, nor gets children. */
	assert_int_equal(renew_token(h, p, one_b.token), 400);
	assert_int_equal(ask(h, p, one.token, DEMO(""), "", ""), 400);
	assert_int_equal(renew_token(h, p, two.token), 200);
	/* RFC 7009, by the guest: its own and what is below. */
	struct guest_token_revoke q = {.rid = 5,
	    .token = span_str(top.token),
	    .attached = span_str(top.family)};
	p->answers = 0;
	p->all_cuts[0] = '\0';
	assert_int_equal(
	    link_send(p->gate, &msg_guest_token_revoke, &q, -1), 0);
	assert_true(house_until(h, has_answer, p));
	assert_int_equal(p->status, 200);
	assert_true(listed(p, top.family) && listed(p, two.family));
	assert_false(is_active_token(h, two.token));
}

static void
trees_survive_kill_9(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");

	for (int i = 0; i < 8; i++) {
		struct kept top, mid, low, kept;

		root(h, p, &top);
		child(h, p, &top, DEMO(A_PATH("/v1/a/**")), "mid", &mid);
		child(h, p, &mid, DEMO(A_PATH("/v1/a/b")), "low", &low);
		child(h, p, &top, DEMO(A_PATH("/v1/k")), "kept", &kept);
		revoke_it(h, p, mid.family);
		house_restart(h, SIGKILL);
		assert_false(is_active_token(h, mid.token));
		assert_false(is_active_token(h, low.token));
		assert_true(is_active_token(h, top.token));
		assert_true(is_active_token(h, kept.token));
		assert_int_equal(renew_token(h, p, low.token), 400);
		assert_int_equal(renew_token(h, p, kept.token), 200);
		assert_string_equal(p->told_parent, top.family);
		assert_string_equal(p->told_act, "kept");
		assert_non_null(strstr(p->told_details, "/v1/k"));
		assert_int_equal(ask(h, p, kept.token, DEMO(A_PATH("/v1/a/x")),
				     "", ""),
		    400);
		revoke_it(h, p, top.family);
	}
}

static void
a_child_ends_in_its_time_and_with_its_parent(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	struct kept top, brief, low;

	root(h, p, &top);
	child(h, p, &top, DEMO(",\"ttl\":2"), "brief", &brief);
	assert_true(p->expires_in <= 2);
	/* Not longer than what it stands below, whatever it asks. */
	child(h, p, &brief, DEMO(",\"ttl\":600"), "low", &low);
	assert_true(p->expires_in <= 2);
	assert_int_equal(renew_token(h, p, brief.token), 200);
	assert_true(p->expires_in <= 2);
	sleep(3);
	assert_int_equal(renew_token(h, p, brief.token), 400);
	assert_false(is_active_token(h, low.token));
	assert_int_equal(ask(h, p, low.token, "", "", ""), 400);
	assert_int_equal(renew_token(h, p, top.token), 200);
}

static void
a_token_of_another_session_makes_no_child(void **state)
{
	struct house *h = *state;
	struct pair *a = house_session(h, "a"), *b = house_session(h, "b");
	struct kept top, mid;

	root(h, a, &top);
	child(h, a, &top, DEMO(""), "mid", &mid);
	assert_int_equal(ask(h, b, top.token, DEMO(""), "", ""), 400);
	assert_string_equal(b->error, "invalid_grant");
	assert_int_equal(renew_token(h, b, mid.token), 400);
}

/* ---- a store of before ---- */

static const char old_schema[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE grants(name TEXT PRIMARY KEY, json TEXT NOT NULL);"
    "CREATE TABLE sessions(id TEXT PRIMARY KEY, guest TEXT NOT NULL,"
    " state INTEGER NOT NULL, created INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, expires_ms INTEGER NOT NULL,"
    " boot_id TEXT NOT NULL, channel_dir TEXT NOT NULL,"
    " channel_ours INTEGER NOT NULL, channel_uid INTEGER NOT NULL,"
    " base_random TEXT NOT NULL, placeholders TEXT NOT NULL,"
    " grants TEXT NOT NULL, named TEXT NOT NULL, until TEXT NOT NULL);"
    "CREATE UNIQUE INDEX live_guest ON sessions(guest) WHERE state=1;"
    "CREATE TABLE families(id TEXT PRIMARY KEY, session TEXT NOT NULL,"
    " jti TEXT NOT NULL, issued INTEGER NOT NULL, expires INTEGER NOT NULL,"
    " expires_ms INTEGER NOT NULL, revoked INTEGER NOT NULL);"
    "CREATE INDEX family_session ON families(session);"
    "CREATE TABLE tokens(jti TEXT PRIMARY KEY, family TEXT NOT NULL,"
    " issued INTEGER NOT NULL, expires INTEGER NOT NULL);"
    "CREATE INDEX token_family ON tokens(family);"
    "CREATE TABLE revoked(session TEXT NOT NULL, name TEXT NOT NULL,"
    " json TEXT NOT NULL, PRIMARY KEY(session, name));"
    "CREATE TABLE used(session TEXT NOT NULL, grant_name TEXT NOT NULL,"
    " requests INTEGER NOT NULL, up INTEGER NOT NULL,"
    " down INTEGER NOT NULL, PRIMARY KEY(session, grant_name));"
    "INSERT INTO families VALUES('f-old','s-1','t-1',5,10,20,0);"
    "INSERT INTO tokens VALUES('t-1','f-old',5,10);"
    "PRAGMA user_version=1;";

static int
see_old(void *ctx, const struct family_row *f)
{
	assert_string_equal(f->id, "f-old");
	assert_int_equal(f->expires_ms, 20);
	assert_string_equal(f->parent, "");
	assert_string_equal(f->details, "");
	assert_int_equal(f->until, 0);
	(*(unsigned *)ctx)++;
	return 0;
}

static void
run_sql(const char *path, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void
an_older_store_is_brought_up_to_date(void **state)
{
	char dir[] = "/tmp/hatcheck-child-XXXXXX", path[64], why[256];
	struct family_row f = {.id = "f-new",
	    .session = "s-1",
	    .jti = "t-2",
	    .parent = "f-old",
	    .act = "a",
	    .details = "[]"};
	struct token_row t;
	struct state *st;
	unsigned seen = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/minter.db", dir);
	run_sql(path, old_schema);
	assert_int_equal(state_open(dir, &st, why, sizeof(why)), 0);
	assert_int_equal(state_families(st, NULL, see_old, &seen), 0);
	assert_int_equal(seen, 1);
	assert_int_equal(state_family_put(st, &f), 0);
	assert_int_equal(state_family_revoke(st, "f-old"), 0);
	assert_int_equal(state_token_find(st, "t-2", &t), 0);
	assert_true(t.revoked);
	state_close(st);
	/* Again: it is done once. */
	assert_int_equal(state_open(dir, &st, why, sizeof(why)), 0);
	assert_int_equal(state_token_find(st, "f-old", &t), 0);
	state_close(st);
	run_sql(path, "PRAGMA user_version=99;");
	assert_int_equal(state_open(dir, &st, why, sizeof(why)), ERR_FORMAT);
	assert_non_null(strstr(why, "99"));
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "rm -rf %s", dir);
	assert_int_equal(system(path), 0);
}

static int
may_nothing(void *ctx, const struct family_row *f)
{
	(*(unsigned *)ctx)++;
	if (strcmp(f->id, "f-wide") == 0)
		assert_string_equal(f->details, "");
	else
		assert_string_equal(f->details, "[]");
	return 0;
}

/* A guest that makes narrower tokens as large as may be, and revokes them or
 * lets them end, fills no disk. */
static void
what_has_ended_takes_no_room(void **state)
{
	char dir[] = "/tmp/hatcheck-child-XXXXXX", path[64], why[256];
	static char large[32 * 1024];
	struct family_row f = {.session = "s-1", .parent = "f-wide"};
	struct state *st;
	struct stat file;
	unsigned seen = 0;

	(void)state;
	memset(large, 'x', sizeof(large) - 1);
	assert_non_null(mkdtemp(dir));
	assert_int_equal(state_open(dir, &st, why, sizeof(why)), 0);
	strcpy(f.id, "f-wide");
	strcpy(f.jti, "t-wide");
	f.parent[0] = '\0';
	f.expires = 1000;
	assert_int_equal(state_family_put(st, &f), 0);
	strcpy(f.parent, "f-wide");
	f.details = large;
	f.expires = 100;
	for (unsigned i = 0; i < 200; i++) {
		(void)snprintf(f.id, sizeof(f.id), "f-%u", i);
		(void)snprintf(f.jti, sizeof(f.jti), "t-%u", i);
		assert_int_equal(state_family_put(st, &f), 0);
		assert_int_equal(i % 2 == 0 ? state_family_revoke(st, f.id)
					    : state_prune(st, 101, 1),
		    0);
	}
	assert_int_equal(state_families(st, NULL, may_nothing, &seen), 0);
	assert_int_equal(seen, 201);
	state_close(st);
	(void)snprintf(path, sizeof(path), "%s/minter.db", dir);
	assert_int_equal(stat(path, &file), 0);
	assert_in_range(file.st_size, 1, 1024 * 1024);
	(void)snprintf(path, sizeof(path), "rm -rf %s", dir);
	assert_int_equal(system(path), 0);
}

/* A sub-agent that asks for tokens as fast as it can, with its token or on
 * its connection, does not keep its parent from renewing. */
static void
a_childs_haste_is_its_own(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	struct kept top, low;
	unsigned n = 0;

	root(h, p, &top);
	child(h, p, &top, DEMO(A_PATH("/v1/a")), "helper", &low);
	while (n < 4000 &&
	       ask(h, p, low.token, NULL, NULL, n % 2 ? low.family : "") == 200)
		n++;
	assert_int_equal(p->status, 429);
	assert_int_equal(
	    ask(h, p, low.token, DEMO(""), "lower", low.family), 429);
	assert_int_equal(ask(h, p, top.token, NULL, NULL, ""), 200);
	assert_int_equal(ask(h, p, top.token, NULL, NULL, top.family), 200);
	assert_int_equal(first_token(h, p), 200);
	child(h, p, &top, DEMO(A_PATH("/v1/b")), "other", &low);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, house_setup, house_teardown)
	const struct CMUnitTest tests[] = {
	    T(a_child_is_narrower_and_says_for_whom_it_acts),
	    T(what_is_wider_is_refused_and_named),
	    T(a_detail_finds_its_grant),
	    T(a_child_cannot_widen_by_any_way),
	    T(a_childs_connection_is_the_childs),
	    T(a_first_token_can_be_narrow),
	    T(actors_are_named_plainly),
	    T(depth_and_number_are_bounded),
	    T(a_childs_haste_is_its_own),
	    T(a_family_is_revoked_with_all_below_it),
	    T(trees_survive_kill_9),
	    T(a_child_ends_in_its_time_and_with_its_parent),
	    T(a_token_of_another_session_makes_no_child),
	    cmocka_unit_test(an_older_store_is_brought_up_to_date),
	    cmocka_unit_test(what_has_ended_takes_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
